import os

import numpy as np
import pytest
from red_boxes import picture, save

from facialnet.errors import UserError
from facialnet.inference.photos import Photo, check_arguments, count_photos, find_photos
from facialnet.inference.video import VideoWriter


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.jpg", "in/a.PNG", "in/deep/c.webp", "in/notes.txt", "in/x.doc", "d.heic"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def paths(*arguments):
    return [photo.path for photo in find_photos(arguments)]


def film(path, count=4, size=(64, 48)):
    with VideoWriter(path, size=size, rate=10) as video:
        for number in range(count):
            video.write(np.full((size[1], size[0], 3), 40 * number, np.uint8))
    return path


def test_files_folders_and_patterns_in_the_order_given(folder):
    assert paths("d.heic", "in") == ["d.heic", "in/a.PNG", "in/b.jpg", "in/deep/c.webp"]
    assert paths("in/**/*.[jw]*") == ["in/b.jpg", "in/deep/c.webp"]
    assert paths("./in/*.jpg") == ["./in/b.jpg"]
    assert paths(str(folder / "in" / "*.PNG")) == [str(folder / "in" / "a.PNG")]


def test_a_file_named_outright_is_taken_whatever_its_ending(folder):
    assert paths("in/x.doc") == ["in/x.doc"]


def test_a_list_is_relative_to_its_own_folder(folder):
    lines = ["# mine", "b.jpg", "", "deep", "gone.jpg", "https://example.org/a.jpg", "../d.heic"]
    (folder / "in" / "list.txt").write_text("\ufeff" + "\r\n".join(lines))
    assert paths("in/list.txt") == [
        *("in/b.jpg", "in/deep/c.webp", "in/gone.jpg"),
        *("https://example.org/a.jpg", "in/../d.heic"),
    ]


def test_a_list_inside_a_list_is_not_read(folder):
    (folder / "a.txt").write_text("a.txt\n")
    assert paths("a.txt") == ["a.txt"]  # answered as the damaged picture that it is


def test_photos_come_one_by_one(folder):
    (folder / "gone").mkdir()
    found = find_photos(["in", "gone"])
    assert next(found) == Photo("in/a.PNG")
    with pytest.raises(UserError, match=r"there are no photos below .*gone; looked for \.jpg"):
        list(found)


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("none.jpg", "there is no file or folder .*none.jpg"),
        ("ftp://example.org/a.jpg", "only http:// and https://"),
        ("file:///etc/passwd", "only http:// and https://"),
        ("webcam:x", "expected webcam:NUMBER"),
        ("webcam", "expected webcam:NUMBER"),
    ],
)
def test_arguments_that_name_nothing_are_named_before_anything_starts(folder, argument, reason):
    with pytest.raises(UserError, match=reason):
        check_arguments(["in", argument])


def test_a_pattern_that_fits_nothing(folder):
    with pytest.raises(UserError, match=r"no file fits the pattern \*\.bmp"):
        paths("*.bmp")


def test_a_video_gives_its_frames_with_their_times(folder):
    film(folder / "film.mp4")
    frames = list(find_photos(["film.mp4"]))
    assert [frame.frame for frame in frames] == [0, 1, 2, 3]
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert frames[0].pixels.shape == (48, 64, 3)
    assert [float(frame.pixels.mean()) for frame in frames] == pytest.approx(
        [0, 40, 80, 120], abs=9
    )
    assert len({frame.key for frame in frames}) == 4


def test_what_is_no_video_has_a_reason(folder):
    (folder / "bad.mp4").write_bytes(os.urandom(3000))
    os.mkfifo(folder / "pipe.mp4")
    (folder / "list.txt").write_text("bad.mp4\ngone.avi\npipe.mp4\n")
    errors = {photo.path: photo.error for photo in find_photos(["list.txt"])}
    assert errors == {
        "bad.mp4": "not a video",
        "gone.avi": "there is no such file",
        "pipe.mp4": "there is no such file",
    }


def test_colours_of_frames_are_rgb(folder):
    red = picture((0, 0, 64, 48), size=(64, 48))
    with VideoWriter(folder / "red.mp4", size=(64, 48)) as video:
        video.write(red)
    [frame] = find_photos(["red.mp4"])
    assert frame.pixels[..., 0].mean() > 200
    assert frame.pixels[..., 2].mean() < 60


def test_counting_ahead(folder):
    save(folder / "in" / "e.jpg", picture())
    assert count_photos(["in", "d.heic"]) == 5
    film(folder / "in" / "film.mp4")
    assert count_photos(["in"]) is None


def test_a_key_tells_frames_and_files_apart():
    keys = [Photo("a").key, Photo("a", frame=0).key, Photo("a", frame=1).key, Photo("a\udcff").key]
    assert len(set(keys)) == 4
