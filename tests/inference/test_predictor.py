import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from red_boxes import RedBoxes, picture, save
from tiny_checkpoint import plain_card, write_checkpoint

import facialnet
from facialnet.errors import UserError
from facialnet.inference import predictor as module
from facialnet.inference.photos import Photo
from facialnet.inference.predictor import Predictor

BOX = (20, 15, 40, 50)


def test_three_lines(checkpoint, tmp_path):
    path = save(tmp_path / "a.png", picture(BOX, (80, 10, 20, 20)))
    predictor = facialnet.Predictor.from_checkpoint(checkpoint, detector=RedBoxes())
    [photo] = predictor.predict(path)
    assert photo.path == str(path)
    assert photo.error is None
    assert [face.box for face in photo.faces] == [BOX, (80, 10, 20, 20)]
    face = photo.faces[0]
    assert set(face.answers) == {"gender", "age", "race"}
    assert face["gender"].label in ("male", "female")
    assert face["gender"].probability == max(face["gender"].probabilities.values())
    assert sum(face["age"].probabilities.values()) == pytest.approx(1)
    assert 1 <= face["age"].expected_years <= 70


def test_results_cannot_be_changed(predictor):
    [photo] = predictor.predict(picture(BOX))
    with pytest.raises(AttributeError):
        photo.error = "x"
    with pytest.raises(AttributeError):
        photo.faces[0].box = BOX


def test_a_path_a_pil_image_and_an_array_are_answered_alike(predictor, tmp_path):
    pixels = picture(BOX)
    path = save(tmp_path / "a.png", pixels)
    results = predictor.predict([str(path), path, Image.open(path), pixels])
    assert [result.path for result in results] == [str(path), str(path), "image 2", "image 3"]
    plain = [result.plain()["faces"] for result in results]
    assert plain.count(plain[0]) == 4


def test_grey_arrays(predictor):
    grey = picture()[..., 0]
    flat, deep = predictor.predict([grey, grey[..., None]])
    assert flat.no_face == "whole"
    assert flat.plain()["faces"] == deep.plain()["faces"]


def test_pil_images_of_every_mode(predictor):
    image = Image.fromarray(picture())
    for mode in ("1", "L", "P", "RGBA", "CMYK", "LA", "I", "F", "HSV"):
        [photo] = predictor.predict(image.convert(mode))
        assert photo.error is None, mode
        assert len(photo.faces) == 1


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((20, 20, 3)),
        np.zeros((20, 20, 4), np.uint8),
        np.zeros((20,), np.uint8),
        np.zeros((0, 20, 3), np.uint8),
        np.zeros((2, 20, 20, 3), np.uint8),
    ],
)
def test_arrays_of_another_kind_are_refused(predictor, array):
    with pytest.raises(UserError, match=r"image 1: expected uint8 \[H, W, 3\]"):
        predictor.predict([picture(), array])


def test_a_batch_of_many_photos_answers_as_each_alone(checkpoint):
    pictures = [picture((n, n, 30, 40 - n), (70, n, 20, 20), seed=n) for n in range(12)]
    pictures[5] = picture(seed=5)  # no face
    alone = Predictor.from_checkpoint(checkpoint, detector=RedBoxes(), batch_size=1, threads=1)
    together = Predictor.from_checkpoint(checkpoint, detector=RedBoxes(), batch_size=64, threads=4)
    for one, other in zip(alone.predict(pictures), together.predict(pictures), strict=True):
        assert (one.path, one.no_face, len(one.faces)) == (
            other.path,
            other.no_face,
            len(other.faces),
        )
        for face, same in zip(one.faces, other.faces, strict=True):
            assert face.box == same.box
            for task in face.answers:
                np.testing.assert_allclose(
                    list(face[task].probabilities.values()),
                    list(same[task].probabilities.values()),
                    atol=1e-5,
                )


def test_faces_of_many_photos_go_through_the_network_together(checkpoint, monkeypatch):
    predictor = Predictor.from_checkpoint(checkpoint, detector=RedBoxes(), batch_size=16)
    sizes, inner = [], predictor.network.probabilities

    def count(stored):
        sizes.append(len(stored))
        return inner(stored)

    monkeypatch.setattr(predictor.network, "probabilities", count)
    predictor.predict([picture((n, n, 30, 30)) for n in range(40)])
    assert sizes == [16, 16, 8]


def test_below_the_threshold_an_answer_is_not_sure(checkpoint):
    pixels = picture(BOX)
    given = Predictor.from_checkpoint(checkpoint, detector=RedBoxes()).predict(pixels)[0].faces[0]
    limit = given["gender"].probability
    for threshold, sure in ((limit - 1e-9, True), (limit + 1e-6, False)):
        predictor = Predictor.from_checkpoint(checkpoint, detector=RedBoxes(), threshold=threshold)
        answer = predictor.predict(pixels)[0].faces[0]["gender"]
        assert answer.sure is sure
        assert answer.label == given["gender"].label
        assert ("not_sure" in answer.plain()) is not sure
        assert answer.text().startswith("not sure (") is not sure


def test_nothing_is_predicted_for_no_photos(predictor):
    assert predictor.predict([]) == []


def test_a_photo_without_any_face_in_a_batch_of_none(predictor, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no")
    [photo] = predictor.predict(tmp_path / "a.jpg")
    assert photo.faces == ()
    assert "not a picture" in photo.error


def test_content_of_a_file_is_answered_with_its_pixels(predictor, tmp_path):
    path = save(tmp_path / "a.png", picture(BOX))
    answered = predictor.answer_bytes(path.read_bytes(), "upload")
    assert answered.answer.path == "upload"
    assert answered.answer.faces == predictor.predict(path)[0].faces
    np.testing.assert_array_equal(answered.found.pixels, picture(BOX))


def test_what_stands_before_the_stop_is_answered(checkpoint):
    predictor = Predictor.from_checkpoint(checkpoint, detector=RedBoxes(), no_face="stop")
    photos = [Photo("a", picture(BOX)), Photo("b", picture())]
    answered = []
    with pytest.raises(UserError, match="b: no face was found"):
        answered.extend(each.answer.path for each in predictor.stream(photos))
    assert answered == ["a"]


def test_without_any_checkpoint_there_is_an_error_and_no_answer(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "DEFAULT_CHECKPOINT", tmp_path / "none.safetensors")
    with pytest.raises(UserError, match=r"no checkpoint: .* --checkpoint outputs/"):
        Predictor.from_checkpoint()
    with pytest.raises(UserError, match="there is no checkpoint"):
        Predictor.from_checkpoint(tmp_path / "mine.ckpt")


@pytest.mark.parametrize("options", [{"threshold": 1.5}, {"batch_size": 0}, {"detector": "best"}])
def test_options_out_of_range(checkpoint, options):
    [name] = options
    with pytest.raises(UserError, match=f"{name}="):
        Predictor.from_checkpoint(checkpoint, **({"detector": None} | options))


def test_a_task_may_not_bear_the_name_of_a_key(tmp_path):
    card = plain_card()
    for part in (card["tasks"], card["model"]["heads"]):
        part["box"] = part.pop("race")
    path = write_checkpoint(tmp_path / "a.ckpt", card)
    with pytest.raises(UserError, match="a task cannot be called 'box'"):
        Predictor.from_checkpoint(path, detector=None)


def test_the_package_alone_imports_no_pytorch():
    code = "import facialnet, sys; assert 'torch' not in sys.modules and 'cv2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = facialnet.Nothing
