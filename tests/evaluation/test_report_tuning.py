import dataclasses
import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from believable_runs import GENDER, faces, make_run, make_search

from facialnet.evaluation.report import content
from facialnet.evaluation.report.importance import importances
from facialnet.evaluation.report.page import html
from facialnet.evaluation.report.parallel import parallel_chart, scale_of, score_scale
from facialnet.evaluation.report.rows import results_csv
from facialnet.evaluation.report.setups import setups_of
from facialnet.evaluation.report.tables import markdown
from facialnet.evaluation.report.tuning import tuning
from facialnet.evaluation.runs import find_runs

MANIFEST = faces(200, people=40)
ONLY_GENDER = {"tasks": {"gender": GENDER}}


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """Twelve trials: 3 failed, 4 and 9 pruned."""
    folder = tmp_path_factory.mktemp("tuning") / "search"
    return make_search(folder, MANIFEST, 12, resamples=10, **ONLY_GENDER)


@pytest.fixture(scope="module")
def report(search):
    """With the details of two setups instead of four, which saves time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "_BEST", 2)
        return content.gather(find_runs(search), sweeps=[search])


def grid(folder, values, **about):
    """Write one bare run for each pair of two settings' values."""
    for number, (rate, widths, reached) in enumerate(values):
        make_run(
            folder / f"{number}",
            MANIFEST,
            bare=True,
            validation=reached,
            settings={"optimizer.lr": rate, "model.head.hidden": widths},
            **ONLY_GENDER,
            **about,
        )
    return tuning(setups_of(find_runs(folder)), {})


def test_trials_are_sorted_by_validation_accuracy_and_the_finished_ones_come_first(report, search):
    runs = {run.folder.name: run for run in find_runs(search)}
    trials = report.tuning.trials
    assert set(report.tuning.names.values()) == {"lr", "batch_size", "hidden", "dropout"}
    done = [run for run in runs.values() if run.done]
    expected = sorted((run.results["metrics"]["val/accuracy"] for run in done), reverse=True)
    assert [trial.validation for trial in trials[: len(done)]] == expected
    assert [trial.status for trial in trials] == ["done"] * 9 + ["pruned", "pruned", "failed"]
    assert trials[9].validation > trials[10].validation
    assert trials[11].validation is None
    best = max(done, key=lambda run: run.results["metrics"]["val/accuracy"])
    assert trials[0].values["optimizer.lr"] == best.settings["optimizer.lr"]
    accuracy = best.metrics["tasks"]["gender"]["scores"]["accuracy"]["value"]
    assert trials[0].test["gender"].value == accuracy
    assert trials[9].test == {}


def test_a_pruned_trial_is_never_the_best_however_good_it_looked(tmp_path):
    values = [(rate, [64], 0.5 + rate) for rate in (0.1, 0.2, 0.3)] + [(0.1, [128], 0.7)]
    grid(tmp_path, values)
    settings = {"optimizer.lr": 0.3, "model.head.hidden": [128]}
    make_run(tmp_path / "p", MANIFEST, status="pruned", validation=0.99, settings=settings)
    make_run(tmp_path / "q", MANIFEST, status="pruned", validation=0.98, settings=settings, seed=1)
    found = tuning(setups_of(find_runs(tmp_path)), {})
    assert found is not None
    assert [trial.validation for trial in found.trials] == pytest.approx([0.8, 0.7, 0.7, 0.6])


@pytest.mark.parametrize(
    ("values", "about"),
    [
        ([(0.1, [64], 0.5), (0.2, [128], 0.6), (0.3, [64], 0.7)], {}),  # three trials
        ([(rate, [64], rate) for rate in (0.1, 0.2, 0.3, 0.4)], {}),  # one setting
        ([(rate, [rate], rate) for rate in (0.1, 0.2, 0.3, 0.4)], {"status": "pruned"}),
    ],
)
def test_fewer_trials_or_settings_are_no_tuning(tmp_path, values, about):
    assert grid(tmp_path, values, **about) is None


