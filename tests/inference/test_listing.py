import os
import tracemalloc
from pathlib import Path

import pytest

from facialnet.inference import listing
from facialnet.inference.listing import files_below, sorted_names


def names(folder):
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


@pytest.fixture
def tree(tmp_path):
    for name in ("b.jpg", "a/2.jpg", "a/1.jpg", "a/10.jpg", "c/d/e.jpg", ".hidden/f.jpg", ".g.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_files_come_in_the_order_of_their_names_without_hidden_ones(tree):
    assert names(tree) == ["a/1.jpg", "a/10.jpg", "a/2.jpg", "b.jpg", "c/d/e.jpg"]


def test_links_to_files_are_followed_those_to_folders_are_not(tree):
    (tree / "again").symlink_to(tree)
    (tree / "z.jpg").symlink_to(tree / "b.jpg")
    (tree / "nowhere.jpg").symlink_to(tree / "none.jpg")
    assert names(tree)[-2:] == ["nowhere.jpg", "z.jpg"]
    assert not any(name.startswith("again") for name in names(tree))


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_names_that_are_no_unicode_come_too(tmp_path):
    odd = os.fsencode(tmp_path) + b"/\xff\xfe.jpg"
    Path(os.fsdecode(odd)).touch()
    assert [os.fsencode(path) for path in files_below(tmp_path)] == [odd]


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 500])
def test_many_names_are_sorted_through_a_file_alike(monkeypatch, count):
    monkeypatch.setattr(listing, "_IN_MEMORY", 50)
    entries = [(b"%d" % (n * 7919 % 1009), n % 2 == 0) for n in range(count)]
    assert list(sorted_names(iter(entries))) == sorted(entries)


def test_a_folder_that_is_gone_counts_as_empty(tmp_path):
    assert names(tmp_path / "gone") == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_names():
    def peak(count):
        entries = ((b"some/long/folder/name/picture_%08d.jpg" % n, False) for n in range(count))
        tracemalloc.start()
        seen = sum(1 for _ in sorted_names(entries))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert seen == count
        return most

    peak(30_000)
    assert peak(400_000) < 1.2 * peak(50_000)
