import csv
import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from facialnet.errors import UserError
from facialnet.inference.answers import FaceAnswer, PhotoAnswer, TaskAnswer
from facialnet.inference.output.choice import format_of, open_output
from facialnet.inference.output.done import Done, row_key
from facialnet.inference.output.settings import journal_path, settings_path
from facialnet.inference.photos import Photo
from facialnet.labels import Task

TASKS = {
    "gender": Task("gender", "gender", ("male", "female")),
    "age": Task("age", "age_group", ("0-2", "60+"), ordinal=True),
}
SETTINGS = {"checkpoint": "abc", "threshold": 0.5}
KINDS = ("jsonl", "csv", "parquet")


def face(x, p=0.75, sure=True):
    gender = TaskAnswer("female", 1, p, {"male": 1 - p, "female": p}, sure=sure)
    age = TaskAnswer("60+", 1, 0.6, {"0-2": 0.4, "60+": 0.6}, True, 42.4)
    return FaceAnswer((x, 2.0, 3.5, 4.0), 0.9, {"gender": gender, "age": age})


ANSWERS = [
    PhotoAnswer("a.jpg", faces=(face(1.0), face(2.0, 0.55, False))),
    PhotoAnswer('odd "name",\n2.jpg', error="empty file"),
    PhotoAnswer("ü.jpg", no_face="skip"),
    PhotoAnswer("film.mp4", faces=(face(3.0),), frame=0, time=0.0),
    PhotoAnswer("film.mp4", faces=(face(4.0), face(5.0)), frame=1, time=0.04),
]


def opened(path, **options):
    given = {"settings": SETTINGS} | options
    return open_output(path.suffix[1:], path, TASKS, **given)


def write(path, answers, **options):
    output = opened(path, **options)
    for answer in answers:
        if Photo(answer.path, frame=answer.frame).key not in output.done:
            output.write(answer)
    output.close()
    return path


