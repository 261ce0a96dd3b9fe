import numpy as np
import pytest
from PIL import Image
from red_boxes import RedBoxes, picture, save

from facialnet.data.faces.face import Face
from facialnet.data.transforms import CentreCrop, Preprocessing
from facialnet.errors import UserError
from facialnet.inference.finding import FaceFinder
from facialnet.inference.photos import Photo

PREPROCESSING = Preprocessing(size=16, margin=2, channels=1, steps={"crop": CentreCrop()})


def cut(image, face):
    """Frame a face by cutting it out, and let its mean stand for it."""
    x, y, width, height = map(round, face.box)
    value = int(image[y : y + height, x : x + width].mean())
    return np.full((20, 20, 1), value, np.uint8)


def finder(**options):
    given = {"frame": cut, "preprocessing": PREPROCESSING, "detector": RedBoxes()} | options
    return FaceFinder(**given)


def found(*photos, **options):
    return list(finder(**options).find(photos))


def test_all_faces_come_with_boxes_in_pixels_of_the_photo(tmp_path):
    path = save(tmp_path / "a.png", picture((10, 20, 30, 40), (60, 5, 12, 14)))
    [photo] = found(Photo(str(path)))
    assert [face.box for face in photo.faces] == [(10, 20, 30, 40), (60, 5, 12, 14)]
    assert {face.detection for face in photo.faces} == {0.9}
    assert {int(face.stored[0, 0, 0]) for face in photo.faces} == {85}  # pure red
    assert photo.no_face is None
    assert photo.pixels is None


def test_or_the_largest_alone():
    [photo] = found(Photo("a", picture((60, 5, 12, 14), (10, 20, 30, 40))), faces="largest")
    assert [face.box for face in photo.faces] == [(10, 20, 30, 40)]


def test_boxes_of_a_large_photo_are_in_its_own_pixels(tmp_path):
    pixels = picture((1000, 200, 800, 300), size=(4096, 600))
    for path in (save(tmp_path / "a.png", pixels), save(tmp_path / "a.jpg", pixels, quality=95)):
        [photo] = found(Photo(str(path)), keep_pixels=True)
        assert photo.reduced == 0.5
        assert photo.pixels.shape == (300, 2048, 3)
        assert photo.faces[0].box == pytest.approx((1000, 200, 800, 300), abs=4)
    frame = Photo("film", pixels[::2, ::2].copy(), frame=3, reduced=0.5)
    assert found(frame)[0].faces[0].box == pytest.approx((1000, 200, 800, 300), abs=4)


