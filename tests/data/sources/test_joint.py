import numpy as np
import pandas as pd
import pytest

from facialnet.data.grouping import groups
from facialnet.data.manifest import as_manifest
from facialnet.data.preparation import prepare
from facialnet.data.protocol import Holdout, OfficialFolds, Partition
from facialnet.data.sources.folder import FolderSource
from facialnet.data.sources.joint import JointSource
from facialnet.data.sources.utkface import UTKFaceSource
from facialnet.data.transforms import Preprocessing
from facialnet.errors import UserError


@pytest.fixture
def folder(photos, tmp_path):
    """Thirty pictures of men and women in a list with people, one of whom is called as below."""
    root = tmp_path / "data" / "mine"
    root.mkdir(parents=True)
    lines = ["path,subject,gender,part"]
    for number in range(30):
        name = f"{number:02}.jpg"
        (root / name).write_bytes((photos.root / name).read_bytes())
        part = ("train", "train", "test")[number % 3]
        lines.append(f"{name},s{number // 3},{('man', 'woman')[number % 2]},{part}")
    (root / "list.csv").write_text("\n".join(lines))
    return root


@pytest.fixture
def utkface(photos, tmp_path):
    """Fifteen faces, the first five of which are also in the other folder, byte for byte."""
    root = tmp_path / "data" / "utkface"
    root.mkdir()
    for number in range(25, 40):
        name = f"{number}_0_0_20170110000000{number}.jpg"
        (root / name).write_bytes((photos.root / f"{number:02}.jpg").read_bytes())
    return root


@pytest.fixture
def joint(folder, utkface):
    def make(crop=None, **options):
        mine = FolderSource(
            root=str(folder), csv=str(folder / "list.csv"), name="mine", licence="ours"
        )
        parts = {"a": {"source": mine}, "b": {"source": UTKFaceSource(root=str(utkface))}}
        if crop is not None:
            parts["b"]["crop"] = crop
        return JointSource(parts=parts, **options)

    return make


def kept(reading):
    return as_manifest(reading.rows).drop(columns="dropped")


def test_rows_of_all_parts_with_paths_from_their_common_folder(joint, folder, utkface):
    reading = joint().read()
    rows = kept(reading)
    assert reading.root == folder.parent == utkface.parent
    assert rows["path"].iloc[0] == "mine/00.jpg"
    assert rows["path"].iloc[-1] == "utkface/39_0_0_2017011000000039.jpg"
    assert all((reading.root / path).is_file() for path in rows["path"])
    assert rows["source"].value_counts().to_dict() == {"mine": 30, "utkface": 15}
    assert rows["age_years"].isna().sum() == 30
    assert rows["subject"].isna().sum() == 15
    assert reading.name == "mine+utkface"
    assert reading.licence == "mine: ours; utkface: non-commercial research only"
    assert "crop" not in rows.columns


def test_one_part_may_lie_in_another(folder, tmp_path):
    inner = FolderSource(root=str(folder), csv="list.csv", name="mine")
    (tmp_path / "data/man").mkdir()
    (tmp_path / "data/man/a.jpg").write_bytes(b"x")
    outer = FolderSource(root=str(tmp_path / "data"), classes={"mine": "male"}, name="outer")
    reading = JointSource(parts={"x": {"source": inner}, "y": {"source": outer}}).read()
    assert reading.root == tmp_path / "data"
    assert {"mine/00.jpg", "man/a.jpg"} <= set(reading.rows["path"])


def test_notes_say_whose_they_are(joint, folder, utkface):
    copy = (utkface / "39_0_0_2017011000000039.jpg").read_bytes()
    (utkface / "40_1_0_2017011000000040.jpg").write_bytes(copy)
    reading = joint().read()
    assert "utkface: 1 of 1 groups of identical files disagree on gender: labels dropped" in (
        reading.notes
    )
    assert reading.duplicates == 1


def test_the_same_file_in_two_data_sets_stays_on_one_side(joint, tmp_path):
    prepared = prepare(
        joint(), Preprocessing(size=24, margin=3), spec={}, folder=tmp_path / "prepared"
    )
    manifest = prepared.manifest
    number = groups(manifest)
    twice = manifest.groupby("content")["source"].nunique()
    assert (twice == 2).sum() == 5
    for content in twice.index[twice == 2]:
        assert len(set(number[(manifest["content"] == content).to_numpy()])) == 1
    for seed in range(5):
        split = Holdout(seed=seed).split(manifest)
        parts = [set(number[part]) for part in (split.train, split.val, split.test)]
        assert sum(map(len, parts)) == len(set.union(*parts))
    assert prepared.audit["people"] == 10


def test_people_of_two_data_sets_are_never_the_same(joint):
    reading = joint().read()
    rows = kept(reading).assign(content=[str(number) for number in range(45)])
    rows["photo"] = pd.NA
    rows.loc[rows["source"] == "utkface", "subject"] = "s0"
    number = groups(as_manifest(rows))
    assert set(number[:3]).isdisjoint(number[30:])
    assert len(set(number[30:])) == 1


def test_crop_is_a_fact_of_one_part(joint):
    rows = kept(joint(crop=0.5).read())
    assert rows.loc[rows["source"] == "mine", "crop"].isna().all()
    assert (rows.loc[rows["source"] == "utkface", "crop"] == 0.5).all()


@pytest.mark.parametrize("crop", [0, -0.5, 1.01])
def test_an_impossible_crop_is_refused(joint, crop):
    with pytest.raises(UserError, match=rf"data\.parts\.b\.crop={crop} must lie in \(0, 1\]"):
        joint(crop=crop).read()


def test_one_label_policy_for_all(joint):
    own, exact = (
        kept(joint(label_policy=policy).read())["age_group"].notna().sum()
        for policy in (None, "exact")
    )
    assert own == 15  # UTKFace's own is nearest
    assert exact == 10  # of 25 to 39 years: 25-32, 38 and 39
    with pytest.raises(UserError, match=r"data\.label_policy=near: allowed"):
        joint(label_policy="near").read()


def test_no_parts_and_two_of_one_name(folder):
    with pytest.raises(UserError, match=r"add some, as in '\+data@data\.parts\.lfw=lfw'"):
        JointSource(parts={}).read()
    source = FolderSource(root=str(folder), csv="list.csv")
    with pytest.raises(UserError, match=r"data\.parts\.x: another part is called folder too"):
        JointSource(parts={"x": {"source": source}, "y": {"source": source}}).read()


def test_rows_without_a_fold_or_a_part_are_trained_on(joint):
    rows = kept(joint().read())
    others = np.flatnonzero((rows["source"] == "utkface").to_numpy())
    rows.loc[rows["source"] == "mine", "fold"] = np.arange(30) % 3
    for protocol in (OfficialFolds(test_fold=1), Partition()):
        split = protocol.split(rows)
        assert set(others) <= set(split.train)
        assert (rows["source"].iloc[np.concatenate([split.val, split.test])] == "mine").all()