def test_folds_and_seeds_are_no_settings_and_are_averaged(tmp_path):
    for seed in (0, 1):
        for number, rate in enumerate((0.1, 0.2, 0.3, 0.4)):
            make_run(
                tmp_path / f"{number}{seed}",
                MANIFEST,
                bare=True,
                seed=seed,
                validation=rate + 0.1 * seed,
                settings={"optimizer.lr": rate, "data.batch_size": number + 1},
                **ONLY_GENDER,
            )
    found = tuning(setups_of(find_runs(tmp_path)), {})
    assert [trial.validation for trial in found.trials] == pytest.approx([0.45, 0.35, 0.25, 0.15])


def test_other_networks_are_no_trials_of_the_same_search(tmp_path):
    values = [(rate, [width], rate) for rate, width in ((0.1, 1), (0.2, 1), (0.3, 2), (0.4, 2))]
    grid(tmp_path, values)
    other = {"model.backbone._target_": "facialnet.models.Tiny", "optimizer.lr": 0.5}
    make_run(tmp_path / "o", MANIFEST, bare=True, validation=0.9, settings=other, **ONLY_GENDER)
    found = tuning(setups_of(find_runs(tmp_path)), {})
    assert len(found.trials) == 4
    assert any("1 other setup" in note for note in found.notes)


def full_grid(score):
    cells = [(x, y) for x in range(6) for y in range(6)]
    return importances(
        {"x": [x for x, _ in cells], "y": [y for _, y in cells]}, [score(x, y) for x, y in cells]
    )


def test_importances_are_shares_of_the_variance_of_an_additive_function():
    shares, note = full_grid(lambda x, y: 0.02 * x + 0.01 * y)
    assert list(shares) == ["x", "y"]  # the greater one first
    assert shares["x"] == pytest.approx(4 / 5, abs=0.08)  # var(2 x) : var(y) = 4 : 1
    assert sum(shares.values()) == pytest.approx(1)
    assert "36 finished trials" in note
    assert full_grid(lambda x, y: 0.02 * x + 0.01 * y)[0] == shares


def test_a_setting_without_effect_does_not_matter_and_categories_do():
    shares, _ = full_grid(lambda x, y: 0.1 * y)
    assert shares["y"] > 0.95
    lists = [[512, 256], [64], True, None] * 5
    scores = [{"[64]": 0.9, "None": 0.2}.get(str(each), 0.5) for each in lists]
    noise = np.random.default_rng(0).uniform(0.001, 0.1, 20).tolist()
    assert importances({"noise": noise, "hidden": lists}, scores)[0]["hidden"] > 0.8


def test_where_importances_say_nothing_the_note_says_why(monkeypatch):
    assert full_grid(lambda x, y: 0.5) == (
        {},
        "Importances are not computed: all trials reached the same",
    )
    monkeypatch.setitem(sys.modules, "optuna", None)
    shares, note = full_grid(lambda x, y: 0.1 * x)
    assert shares == {}
    assert "pip install 'facialnet[sweep]'" in note