def test_boxes_are_in_the_upright_photo(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise
    path = save(tmp_path / "a.png", picture((10, 20, 30, 40), size=(120, 100)), exif=exif)
    [photo] = found(Photo(str(path)), keep_pixels=True)
    assert photo.pixels.shape == (120, 100, 3)
    assert photo.faces[0].box == (100 - 20 - 40, 10, 40, 30)


def test_order_is_kept_and_nothing_is_lost_over_many_threads():
    photos = [Photo(str(n), picture((n % 50, 5, 20 + n % 30, 30))) for n in range(200)]
    results = found(*photos, threads=5)
    assert [result.photo.path for result in results] == [str(n) for n in range(200)]
    boxes = [result.faces[0].box for result in results]
    assert boxes == [(n % 50, 5, 20 + n % 30, 30) for n in range(200)]


def test_detection_works_in_batches():
    detector = RedBoxes()
    found(*[Photo(str(n), picture((5, 5, 20, 20))) for n in range(20)], detector=detector)
    assert sorted(detector.sizes) == [4, 8, 8]


def test_a_broken_file_takes_nobodys_answer(tmp_path):
    paths = []
    for number in range(12):
        paths.append(tmp_path / f"{number}.png")
        if number % 3:
            save(paths[-1], picture((number, 5, 20 + number, 30)))
        else:
            paths[-1].write_bytes(b"broken")
    results = found(*(Photo(str(path)) for path in [*paths, tmp_path / "none.jpg"]))
    for number, result in enumerate(results[:-1]):
        assert result.photo.path == str(paths[number])
        if number % 3:
            assert result.faces[0].box == (number, 5, 20 + number, 30)
            assert result.error is None
        else:
            assert result.faces == ()
            assert "not a picture" in result.error
    assert results[-1].error == "there is no such file"


def test_a_detector_that_fails_on_one_photo_still_finds_the_others_faces():
    class Choosy(RedBoxes):
        def _faces(self, image):
            if image.shape[0] == 77:
                raise ValueError("no such height")
            return super()._faces(image)

    photos = [Photo(str(h), picture((5, 5, 20, 30), size=(60, h))) for h in (60, 77, 90)]
    results = found(*photos, detector=Choosy())
    assert [result.error for result in results] == [None, "detection failed: no such height", None]
    assert [len(result.faces) for result in results] == [1, 0, 1]


def test_a_face_that_cannot_be_framed_is_an_error_of_its_photo():
    def refuse(image, face):
        raise ValueError("its box is empty")

    [photo] = found(Photo("a", picture((5, 5, 20, 30))), frame=refuse)
    assert (photo.error, photo.faces) == ("framing failed: its box is empty", ())


def test_a_photo_without_a_face_is_taken_whole_as_preparation_takes_it(tmp_path):
    path = save(tmp_path / "a.jpg", picture(size=(90, 60)))
    [photo] = found(Photo(str(path)))
    assert photo.no_face == "whole"
    [face] = photo.faces
    assert (face.box, face.detection) == ((0, 0, 90, 60), None)
    grey = np.asarray(Image.open(path).convert("L"))
    np.testing.assert_array_equal(face.stored, PREPROCESSING(grey))


def test_or_left_out():
    results = found(Photo("a", picture()), Photo("b", picture((5, 5, 20, 30))), no_face="skip")
    assert [(result.no_face, len(result.faces)) for result in results] == [("skip", 0), (None, 1)]


def test_or_the_end_after_what_came_before():
    photos = [Photo("a", picture((5, 5, 20, 30))), Photo("b", picture()), Photo("c", picture())]
    results = finder(no_face="stop").find(photos)
    assert next(results).photo.path == "a"
    with pytest.raises(UserError, match="b: no face was found; --no-face whole"):
        next(results)


def test_without_a_detector_every_photo_is_a_face():
    [photo] = found(Photo("a", picture((5, 5, 20, 30))), detector=None, no_face="stop")
    assert photo.no_face is None
    assert photo.faces[0].box == (0, 0, 120, 100)


def test_boxes_of_your_own_replace_the_detector():
    def boxes(path):
        return [Face((10.0, 10.0, 30.0, 30.0), 1.0, None)] if path == "a" else []

    large = picture((50, 50, 10, 10), size=(4096, 3000))
    results = found(Photo("a", large), Photo("b", large), boxes=boxes, detector=None)
    assert results[0].faces[0].box == (10, 10, 30, 30)
    assert results[0].faces[0].detection is None
    assert results[1].no_face == "whole"


@pytest.mark.parametrize("box", [(200, 10, 5, 5), (-50, 10, 40, 30), (10, 500, 5, 5)])
def test_a_box_outside_the_photo_is_an_error(box):
    face = Face(tuple(map(float, box)), 1.0, None)
    [photo] = found(Photo("a", picture()), boxes=lambda _: [face], detector=None)
    assert photo.error == "the box lies outside the photo"


@pytest.mark.parametrize("options", [{"faces": "some"}, {"no_face": "maybe"}])
def test_unknown_policies(options):
    [(name, value)] = options.items()
    with pytest.raises(UserError, match=f"{name}={value}: allowed are"):
        finder(**options)


def test_photos_are_taken_only_a_little_ahead():
    taken = []

    def photos():
        for number in range(10_000):
            taken.append(number)
            yield Photo(str(number), picture(size=(20, 20)))

    results = finder(detector=None, threads=2).find(photos())
    next(results)
    assert len(taken) <= 8 * 5
    results.close()
