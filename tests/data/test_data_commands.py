"""Choices of data and protocol as a user types them."""

import json
import re
import shlex
import shutil
from pathlib import Path

import hydra
import numpy as np
import pytest
from omegaconf import OmegaConf

from facialnet import build
from facialnet.data.store import open_store
from facialnet.entry import conf_dir

QUICK = ["+debug=fast", "trainer=cpu", "data.batch_size=16", "logger=none", "callbacks.graph=null"]
QUICK += ["callbacks.feature_maps=null", "callbacks.augmented_batch=null"]


@pytest.fixture
def papers_layout(photos, tmp_path):
    """train/, val/ and all/ with man/ and woman/, as the seven-layer CNN wants it."""
    for number in range(36):
        sex, part = ("man", "woman")[number % 2], "val" if number < 8 else "train"
        for top in (part, "all"):
            folder = tmp_path / "faces" / top / sex
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(photos.root / f"{number:02}.jpg", folder)
    return tmp_path / "faces"


@pytest.fixture
def two_sets(photos, tmp_path):
    """Twenty faces named as in UTKFace and twenty people of LFW."""
    utkface, lfw = tmp_path / "raw/utkface", tmp_path / "raw/lfw"
    utkface.mkdir(parents=True)
    lines = ["Name\tGender"]
    for number in range(40):
        picture = photos.root / f"{number:02}.jpg"
        if number < 20:
            shutil.copy(picture, utkface / f"{number}_{number % 2}_0_{number:017}.jpg")
            continue
        person = lfw / "lfw-deepfunneled" / f"Person_{number}"
        person.mkdir(parents=True)
        shutil.copy(picture, person / f"Person_{number}_0001.jpg")
        lines.append(f"Person_{number}\t{('male', 'female')[number % 2]}")
    (lfw / "lfw-deepfunneled-gender.txt").write_text("\n".join(lines))
    return tmp_path / "raw"


def compose(*overrides):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose("train", list(overrides))


# --- prepare and the truth table -----------------------------------------------------------------


@pytest.mark.parametrize("audit_only", [False, True])
def test_truth_table_beside_the_audit(papers_layout, cli, audit_only):
    words = ["data=folder", f"data.root={papers_layout}", f"data.audit_only={audit_only}"]
    ended = cli("prepare", *words, "truth_table=true")
    assert ended.code == 0, ended.err
    folder = Path(re.search(r"audit: (.*)/audit.json", ended.out)[1])
    table = np.load(folder / "truth_table.npy", allow_pickle=False)
    assert len(table) == len((folder / "truth_table.txt").read_text().splitlines()) - 1 == 36
    assert set(zip(table["part"], table["gender"], strict=True)) == {
        *(("train", "male"), ("train", "female"), ("val", "male"), ("val", "female"))
    }
    assert f"truth table: {folder}/truth_table.txt and truth_table.npy" in ended.out
    if audit_only:
        assert "next:" not in ended.out
    else:
        assert open_store(folder / "store").manifest["path"].tolist() == table["path"].tolist()
        next_words = shlex.split(ended.out.strip().splitlines()[-1])
        assert next_words[:4] == ["next:", "python", "-m", "facialnet.train"]
        assert next_words[4:] == [*words, "protocol=partition"]


def test_truth_table_belongs_to_prepare_alone(cli):
    ended = cli("train", "truth_table=true")
    assert ended.code == 2
    assert "truth_table is not a setting" in ended.err
    assert "the nearest is truth_table (now False)" in cli("prepare", "truth_tabel=true").err


def test_next_command_suits_the_data(drawn_data, two_sets, cli):
    words = ["data=utkface", f"data.root={two_sets}/utkface"]
    assert cli("prepare", *words).out.rstrip().endswith("protocol=holdout")
    assert cli("prepare", *words, "protocol=kfold").out.rstrip().endswith("protocol=kfold")
    assert "protocol=" not in cli("prepare", *drawn_data).out


def test_classes_are_mapped_on_the_command_line(papers_layout, cli, tmp_path):
    for part in ("train", "val"):
        (papers_layout / part / "man").rename(papers_layout / part / "boys")
    words = ["data=folder", f"data.root={papers_layout}"]
    refused = cli("prepare", *words)
    assert refused.code == 2
    assert "boys: unknown class" in refused.err
    ended = cli("prepare", *words, "data.source.classes={boys: male}")
    assert ended.code == 0, ended.err
    assert "36 kept" in ended.out
    assert not list(tmp_path.rglob("truth_table*"))  # nobody asked for one


# --- protocols -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_papers_validation_part_is_tested(papers_layout, cli, tmp_path):
    words = ["data=folder", f"data.root={papers_layout}", "protocol=partition", "tasks=gender"]
    ended = cli("train", *words, *QUICK, f"run_dir={tmp_path}/run")
    assert ended.code == 0, ended.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["protocol"] == "own partition, its validation part tested"
    assert results["images"]["test"] == 8
    assert results["images"]["train"] + results["images"]["val"] == 28


