import numpy as np
import pytest
from red_boxes import picture, save

from facialnet.errors import UserError
from facialnet.inference.annotate import Annotator, copy_name, draw_answer
from facialnet.inference.gallery import Gallery
from facialnet.inference.photos import Photo
from facialnet.inference.video import frames


def answered(predictor, *photos):
    return list(predictor.stream(photos, keep_pixels=True))


@pytest.mark.parametrize(
    ("path", "copy"),
    [
        ("a/b.jpg", "a/b.jpg"),
        ("a/b.JPEG", "a/b.JPEG"),
        ("a/b.png", "a/b.png.jpg"),
        ("./a/../c.gif", "c.gif.jpg"),
        ("/elsewhere/../far/x.jpg", "far/x.jpg"),
        ("https://example.org/a/../b.jpg?x=1", "https_example.org_a_.._b.jpg_x_1.jpg"),
    ],
)
def test_copies_stay_below_their_folder_and_apart(monkeypatch, tmp_path, path, copy):
    monkeypatch.chdir(tmp_path)
    assert copy_name(path).as_posix() == copy
    outside = copy_name("../" * 7 + "x.jpg")
    assert ".." not in outside.parts
    assert not outside.is_absolute()


def test_words_stay_inside_a_box_at_the_upper_edge(predictor):
    [each] = answered(predictor, Photo("a", picture((0, 0, 60, 60))))
    drawn = draw_answer(each)
    assert (drawn != each.found.pixels).any()
    assert drawn.shape == (100, 120, 3)


def test_boxes_are_drawn_in_the_reduced_pixels(predictor):
    pixels = picture((200, 100, 100, 80), size=(400, 300))
    [each] = answered(predictor, Photo("film", pixels, reduced=0.5))
    assert each.answer.faces[0].box == (400, 200, 200, 160)
    changed = np.argwhere((draw_answer(each) != each.found.pixels).any(2))
    assert changed[:, 0].max() == pytest.approx(180, abs=2)
    assert changed[:, 1].min() == pytest.approx(200, abs=2)


def test_a_video_that_is_gone_on_with_is_a_file_of_its_own(predictor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    film = [Photo("f.avi", picture((5, 5, 30, 30)), frame=n, time=n / 5) for n in range(6)]
    for part in (film[:4], film[4:]):
        annotator = Annotator(tmp_path / "out")
        for each in answered(predictor, *part):
            annotator.write(each)
        annotator.close()
    counts = {path.name: len(list(frames(str(path)))) for path in (tmp_path / "out").iterdir()}
    assert sorted(counts.values()) == [2, 4]
    assert any("from-4" in name for name in counts)


def test_two_videos_after_one_another(predictor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    annotator = Annotator(tmp_path / "out")
    for name, count in (("a", 1), ("b", 3)):
        film = [
            Photo(f"{name}.mp4", picture((5, 5, 30, 30)), frame=n, time=n / 5) for n in range(count)
        ]
        for each in answered(predictor, *film):
            annotator.write(each)
    annotator.close()
    counts = [len(list(frames(str(tmp_path / "out" / f"{name}.mp4")))) for name in "ab"]
    assert counts == [1, 3]


def test_the_gallery_is_a_fair_sample_and_always_the_same(predictor, tmp_path):
    shown = []
    for _ in range(2):
        gallery = Gallery(count=5)
        photos = [Photo(str(n), picture((n, 10, 30, 30), seed=n)) for n in range(40)]
        for each in answered(predictor, *photos):
            gallery.add(each, right=None)
        assert gallery.save(tmp_path / "g.png")
        shown.append((tmp_path / "g.png").read_bytes())
    assert shown[0] == shown[1]
    assert not Gallery().save(tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_the_photos_themselves_are_never_written_over(predictor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path / "a.jpg", picture((5, 5, 30, 30)))
    before = path.read_bytes()
    [each] = answered(predictor, Photo("a.jpg"))
    with pytest.raises(UserError, match="would write over the photos"):
        Annotator(tmp_path).write(each)
    assert path.read_bytes() == before
