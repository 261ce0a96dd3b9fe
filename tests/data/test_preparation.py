import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from facialnet.data import preparation as module
from facialnet.data.manifest import Reading
from facialnet.data.preparation import prepare
from facialnet.data.transforms import Preprocessing
from facialnet.errors import UserError

SPEC = {"size": 24, "margin": 3}


@dataclass
class HandWritten:
    """A source whose rows stand in the test."""

    root: Path
    rows: pd.DataFrame
    duplicates: int = 0
    notes: list[str] = field(default_factory=list)

    def read(self):
        return Reading(
            rows=self.rows.copy(),
            root=self.root,
            name="tiny",
            duplicates=self.duplicates,
            notes=self.notes,
            licence="free",
        )


@pytest.fixture
def source(photos, tmp_path):
    """Six rows: four good pictures, one without any label and one repeated row."""
    root = tmp_path / "raw"
    root.mkdir()
    for number in range(5):
        shutil.copy(photos.root / f"{number:02}.jpg", root / f"{number}.jpg")
    columns = ("path", "subject", "album", "gender", "age_group", "dropped")
    rows = [
        ("0.jpg", "s1", "a1", "male", "0-2", None),
        ("1.jpg", "s1", "a1", "female", None, None),
        ("2.jpg", "s2", "a1", None, "0-2", None),
        ("3.jpg", "s3", "a2", "female", "60+", None),
        ("4.jpg", "s4", "a3", None, None, "no label"),
        ("0.jpg", "s1", "a1", "male", "0-2", "duplicate row"),
    ]
    frame = pd.DataFrame(rows, columns=columns)
    return HandWritten(root, frame, duplicates=1, notes=["s1 is 0-2 here and 60+ there"])


@pytest.fixture
def run(source, tmp_path):
    def call(**changes):
        arguments = {"spec": SPEC, "folder": tmp_path / "prepared", "max_missing": 0.0} | changes
        chosen = arguments.pop("source", source)
        return prepare(chosen, Preprocessing(**arguments["spec"]), **arguments)

    return call


def stores(tmp_path):
    return sorted(path.parent for path in (tmp_path / "prepared").glob("*/store"))


def forbid_decoding(monkeypatch):
    for name in ("write_store", "check_pictures"):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("decoded again"))


def test_the_audit_counts_what_was_read_and_kept(run, source):
    prepared = run()
    audit = prepared.audit
    assert json.loads(prepared.audit_path.read_text()) == audit
    assert audit["data"] == "tiny"
    assert audit["root"] == str(source.root)
    assert audit["licence"] == "free"
    assert audit["notes"] == ["s1 is 0-2 here and 60+ there"]
    assert (audit["rows"], audit["kept"], audit["duplicates"]) == (6, 4, 1)
    assert (audit["with_gender"], audit["with_age"], audit["with_both"]) == (4, 4, 3)
    assert audit["age_counts"]["0-2"] == 3
    assert audit["age_counts"]["60+"] == 1
    assert sum(audit["age_counts"].values()) == 4
    assert audit["kept_counts"]["gender"] == {"male": 1, "female": 2}
    assert audit["kept_counts"]["age_group"]["0-2"] == 2
    assert sum(audit["kept_counts"]["race"].values()) == 0
    assert (audit["people"], audit["albums"]) == (3, 2)
    assert (audit["missing"], audit["unreadable"]) == (0, 0)
    assert audit["dropped"] == {"no label": 1, "duplicate row": 1}
    assert prepared.store.manifest["path"].tolist() == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert "dropped" not in prepared.store.manifest.columns


def test_unreadable_pictures_are_counted_and_left_out(run, source):
    (source.root / "0.jpg").write_bytes(b"<html>")  # listed twice, wanted once
    (source.root / "3.jpg").write_bytes(b"<html>")
    (source.root / "4.jpg").write_bytes(b"<html>")  # dropped before anyway
    audit = run().audit
    assert (audit["rows"], audit["kept"], audit["unreadable"], audit["missing"]) == (6, 2, 2, 0)
    assert audit["unreadable_files"] == {"0.jpg": "not a picture", "3.jpg": "not a picture"}
    assert audit["dropped"] == {"no label": 1, "duplicate row": 1, "unreadable": 2}
    assert audit["kept_counts"]["gender"] == {"male": 0, "female": 1}
    assert audit["with_gender"] == 4
    assert len(run().store) == 2