@pytest.mark.parametrize(
    ("words", "train", "test"),
    [
        ("counts", {"male": 3500, "female": 1000}, {"male": 500, "female": 200}),
        ("counts_500", 500, 75),
        ("counts protocol.train=300 protocol.test=40", 300, 40),
        ("counts protocol.train.male=9", {"male": 9, "female": 1000}, {"male": 500, "female": 200}),
        ("counts_500 protocol.test=9 protocol.val_share=20 protocol.by=person", 500, 9),
    ],
)
def test_counts_are_set_on_the_command_line(words, train, test):
    protocol = compose(*f"protocol={words}".split()).protocol
    assert (build.plain(protocol.train), build.plain(protocol.test)) == (train, test)
    build.instantiate(build.split_settings(protocol))


# --- several data sets ---------------------------------------------------------------------------

GENERAL = ["data=joint", "+data@data.parts.utkface=utkface", "+data@data.parts.lfw=lfw"]


@pytest.mark.parametrize(
    "words",
    [
        ["data=utkface_lfw"],
        ["data=utkface_lfw_celeba"],
        ["data=adience_utkface"],
        [*GENERAL, "+data.parts.lfw.crop=0.6"],
    ],
)
def test_a_changed_root_reaches_every_source(words):
    cfg = compose(*words, "data.batch_size=7")
    assert cfg.data.batch_size == 7
    before = OmegaConf.to_container(cfg, resolve=False)
    source = build.instantiate(cfg.data.source)
    assert OmegaConf.to_container(cfg, resolve=False) == before  # as the checkpoint stores it
    again = OmegaConf.create(before)
    OmegaConf.update(again, "data.parts.utkface.root", "/elsewhere", merge=False)
    OmegaConf.update(again, "paths.data", "/all", merge=False)
    moved = build.instantiate(again.data.source)
    for name, part in moved.parts.items():
        first = source.parts[name]
        assert type(part["source"]) is type(first["source"])
        assert first["source"].root == f"data/{name}"
        assert part["source"].root == ("/elsewhere" if name == "utkface" else f"/all/{name}")
        assert part.get("crop") == first.get("crop")


def test_one_label_policy_for_all_parts():
    for policy in ("exact", None):
        word = f"data.label_policy={policy or 'null'}"
        source = build.instantiate(compose("data=adience_utkface", word).data.source)
        assert source.label_policy == policy
        own = [part["source"].label_policy for part in source.parts.values()]
        assert own == ["exact", "nearest"]


@pytest.mark.slow
def test_data_sets_joined_trained_and_evaluated_elsewhere(two_sets, cli, tmp_path):
    words = ["data=utkface_lfw", "protocol=holdout", "data.source_weights={lfw: 0.5}"]
    words += [f"paths.prepared={tmp_path}/prepared", *QUICK]
    roots = [f"data.parts.{name}.root={two_sets}/{name}" for name in ("utkface", "lfw")]
    ended = cli("train", *words, *roots, f"run_dir={tmp_path}/run")
    assert ended.code == 0, ended.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["data"] == "utkface+lfw"
    assert sum(results["images"].values()) == 40
    assert results["licence"].startswith("utkface: non-commercial research only; lfw: ")
    shutil.copytree(two_sets, tmp_path / "moved")
    shutil.rmtree(two_sets)
    best = f"checkpoint={tmp_path}/run/checkpoints/best.ckpt"
    roots = [f"data.parts.{name}.root={tmp_path}/moved/{name}" for name in ("utkface", "lfw")]
    again = cli("evaluate", best, *roots, f"run_dir={tmp_path}/again")
    assert again.code == 0, again.err
    evaluated = json.loads((tmp_path / "again/results.json").read_text())
    assert evaluated["stamp"] is None  # the same pictures, so who was trained on is known
    assert evaluated["images"] == results["images"]
    for name in ("gender", "age"):
        key = f"test/{name}/accuracy"
        assert evaluated["metrics"][key] == pytest.approx(results["metrics"][key])


def test_weights_of_data_sets_that_are_not_there(two_sets, cli):
    words = ["data=utkface", f"data.root={two_sets}/utkface", "protocol=holdout", *QUICK]
    ended = cli("train", *words, "data.source_weights={lfw: 0.5}")
    assert ended.code == 2
    assert "data.source_weights.lfw: no picture is of this data set; there is utkface" in ended.err


def test_a_joint_data_set_without_parts_says_how_to_add_some(cli):
    ended = cli("prepare", "data=joint")
    assert ended.code == 2
    assert "+data@data.parts.lfw=lfw" in ended.err
