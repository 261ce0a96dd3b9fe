import base64
import csv
import io
import re
from html.parser import HTMLParser

import pytest
from believable_runs import CLAIM, GENDER, STAMP, faces, make_folds, make_run

from facialnet.evaluation.report.card import model_card
from facialnet.evaluation.report.content import gather
from facialnet.evaluation.report.measured import Score
from facialnet.evaluation.report.page import html
from facialnet.evaluation.report.rows import results_csv
from facialnet.evaluation.report.tables import markdown, markdown_table
from facialnet.evaluation.report.text import (
    DASH,
    difference,
    ends,
    p_value,
    percent,
    points,
    with_ends,
)
from facialnet.evaluation.runs import find_runs

MANIFEST = faces(500, people=60)
VOID = {"meta", "link", "img", "br", "input", "hr", "path", "use"}
HOSTILE = "<script>alert('x')</script> $a_b$ & \"more\""


class Page(HTMLParser):
    """Collects elements and complains about bad nesting."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.names, self.text = [], [], set(), []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("page") / "r", MANIFEST)
    return gather(find_runs(folder))


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    """A leaky run beside an honest one, with a hostile name, of a data set without people."""
    folder = tmp_path_factory.mktemp("leaky")
    unknown = MANIFEST.assign(subject=None, race=None).astype({"subject": "str", "race": "str"})
    about = {"tasks": {"gender": GENDER}, "results": {"name": HOSTILE}}
    make_run(folder / "a", MANIFEST, settings={"optimizer.lr": HOSTILE}, **about)
    make_run(folder / "b", unknown, fold=None, protocol="random_image", stamp=STAMP, **about)
    return gather(find_runs(folder))


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    folder = make_folds(tmp_path_factory.mktemp("folds") / "f", MANIFEST, folds=(0, 1, 3))
    make_run(folder / "two", MANIFEST, fold=2, status="interrupted")
    return gather(find_runs(folder))


@pytest.mark.parametrize("name", ["single", "leaky", "folds"])
def test_the_page_is_well_formed_and_needs_nothing_else(name, request):
    text = html(request.getfixturevalue(name))
    page = Page(text)
    assert {"table", "svg", "img", "details"} <= page.names
    assert "script" not in page.names
    elsewhere = [a for a in page.addresses if not a.startswith(("data:", "#"))]
    assert elsewhere == []
    assert not re.search(r"@import|url\((?!#)", text)
    anchors = {a[1:] for a in page.addresses if a.startswith("#")}
    assert anchors <= set(re.findall(r'id="([^"]+)"', text))


def test_charts_take_the_colours_of_the_page(single):
    text = html(single)
    assert "#0001" not in text
    assert "#0002" not in text
    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    assert {"--series-1", "--series-2", "--ink", "--line"} <= used
    assert used <= set(re.findall(r"(--[\w-]+):", text))


def test_the_page_shows_every_section(single):
    text = " ".join("".join(Page(html(single)).text).split())
    for words in (
        "Confusion matrix",
        "By class",
        "every person counts the same",
        "How far age probabilities can be believed",
        "uncalibrated",
        "Conformal sets that promise 90",
        "By age and gender",
        "too small",
        "Wrong, most certain first",
        "Feature maps of 5 layers",
        "multiply-adds for an image",
        "python -m facialnet.train +experiment=adience_aug data.root=data/adience",
        "cosine between the tasks' gradients",
        "No person, album, photo or file shared between test and training.",
    ):
        assert words in text


def test_feature_maps_come_in_the_order_of_the_network(single):
    names = [picture.name for picture in single.details[0].feature_maps]
    assert names == ["input", "conv1", "conv2", "conv10", "kernels"]


def test_faces_are_those_of_the_run_with_their_own_answers(single):
    detail = single.details[0]
    table = detail.run.predictions.set_index("path")
    folder = detail.run.folder / "gallery"
    for task in detail.tasks:
        name = task.task.name
        assert {face.right for face in task.faces["right"]} == {True}
        assert {face.right for face in task.faces["wrong"]} == {False}
        for face in task.faces["uncertain"]:
            row = table.loc[face.path]
            assert base64.b64decode(face.png) == (folder / f"{row['row']}.png").read_bytes()
            assert (face.truth, face.predicted) == (row[f"{name}_true"], row[f"{name}_predicted"])
            label, probability = face.probabilities[0]
            assert label == face.predicted
            assert probability == pytest.approx(row[f"{name}_p_{label}"])


def test_pooled_faces_keep_to_their_own_run(folds):
    faces_shown = [face for kind in folds.details[0].tasks[0].faces.values() for face in kind]
    runs = {run.folder: set(run.predictions["path"]) for run in folds.details[0].found.setup.done}
    sources = {
        folder for face in faces_shown for folder, paths in runs.items() if face.path in paths
    }
    assert len(sources) > 1
    assert len(faces_shown) > len(folds.details[0].tasks[0].faces) * 4


def test_the_stamp_stands_wherever_a_figure_does(leaky):
    label = next(s.label for s in leaky.setups if s.stamp)
    assert STAMP in " ".join(Page(html(leaky)).text).replace("\xa0", " ")
    lines = [line for line in markdown(leaky).splitlines() if line.startswith(f"| {label} |")]
    assert lines
    assert all(STAMP in line for line in lines)
    rows = [row for row in csv.DictReader(io.StringIO(results_csv(leaky))) if row["setup"] == label]
    assert rows
    assert {row["stamp"] for row in rows} == {STAMP}
    cards = model_card(leaky).split("\n---\n")
    assert [STAMP in card for card in cards] == [False, True]


def test_hostile_names_stay_text(leaky):
    assert "<script>" not in html(leaky)
    assert "&lt;script&gt;" in html(leaky)
    assert "<script>" not in markdown(leaky)


def test_unknown_people_are_said(leaky):
    assert "clustered on people where they are known" in leaky.people
    card = model_card(leaky).split("\n---\n")[1]
    assert "does not say who is who" in card
    assert "people not known" in card
    assert "no labels of race" in card


def test_missing_folds_are_said_everywhere(folds):
    note = "eft out of mean and pooled figures: fold 4 missing; fold 2: interrupted"
    page = " ".join("".join(Page(html(folds)).text).split())
    assert note in page
    assert "over 3 of 5 folds" in page
    assert note in markdown(folds)
    assert "mean ± sd over 3 of 5 folds" in markdown(folds)
    assert "Folds without a finished run, not in the figures: 2, 4." in model_card(folds)
    rows = list(csv.DictReader(io.StringIO(results_csv(folds))))
    status = {row["fold"]: row["status"] for row in rows if row["fold"]}
    assert status == {"0": "done", "1": "done", "2": "interrupted", "3": "done", "4": "missing"}


def test_the_csv_has_every_score_of_every_run(folds):
    rows = list(csv.DictReader(io.StringIO(results_csv(folds))))
    run = folds.details[0].found.setup.done[1]
    for task, entry in run.metrics["tasks"].items():
        for key, weighting in (("scores", "image"), ("per_person", "person")):
            for score, record in entry[key].items():
                (row,) = [
                    row
                    for row in rows
                    if (row["run"], row["task"], row["score"], row["weighting"])
                    == ("fold 1", task, score, weighting)
                ]
                assert float(row["value"]) == pytest.approx(record["value"], abs=1e-6)
                assert float(row["low"] or "nan") == pytest.approx(
                    float("nan") if record["low"] is None else record["low"], abs=1e-6, nan_ok=True
                )
    claims = {
        (row["task"], row["score"]): row["claim"] for row in rows if row["claim"] and row["fold"]
    }
    assert claims == {("gender", "accuracy"): "0.942", ("age", "accuracy"): "0.728"}
    assert {row["run"] for row in rows} >= {"mean", "pooled"}


def test_the_card_names_the_worst_group_and_the_gap(folds):
    card = model_card(folds)
    found = folds.details[0].tasks[0].subgroups["gender"]
    worst = with_ends(Score.of(found["worst"]))
    assert f"Gender by gender: worst {found['worst']['group']}, {worst}; best " in card
    assert f"gap {100 * found['gap']['value']:.1f} points" in card


def test_the_card_says_what_a_reader_must_know(single):
    card = model_card(single)
    for words in (
        "Licence: research only; photographs from Flickr",
        "official fold 0; no person, album, photo or file shared",
        "No decisions about people",
        "not a person's identity",
        f"{CLAIM['source']}: gender 94.2 %, age 72.8 %; split: not stated",
        "Sets that promise 90 %",
        "groups have too few images or people to judge",
        "174.6 M",
        "torch 2.14.1",
    ):
        assert words in card
    assert "\n\n\n" not in card
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1


def test_figures_as_text():
    assert percent(0.8724) == "87.2 %"
    assert percent(None) == DASH
    assert with_ends(Score(0.5, 0.4, 0.61)) == f"50.0 % (40.0{DASH}61.0)"
    assert with_ends(Score(0.5)) == "50.0 %"
    assert ends(Score(0.5, 0.4, 0.61), "nll") == f"0.400{DASH}0.610"
    assert points(-0.04) == "0.0"
    assert points(-1.26) == "\N{MINUS SIGN}1.3"
    assert difference(Score(0.02, -0.011, 0.053)) == "+2.0 (\N{MINUS SIGN}1.1 to +5.3)"
    assert (p_value(0.0002), p_value(0.031)) == ("< 0.001", "0.031")


def test_cells_cannot_break_a_markdown_table():
    table = markdown_table(["a", "b"], [["x|y", "<b>\nz"]])
    assert table.splitlines()[2] == "| x\\|y | &lt;b> z |"