@pytest.mark.parametrize(("max_missing", "enough"), [(0.25, True), (0.2499, False), (1, True)])
def test_a_share_of_missing_pictures_is_allowed(run, source, tmp_path, max_missing, enough):
    (source.root / "2.jpg").unlink()  # one of the four that are wanted
    if not enough:
        with pytest.raises(UserError) as caught:
            run(max_missing=max_missing)
        (audit_path,) = (tmp_path / "prepared").glob("*/audit.json")
        message = str(caught.value)
        assert message.startswith(f"1 of 4 listed pictures are missing below {source.root}")
        assert "such as 2.jpg;" in message
        assert f"data.max_missing={max_missing}" in message
        assert str(audit_path) in message
        assert "\n" not in message
        assert stores(tmp_path) == []
    else:
        assert len(run(max_missing=max_missing).store) == 3
        (audit_path,) = (tmp_path / "prepared").glob("*/audit.json")
    audit = json.loads(audit_path.read_text())
    assert (audit["missing"], audit["missing_files"]) == (1, ["2.jpg"])
    assert audit["dropped"]["missing file"] == 1


def test_the_first_missing_picture_is_named(run, source):
    for name in ("3.jpg", "1.jpg"):
        (source.root / name).unlink()
    with pytest.raises(UserError, match=r"^2 of 4 .* such as 1\.jpg;"):
        run(max_missing=0.1)


def test_pictures_that_come_later_are_taken_up(run, source):
    (source.root / "2.jpg").rename(source.root / "later")
    assert len(run(max_missing=0.5).store) == 3
    (source.root / "later").rename(source.root / "2.jpg")
    assert len(run(max_missing=0.5).store) == 4


def test_an_audit_alone_writes_no_store(run, source, tmp_path):
    (source.root / "3.jpg").write_bytes(b"<html>")
    prepared = run(audit_only=True)
    assert prepared.store is None
    assert prepared.audit["unreadable_files"] == {"3.jpg": "not a picture"}
    assert json.loads(prepared.audit_path.read_text()) == prepared.audit
    assert [path.name for path in prepared.audit_path.parent.iterdir()] == ["audit.json"]
    assert prepared.manifest["path"].tolist() == ["0.jpg", "1.jpg", "2.jpg"]
    after = run()  # an audit is no store
    assert len(after.store) == 3
    assert after.audit == prepared.audit
    assert after.manifest is after.store.manifest
    assert after.manifest[prepared.manifest.columns.tolist()].equals(prepared.manifest)


def test_people_of_two_data_sets_are_counted_apart(run, source):
    source.rows["source"] = ["here", "here", "here", "there", "here", "here"]
    assert run().audit["people"] == 3
    source.rows.loc[3, ["subject", "album"]] = ["s1", "a1"]
    audit = run().audit
    assert (audit["people"], audit["albums"]) == (3, 2)


def test_the_second_time_nothing_is_decoded(run, tmp_path, monkeypatch):
    first = run()
    forbid_decoding(monkeypatch)
    said = []
    second = run(announce=said.append)
    assert second.store.folder == first.store.folder
    assert second.audit == first.audit
    assert said == []
    assert len(stores(tmp_path)) == 1


def test_a_run_that_lost_its_audit_makes_it_again(run):
    first = run()
    first.audit_path.unlink()
    second = run()
    assert second.audit == first.audit
    assert second.store.folder == first.store.folder


def test_a_broken_audit_is_made_again(run):
    first = run()
    first.audit_path.write_text("{")
    assert run().audit == first.audit


def test_an_altered_store_is_not_used(run):
    folder = run().store.folder
    (folder / "pixels.u8").write_bytes(bytes(4 * 900))
    with pytest.raises(UserError, match=str(folder)):
        run()


def touch(source):
    os.utime(source.root / "1.jpg", ns=(1, 1))


def replace(source):
    stat = (source.root / "1.jpg").stat()
    (source.root / "1.jpg").write_bytes((source.root / "2.jpg").read_bytes())
    os.utime(source.root / "1.jpg", ns=(stat.st_atime_ns, stat.st_mtime_ns))


def relabel(source):
    source.rows.loc[0, "age_group"] = "4-6"


def drop(source):
    source.rows.loc[0, "dropped"] = "by hand"