def test_without_optuna_the_page_has_the_trials_and_a_note(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    found = {id(each.setup): each for each in report.found}
    without = dataclasses.replace(report, tuning=tuning(report.setups, found), details=[])
    text = html(without)
    assert "optuna is not installed" in text
    assert "How much each setting matters" not in text
    assert 'aria-label="every trial' in text


def test_positive_numbers_over_a_decade_have_a_logarithmic_axis():
    assert scale_of([0.001, 0.01, 0.1]).places == pytest.approx([0, 0.5, 1])
    assert scale_of([1, 2, 4, 8, 16]).places == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert scale_of([0.0, 0.1, 10.0]).places == pytest.approx([0, 0.01, 1])
    assert scale_of([2, 4, 6]).places == pytest.approx([0, 0.5, 1])
    assert [text for _, text in scale_of([1e-5, 1e-3]).ticks] == ["1e-05", "0.001"]


def test_categories_stand_apart_in_the_order_of_their_numbers():
    scale = scale_of(["[512, 256]", "[64]", "[128, 64]", "[64]"])
    assert scale.ticks == [(0, "[64]"), (0.5, "[128, 64]"), (1, "[512, 256]")]
    assert scale.places == pytest.approx([1, 0, 0.5, 0])
    assert [text for _, text in scale_of([True, False]).ticks] == ["False", "True"]


@pytest.mark.parametrize("values", [np.geomspace(1e-4, 0.1, 30), np.linspace(3, 1000, 30)])
def test_many_numbers_have_few_ticks_with_room_between_them(values):
    ticks = scale_of(values.tolist()).ticks
    places = [at for at, _ in ticks]
    assert (places[0], places[-1]) == (0, 1)
    assert 4 <= len(ticks) <= 8
    assert min(np.diff(places)) > 0.05


def test_scores_that_are_all_alike_still_have_an_axis():
    assert score_scale([0.5, 0.5]).places == pytest.approx([0, 0])


def lines_of(chart):
    """Colour and dashes of each curve of the chart."""
    root = ET.fromstring(chart)
    paths = [e for e in root.iter() if e.tag.endswith("path") and " C " in e.get("d", "")]
    styles = [
        e.get("style", "") for e in paths if e.get("d").startswith("M") and "z" not in e.get("d")
    ]
    curves = [style for style in styles if "stroke: var(" in style]
    return [
        (re.search(r"stroke: var\(([\w-]+)\)", style).group(1), "dasharray" in style)
        for style in curves
    ]


def test_every_trial_is_a_line_and_the_best_finished_one_stands_out():
    chart = parallel_chart(
        {"lr": [0.1, 0.01, 0.001, 0.01, 0.1], "hidden": ["[1]", "[2]", "[1]", "[2]", "[2]"]},
        [0.5, 0.6, 0.7, 0.9, 0.8],
        [True, True, True, False, True],
        title="t",
        score="validation",
    )
    lines = lines_of(chart)
    assert len(lines) == 5
    assert lines[-1] == ("--series-2", False)  # drawn over all others
    assert [colour for colour, _ in lines].count("--series-2") == 1
    assert sum(dashed for _, dashed in lines) == 1
    assert {"--rank-1", "--rank-4"} > {lines[0][0]}  # the worst is drawn first
    for text in ("lr", "hidden", "validation", "[1]", "[2]", "0.001", "90 %"):
        assert f">{text}<" in chart


def test_the_page_and_the_tables_show_it(report):
    text = html(report)
    assert 'id="settings"' in text
    assert "[1024, 512, 256]" in text
    assert "How much each setting matters" in text
    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    assert {"--rank-1", "--rank-4"} <= used <= set(re.findall(r"(--[\w-]+):", text))
    tables = markdown(report)
    assert "## What the settings do" in tables
    rows = [line for line in tables.splitlines() if "| done |" in line or "| pruned |" in line]
    assert len(rows) >= 11
    assert "| setting | share of the variance |" in tables


def test_failed_and_pruned_trials_are_listed_and_do_not_disturb(report):
    assert [(each.status, each.why) for each in report.stopped] == [("failed", "no memory")]
    assert "pruned, so without figures: " in " ".join(report.notes)
    assert len(report.results) == len(report.found) == 9
    assert "no memory" in html(report)


def test_a_pruned_fold_is_left_out_of_the_mean(tmp_path):
    for fold in (0, 1, 2):
        status = "pruned" if fold == 2 else "done"
        make_run(
            tmp_path / f"{fold}", MANIFEST, fold=fold, status=status, plain=True, **ONLY_GENDER
        )
    (setup,) = setups_of(find_runs(tmp_path))
    assert [run.fold for run in setup.done] == [0, 1]
    assert setup.unfinished_folds == [2, 3, 4]


def test_of_many_setups_the_best_few_are_shown_in_detail_and_all_stand_in_the_tables(report):
    shown = [detail.found.setup.label for detail in report.details]
    best = [trial.label for trial in report.tuning.trials[:2]]
    assert shown == best
    assert "2 of 9 setups" in report.which
    assert report.which in html(report)
    table = results_csv(report)
    assert all(setup.label in table.replace('"', "") for setup in report.setups)
    compared = {name for row in report.pairs.records for name in (row["first"], row["second"])}
    assert compared == {trial.label for trial in report.tuning.trials[:8]}
