"""The drawn faces: the same everywhere, complete, and as dirty as the real Adience files."""

import json
from collections import defaultdict

import cv2
import numpy as np
import pytest

from facialnet.data.drawn.face import draw_face
from facialnet.data.drawn.listing import make_listing
from facialnet.data.drawn.people import make_person
from facialnet.data.drawn.shot import make_shot
from facialnet.data.drawn.tree import picture_path, write_tree
from facialnet.data.sources.drawn import DrawnSource
from facialnet.errors import UserError
from facialnet.labels import age_group_of_text

OFFICIAL_HEADER = (
    "user_id original_image face_id age gender x y dx dy tilt_ang fiducial_yaw_angle fiducial_score"
)
SETTINGS = {"images": 200, "seed": 3, "side": 96}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn") / "tree"
    write_tree(root, **SETTINGS, processes=1)
    return root


@pytest.fixture(scope="module")
def listing():
    return make_listing(images=2000, seed=0)


def files_of(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def rows_of(path):
    content = path.read_text()
    assert content.endswith("\n")
    header, *lines = content.splitlines()
    assert header.split("\t") == OFFICIAL_HEADER.split()
    return [line.split("\t") for line in lines]


def test_files_do_not_depend_on_the_number_of_processes(tree, tmp_path):
    seen = []
    write_tree(
        tmp_path / "tree", **SETTINGS, processes=2, progress=lambda *counts: seen.append(counts)
    )
    assert files_of(tmp_path / "tree") == files_of(tree)
    assert seen == [(done, 200) for done in range(1, 201)]
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_another_seed_gives_other_people_and_pictures():
    first, second = (make_listing(images=200, seed=seed) for seed in (0, 1))
    assert first == make_listing(images=200, seed=0)
    assert first.people[0] != second.people[0]
    paths = [{picture_path(picture) for picture in one.pictures} for one in (first, second)]
    assert paths[0].isdisjoint(paths[1])


def test_lists_and_pictures_fit_together(tree):
    rows = [row for fold in range(5) for row in rows_of(tree / f"fold_{fold}_data.txt")]
    assert all(len(row) == 12 for row in rows)
    listed = {f"aligned/{row[0]}/landmark_aligned_face.{row[2]}.{row[1]}" for row in rows}
    on_disk = {name for name in files_of(tree) if name.startswith("aligned/")}
    assert len(listed) == 200
    assert on_disk < listed
    assert len(listed - on_disk) == 1
    sizes = {cv2.imread(str(tree / name)).shape for name in sorted(on_disk)[:20:5]}
    assert sizes == {(96, 96, 3)}
    assert json.loads((tree / "drawn.json").read_text()) == {**SETTINGS, "version": 1}


def test_frontal_lists_hold_the_rows_without_yaw(tree):
    for fold in range(5):
        rows = rows_of(tree / f"fold_{fold}_data.txt")
        frontal = rows_of(tree / f"fold_frontal_{fold}_data.txt")
        assert frontal == [row for row in rows if row[10] == "0"]
        assert 0 < len(frontal) < len(rows)


@pytest.mark.parametrize("images", [200, 2000])
def test_every_kind_of_dirt_is_there_and_rare(images):
    pictures = make_listing(images=images, seed=0).pictures
    assert len(pictures) == images
    ages = {picture.age for picture in pictures}
    odd = {"None", "35", "13", "(25, 23)", "(27, 32)", "(38, 42)", "(38, 48)", "(8, 23)"}
    assert odd <= ages
    assert {picture.gender for picture in pictures} == {"f", "m", "u", ""}
    flaws = [picture.flaw for picture in pictures if picture.flaw]
    assert set(flaws) == {"missing", "empty", "truncated", "not_an_image"}
    assert len(flaws) <= max(4, images // 100)
    assert 2 <= sum(picture.listed_twice for picture in pictures) <= images // 50
    labelled = sum(age_group_of_text(picture.age, "exact") is not None for picture in pictures)
    assert labelled > 0.8 * images


def test_broken_files_are_broken_as_declared(tree):
    flawed = {p.flaw: tree / picture_path(p) for p in make_listing(images=200, seed=3).pictures}
    assert not flawed["missing"].exists()
    assert flawed["empty"].read_bytes() == b""
    assert not flawed["not_an_image"].read_bytes().startswith(b"\xff\xd8")
    truncated = flawed["truncated"].read_bytes()
    assert truncated.startswith(b"\xff\xd8")
    assert not truncated.endswith(b"\xff\xd9")


def test_no_person_album_or_photo_is_on_two_folds(listing):
    for key in ("face_id", "album", "photo"):
        folds = defaultdict(set)
        for picture in listing.pictures:
            folds[getattr(picture, key)].add(picture.fold)
        assert all(len(found) == 1 for found in folds.values())
    assert len({picture.album for picture in listing.pictures}) >= 30
    albums = defaultdict(set)
    for picture in listing.pictures:
        albums[picture.face_id].add(picture.album)
    assert all(len(found) == 1 for found in albums.values())


def test_every_fold_holds_every_class(listing):
    groups = [age_group_of_text(picture.age, "exact") for picture in listing.pictures]
    for fold in range(5):
        rows = [place for place, one in enumerate(listing.pictures) if one.fold == fold]
        assert len({groups[row] for row in rows} - {None}) == 8
        genders = [listing.pictures[row].gender for row in rows]
        assert min(genders.count("f"), genders.count("m")) > 0.3 * len(rows)
    shares = [groups.count(group) / len(groups) for group in set(groups) - {None}]
    assert min(shares) > 0.045
    assert max(shares) > 0.2


def test_few_people_have_many_pictures(listing):
    counts = np.sort(np.bincount([one.face_id for one in listing.pictures])[1:])[::-1]
    assert counts.min() >= 1
    assert 300 <= len(counts) <= 400
    assert 0.1 < counts[: len(counts) // 20].sum() / counts.sum() < 0.46


def test_shots_change_the_picture_and_not_the_person():
    person = make_person(0, 1, gender="female", years=30)
    assert person == make_person(0, 1, gender="female", years=30)
    shots = [make_shot(0, 1, photo, person) for photo in (1, 2)]
    assert shots[0] != shots[1]
    first, second = (draw_face(person, shot, 64) for shot in shots)
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, draw_face(person, shots[0], 64))
    assert not np.array_equal(first, second)


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        write_tree(tmp_path, **SETTINGS)
    with pytest.raises(UserError, match="something other than drawn faces"):
        DrawnSource(root=str(tmp_path)).read()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_leaves_no_half_tree(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tree(tmp_path / "tree", **SETTINGS, processes=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_settings_out_of_range_are_refused():
    with pytest.raises(UserError, match=r"data\.source\.images=10"):
        make_listing(images=10, seed=0)
    with pytest.raises(UserError, match=r"data\.source\.seed=-1"):
        make_listing(images=200, seed=-1)


def test_source_draws_once_and_refuses_other_settings(tmp_path):
    root = tmp_path / "drawn"
    reading = DrawnSource(root=str(root), images=100).read()
    assert reading.name == "drawn"
    assert "MIT" in reading.licence
    written = (root / "drawn.json").stat().st_mtime_ns
    again = DrawnSource(root=str(root), images=100).read()
    assert again.rows.equals(reading.rows)
    assert (root / "drawn.json").stat().st_mtime_ns == written
    with pytest.raises(UserError, match=r"was drawn with images=100, seed=0"):
        DrawnSource(root=str(root), images=120).read()
