"""The stand-alone runner: no PyTorch, no OpenCV, no facialnet, and nearly the same answers."""

import json
import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest
from PIL import Image
from tiny_checkpoint import smooth_pictures

from facialnet.data.decode import decode
from facialnet.data.plain_preprocessing import preprocessing_from_plain
from facialnet.inference.export.answer import answer_by
from facialnet.inference.export.run_onnx import resized

# Whatever these are, the runner must not need them.
_BLOCKED = ("torch", "torchvision", "cv2", "facialnet", "albumentations", "onnx", "pandas", "scipy")
_WITHOUT = f"""
import runpy, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {_BLOCKED}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocked())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(folder, *words, cwd=None):
    """Run the copy beside an export in a process that can import none of the others."""
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT, folder / "run_onnx.py", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Files of many kinds, and where the broken ones are."""
    folder = tmp_path_factory.mktemp("pictures")
    (colour,) = smooth_pictures(1, (3, 300, 260)).transpose(0, 2, 3, 1)
    picture = Image.fromarray(colour)
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.save(folder / "face.jpg", quality=90)
    picture.resize((2000, 2300)).save(folder / "large.jpg")
    picture.save(folder / "turned.jpg", exif=turned)
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.convert("RGBA").save(folder / "alpha.png")
    picture.convert("P").save(folder / "palette.png")
    picture.resize((38, 38)).save(folder / "same.png")
    picture.resize((76, 76)).save(folder / "double.png")
    picture.resize((20, 22)).convert("L").save(folder / "small é.bmp")
    content = (folder / "face.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("no picture")
    return folder


def test_it_answers_as_facialnet_does(exported, pictures):
    paths = sorted(pictures.iterdir())
    ended = run(exported.folder, exported.folder / "tiny.onnx", *paths, "missing.jpg")
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 1, ended.stderr
    assert [row["path"] for row in rows] == [*map(str, paths), "missing.jpg"]
    errors = {row["path"].rpartition("/")[2] for row in rows if row["error"]}
    assert errors == {"cut.jpg", "empty.jpg", "text.png", "missing.jpg"}
    subject = exported.subject
    preprocessing = preprocessing_from_plain(subject.checkpoint.card["preprocess"])
    answer = answer_by(subject.network)
    good = [row for row in rows if row["error"] is None]
    assert len(good) == 9
    for row, path in zip(good, [p for p in paths if p.name not in errors], strict=True):
        image, _ = decode(path, grey=True, shortest=preprocessing.decoded_side)
        view = preprocessing.network_view(preprocessing(image)[None])
        expected = answer(np.ascontiguousarray(view.transpose(0, 3, 1, 2)))
        for task, about in subject.metadata["tasks"].items():
            values = np.array(list(row[task]["probabilities"].values()))
            np.testing.assert_allclose(values, expected[task][0], rtol=0, atol=0.01)
            assert list(row[task]["probabilities"]) == about["classes"]
            assert row[task]["label"] == about["classes"][int(values.argmax())]
            assert row[task]["probability"] == values.max()
            assert row[task].get("index") == (int(values.argmax()) if about["ordinal"] else None)
    assert len({json.dumps(row["age"]) for row in good}) > 4


def test_all_pictures_good_ends_in_0_and_int8_runs_too(exported, pictures):
    ended = run(exported.folder, "tiny.int8.onnx", pictures / "face.jpg", cwd=exported.folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["gender"]["label"] in ("male", "female")


def with_steps(exported, place, steps):
    model = onnx.load(exported.folder / "tiny.onnx")
    for each in model.metadata_props:
        if each.key == "preprocess":
            each.value = json.dumps(json.loads(each.value) | {"steps": steps})
    onnx.save(model, place)
    return place


def test_what_it_cannot_do_is_said_in_one_line(exported, pictures, tmp_path):
    equalised = {"light": {"_target_": "albumentations.CLAHE"}}
    strange = with_steps(exported, tmp_path / "strange.onnx", equalised)
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    bare = onnx.load(exported.folder / "tiny.onnx")
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    for name, message in (
        (strange, "with the step CLAHE, not repeated here"),
        (tmp_path / "broken.onnx", "broken.onnx cannot be used: "),
        (tmp_path / "none.onnx", "none.onnx cannot be used: "),
        (tmp_path / "bare.onnx", "was not exported by facialnet"),
    ):
        ended = run(exported.folder, name, pictures / "face.jpg")
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert message in ended.stderr
        assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("shape", "side"),
    [
        *(((200, 200), 87), ((174, 174), 87), ((348, 348), 87), ((100, 130), 87), ((88, 87), 87)),
        *(((250, 250, 3), 69), ((138, 138, 3), 69), ((70, 100, 3), 35)),  # all of them shrink
        *(((50, 50), 87), ((40, 90), 87), ((86, 300), 87), ((60, 60, 3), 69), ((1, 1), 35)),
        ((87, 87), 87),
    ],
)
def test_pixels_are_those_of_opencv(shape, side):
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, shape, dtype=np.uint8)
    how = cv2.INTER_AREA if min(shape[:2]) >= side else cv2.INTER_CUBIC
    theirs = cv2.resize(picture, (side, side), interpolation=how)
    apart = np.abs(resized(picture, side).astype(int) - theirs)
    assert apart.max() <= 1
    # OpenCV before 5 rounds the coefficients of its cubic interpolation
    allowed = 0.1 if how == cv2.INTER_CUBIC and cv2.__version__ < "5" else 0.002
    assert (apart > 0).mean() < allowed