def read(path):
    """The rows of a file as its own kind of reader gives them."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    return pq.read_table(path).to_pylist()


@pytest.fixture(params=KINDS)
def path(request, tmp_path):
    return tmp_path / "sub" / f"a.{request.param}"


def test_json_lines_hold_the_plain_answers(tmp_path):
    assert read(write(tmp_path / "a.jsonl", ANSWERS)) == [answer.plain() for answer in ANSWERS]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_have_a_row_for_each_face(tmp_path, kind):
    path = write(tmp_path / f"a.{kind}", ANSWERS)
    table = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    assert list(table["path"]) == [
        *("a.jpg", "a.jpg", 'odd "name",\n2.jpg', "ü.jpg", "film.mp4", "film.mp4", "film.mp4")
    ]
    assert list(table["faces"]) == [2, 2, 0, 0, 1, 2, 2]
    assert list(table["face"].dropna()) == [0, 1, 0, 0, 1]
    assert list(table["x"].dropna()) == [1, 2, 3, 4, 5]
    assert table["error"][2] == "empty file"
    assert table["no_face"][3] == "skip"
    assert list(table["frame"].dropna()) == [0, 1, 1]
    assert table["gender"][1] == "female"
    assert table["gender_p_female"][1] == pytest.approx(0.55)
    assert list(table["gender_not_sure"][:2].astype(bool)) == [False, True]
    assert table["age_expected_years"][0] == pytest.approx(42.4)
    assert table["age_index"][0] == 1


def test_a_stop_after_any_photo_changes_nothing(path):
    whole = read(write(path.with_stem("whole"), ANSWERS))
    for number in range(len(ANSWERS) + 1):
        part = path.with_stem(f"part{number}")
        write(part, ANSWERS[:number])
        assert read(write(part, ANSWERS)) == whole, number


@pytest.mark.parametrize("restart", [False, True])
def test_two_runs_do_not_write_one_file(path, restart):
    first = opened(path)
    first.write(ANSWERS[0])
    first.flush()
    with pytest.raises(UserError, match=r"another run is writing .*a\."):
        opened(path, restart=restart)
    first.close()
    assert read(path)
    opened(path, restart=restart).close()


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_kill_at_any_byte_changes_nothing(tmp_path, kind):
    whole = write(tmp_path / f"whole.{kind}", ANSWERS)
    content = whole.read_bytes()
    for end in range(0, len(content), 7):
        part = write(tmp_path / f"part.{kind}", [], restart=True)
        part.write_bytes(content[:end])
        assert write(part, ANSWERS).read_bytes() == content, end


def test_a_kill_while_parquet_is_gathered_changes_nothing(tmp_path):
    whole = read(write(tmp_path / "whole.parquet", ANSWERS))
    path = tmp_path / "a.parquet"
    killed = opened(path)
    for answer in ANSWERS[:3]:
        killed.write(answer)
    killed.flush()  # and no close
    del killed  # the system lets go of a dead process's files
    with journal_path(path).open("ab") as file:
        file.write(b'{"path": "half')
    assert not path.exists()
    assert read(write(path, ANSWERS)) == whole
    assert sorted(each.name for each in tmp_path.glob("a.*")) == [
        "a.parquet",
        "a.parquet.settings.json",
    ]


def test_a_kill_between_the_last_two_steps_of_parquet_doubles_nothing(tmp_path):
    path = write(tmp_path / "a.parquet", ANSWERS)
    whole = read(path)
    lines = write(tmp_path / "b.jsonl", ANSWERS).read_bytes()
    journal_path(path).write_bytes(lines)  # the file is there, its journal was not yet removed
    assert read(write(path, ANSWERS)) == whole


def test_more_photos_are_added_to_what_is_done(path):
    write(path, ANSWERS[:2])
    more = [*ANSWERS[:2], PhotoAnswer("b.jpg", faces=(face(9.0),)), *ANSWERS[2:]]
    rows = read(write(path, more))
    assert {row["path"] for row in rows} == {answer.path for answer in more}
    assert len(rows) == (6 if path.suffix == ".jsonl" else 8)


def test_other_settings_are_refused_and_named(path):
    write(path, ANSWERS[:1])
    before = path.read_bytes()
    with pytest.raises(
        UserError, match=r"begun with threshold 0\.5, and now it is 0\.6: .*restart"
    ):
        opened(path, settings=SETTINGS | {"threshold": 0.6})
    assert path.read_bytes() == before


def test_restart_begins_anew(path):
    write(path, ANSWERS)
    rows = read(write(path, ANSWERS[:1], restart=True, settings={"threshold": 0.9}))
    assert {row["path"] for row in rows} == {"a.jpg"}
    assert json.loads(settings_path(path).read_text()) == {"threshold": 0.9}


def test_a_foreign_file_is_not_touched(path):
    path.parent.mkdir()
    path.write_text("mine")
    with pytest.raises(UserError, match="is there already, without"):
        opened(path)
    assert path.read_text() == "mine"


def test_a_foreign_line_is_named(tmp_path):
    path = write(tmp_path / "a.jsonl", ANSWERS)
    path.write_text('{"path": "a", "faces": []}\n[1]\n')
    with pytest.raises(UserError, match="line 2: not a line of predictions"):
        opened(path)
    table = write(tmp_path / "a.csv", ANSWERS)
    table.write_text("path,other\n")
    with pytest.raises(UserError, match="has other columns"):
        opened(table)


def test_names_that_are_no_unicode_are_kept_apart(tmp_path):
    odd = [PhotoAnswer("\udcff.jpg"), PhotoAnswer("\udcfe.jpg")]
    for kind in ("jsonl", "csv"):
        path = write(tmp_path / f"a.{kind}", odd)
        size = path.stat().st_size
        assert write(path, odd).stat().st_size == size
    json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert len(pd.read_parquet(write(tmp_path / "a.parquet", odd))) == 2


def test_done_holds_what_was_added():
    done = Done()
    assert b"a" not in done
    for number in range(1000):
        done.add(row_key("a", number))
    assert all(row_key("a", number) in done for number in range(1000))
    assert not any(row_key("b", number) in done for number in range(1000))
    assert row_key("a", None) not in done
    assert len(done) == 1000


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        (None, None, "table"),
        ("jsonl", None, "jsonl"),
        (None, "a.JSONL", "jsonl"),
        (None, "a.parquet", "parquet"),
        ("csv", "a.txt", "csv"),
    ],
)
def test_the_format_follows_from_the_ending(tmp_path, name, path, expected):
    assert format_of(name, None if path is None else tmp_path / path) == expected


@pytest.mark.parametrize(
    ("name", "path", "reason"),
    [
        (None, "a.txt", "say the format by the ending"),
        ("table", "a.txt", "--format table is for the terminal"),
        ("parquet", None, "--format parquet needs --output"),
    ],
)
def test_formats_that_cannot_be(tmp_path, name, path, reason):
    with pytest.raises(UserError, match=reason):
        format_of(name, None if path is None else tmp_path / path)


def test_the_terminals_table(capsys):
    output = open_output("table", None, TASKS, settings={})
    for answer in ANSWERS:
        output.write(answer)
    output.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["photo", "box", "gender", "age"]
    assert "female 0.75" in lines[1]
    assert "60+ 0.60, 42 years" in lines[1]
    assert "not sure (female 0.55)" in lines[2]
    assert 'odd "name",?2.jpg' in lines[3]
    assert "cannot be read: empty file" in lines[3]
    assert "no face found" in lines[4]
    assert len(lines) == 1 + 7


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_to_a_pipe(kind, capfdbinary):
    output = open_output(kind, None, TASKS, settings={})
    output.write(ANSWERS[0])
    output.close()
    lines = capfdbinary.readouterr().out.splitlines()
    assert len(lines) == (1 if kind == "jsonl" else 3)