@pytest.mark.parametrize("change", [touch, replace, relabel, drop])
def test_changed_content_gets_a_store_of_its_own(run, source, tmp_path, change):
    keys = [run().store.key]
    change(source)
    keys.append(run().store.key)
    assert keys[0] != keys[1]
    assert len(stores(tmp_path)) == 2


def test_changed_settings_get_a_store_of_their_own(run, tmp_path):
    plain, wide = run(), run(spec=SPEC | {"margin": 4})
    assert plain.store.key != wide.store.key
    assert wide.store.shape == (4, 32, 32, 1)
    assert run(spec=dict(reversed(SPEC.items()))).store.key == plain.store.key
    assert [path.name for path in stores(tmp_path)] == sorted(
        f"tiny-{one.store.key[:12]}" for one in (plain, wide)
    )


def test_what_is_dropped_or_unlisted_does_not_change_the_key(run, source):
    key = run().store.key
    (source.root / "4.jpg").unlink()
    (source.root / "notes.txt").touch()
    assert run().store.key == key


def content_of(source, name):
    return hashlib.blake2b((source.root / name).read_bytes(), digest_size=16).hexdigest()


def test_listed_pictures_are_left_out_and_the_store_is_another(run, source, tmp_path):
    plain = run().store
    path = tmp_path / "exclude.csv"
    path.write_text(
        "path,content,reason\n"
        f"1.jpg,{content_of(source, '1.jpg')},not a face\n"
        f"2.jpg,{content_of(source, '3.jpg')},another file by now\n"
        f"elsewhere.jpg,{content_of(source, '3.jpg')},unknown\n"
    )
    prepared = run(exclude=path)
    assert prepared.store.key != plain.key
    assert prepared.store.manifest["path"].tolist() == ["0.jpg", "2.jpg", "3.jpg"]
    assert prepared.audit["dropped"] == {"no label": 1, "duplicate row": 1, "excluded": 1}
    assert prepared.audit["kept"] == 3
    assert prepared.audit["notes"] == [
        *source.notes,
        "exclusion list: kept 1 whose file has changed since, such as 2.jpg",
        "exclusion list: 1 of 3 paths are not in this data set, such as elsewhere.jpg",
    ]
    assert run(exclude=path).store.key == prepared.store.key
    path.write_text("path,content,reason\n")
    assert run(exclude=path).store.key not in (plain.key, prepared.store.key)
    assert run().store.key == plain.key


def test_a_malformed_exclusion_list_stops_before_anything_is_read(run, source, tmp_path):
    source.rows = None
    with pytest.raises(UserError, match=r"data\.exclude=.*no such file"):
        run(exclude=tmp_path / "exclude.csv")
    assert not (tmp_path / "prepared").exists()


def test_stores_of_an_earlier_format_are_not_used(run, monkeypatch):
    keys = [run().store.key]
    monkeypatch.setattr(module, "_FORMAT", module._FORMAT - 1)
    keys.append(run().store.key)
    assert keys[0] != keys[1]


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
def test_an_impossible_share_is_refused(run, tmp_path, share):
    with pytest.raises(UserError, match=rf"data\.max_missing={share} must lie between 0 and 1"):
        run(max_missing=share)
    assert not (tmp_path / "prepared").exists()


def unreadable(source):
    for path in source.root.iterdir():
        path.write_bytes(b"")


def absent(source):
    for path in source.root.iterdir():
        path.unlink()


def unlisted(source):
    source.rows = source.rows[:0]


@pytest.mark.parametrize("change", [unreadable, absent, unlisted])
def test_nothing_usable_is_an_error_every_time(run, source, tmp_path, change):
    change(source)
    for _ in range(2):
        with pytest.raises(UserError, match="no usable picture in") as caught:
            run(max_missing=1)
        (audit_path,) = (tmp_path / "prepared").glob("*/audit.json")
        assert str(source.root) in str(caught.value)
        assert str(audit_path) in str(caught.value)
        assert json.loads(audit_path.read_text())["kept"] == 0


def test_work_is_announced_and_its_progress_told(run):
    said, seen = [], []
    run(announce=said.append, progress=lambda *counts: seen.append(counts))
    assert len(said) == 2
    assert said[1] == "looking for near-duplicates among 4 pictures"
    assert said[0].startswith("preparing 4 pictures of tiny in ")
    assert seen[-1] == (4, 4)
