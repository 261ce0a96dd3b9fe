import statistics

import numpy as np
import pandas as pd
import pytest
from believable_runs import AGE, CLAIM, GENDER, STAMP, faces, make_folds, make_run

from facialnet.errors import UserError
from facialnet.evaluation.report.charts import CostPoint, cost_chart
from facialnet.evaluation.report.content import gather
from facialnet.evaluation.report.gap import clean_lines, gap_rows, unpaired
from facialnet.evaluation.report.measured import Score, Spread, measured, spread_of
from facialnet.evaluation.report.overview import result_rows, run_rows
from facialnet.evaluation.report.pairs import costs, paired
from facialnet.evaluation.report.setups import setups_of
from facialnet.evaluation.report.text import spread
from facialnet.evaluation.runs import find_runs

MANIFEST = faces(500, people=60)
ONLY_GENDER = {"tasks": {"gender": GENDER}}


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """Folds 0, 1 and 4 of five done, 2 interrupted, 3 missing."""
    folder = make_folds(tmp_path_factory.mktemp("figures") / "f", MANIFEST, folds=(0, 1, 4))
    make_run(folder / "two", MANIFEST, fold=2, status="interrupted")
    return setups_of(find_runs(folder))[0]


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """Two folds with two seeds each."""
    folder = tmp_path_factory.mktemp("repeated")
    for seed in (0, 1):
        for fold in (0, 1):
            make_run(folder / f"{fold}{seed}", MANIFEST, fold=fold, seed=seed, **ONLY_GENDER)
    return setups_of(find_runs(folder))[0]


@pytest.fixture(scope="module")
def rivals(tmp_path_factory):
    """Three setups: two networks on the official fold, and a leaky split."""
    folder = tmp_path_factory.mktemp("rivals")
    make_run(folder / "a", MANIFEST, **ONLY_GENDER)
    make_run(
        folder / "b",
        MANIFEST,
        skill=2.0,
        settings={"model.backbone._target_": "facialnet.models.Tiny"},
        results={"cost": {"parameters": 91_329, "multiply_adds": 30e6, "latency_ms": 1.7}},
        **ONLY_GENDER,
    )
    make_run(folder / "c", MANIFEST, fold=None, protocol="random_image", stamp=STAMP, **ONLY_GENDER)
    return [measured(setup) for setup in setups_of(find_runs(folder))]


def right(run, task="gender"):
    table = run.predictions.dropna(subset=f"{task}_true")
    return (table[f"{task}_true"] == table[f"{task}_predicted"]).to_numpy()


def test_pooled_accuracy_counts_every_image_of_every_finished_fold(folds):
    found = measured(folds)
    answers = np.concatenate([right(run) for run in folds.done])
    score = found.score("gender", "accuracy")
    assert score.value == pytest.approx(answers.mean())
    assert score.low < score.value < score.high
    assert found.images == len(answers)
    assert found.how == "answers of 3 of 5 folds together"
    assert found.pooled


def test_mean_and_deviation_are_over_the_finished_folds(folds):
    values = [right(run, "age").mean() for run in folds.done]
    spread = spread_of(folds, "age", "accuracy")
    assert spread.mean == pytest.approx(statistics.mean(values))
    assert spread.sd == pytest.approx(statistics.stdev(values))
    assert (spread.count, spread.over) == (3, "folds")
    assert spread_of(folds, "race", "accuracy") is None


def test_every_job_and_every_missing_fold_has_its_row(folds):
    rows = run_rows(folds)
    assert [(row.title, row.status) for row in rows] == [
        ("fold 0", "done"),
        ("fold 1", "done"),
        ("fold 2", "interrupted"),
        ("fold 3", "missing"),
        ("fold 4", "done"),
    ]
    assert rows[1].scores["gender/accuracy"].value == pytest.approx(right(folds.done[1]).mean())
    assert rows[2].scores["gender/accuracy"].value is None


def test_several_seeds_are_averaged_not_joined_to_an_ensemble(repeated):
    found = measured(repeated)
    by_seed = [
        np.concatenate([right(run) for run in repeated.done if run.seed == seed]).mean()
        for seed in (0, 1)
    ]
    assert found.score("gender", "accuracy").value == pytest.approx(np.mean(by_seed))
    assert found.images == sum(len(run.predictions) for run in repeated.done) / 2
    assert "mean over the seeds 0, 1" in found.how


def test_the_deviation_is_between_folds_after_seeds_are_averaged(repeated):
    means = [
        np.mean([right(run).mean() for run in repeated.done if run.fold == fold]) for fold in (0, 1)
    ]
    spread = spread_of(repeated, "gender", "accuracy")
    assert spread.sd == pytest.approx(np.std(means, ddof=1))
    assert (spread.count, spread.over, spread.seeds) == (2, "folds", 2)


def test_calibration_of_several_runs_is_their_mean(folds):
    calibration = measured(folds).metrics["tasks"]["age"]["calibration"]
    own = [run.metrics["tasks"]["age"]["calibration"] for run in folds.done]
    sets = [each["conformal"]["0.9"] for each in own]
    assert calibration["temperature"] == pytest.approx(1.3)
    assert calibration["conformal"]["0.9"]["mean_size"] == pytest.approx(
        np.mean([each["mean_size"] for each in sets])
    )


def test_overlapping_splits_have_a_mean_without_interval(tmp_path):
    for seed in (0, 1):
        make_run(
            tmp_path / f"s{seed}",
            MANIFEST,
            fold=None,
            seed=seed,
            protocol="holdout",
            settings={"protocol.seed": seed},
            **ONLY_GENDER,
        )
    found = measured(setups_of(find_runs(tmp_path))[0])
    values = [right(run).mean() for run in found.setup.done]
    assert found.score("gender", "accuracy") == Score(pytest.approx(np.mean(values)))
    assert "not pooled" in found.how


def test_the_result_stands_beside_claim_majority_and_protocol(folds):
    gender, age = result_rows([measured(folds)])
    assert (gender.task, age.task) == ("gender", "age")
    assert (gender.claim, age.claim) == (CLAIM["gender"], CLAIM["age"])
    assert (gender.claim_protocol, gender.protocol) == ("not stated", "official folds")
    assert gender.majority == pytest.approx(0.53)
    assert gender.one_off.value is None
    assert age.one_off.value > age.accuracy.value


def test_the_gap_is_to_the_least_leaky_protocol(rivals):
    official, _, leaky = rivals
    rows = gap_rows([official, leaky])
    assert [row.reference for row in rows] == [True, False]
    assert [row.label for row in rows] == [official.setup.label, leaky.setup.label]
    assert rows[1].stamp == STAMP
    assert rows[1].seen == pytest.approx(0.952, abs=0.01)
    gap = right(leaky.setup.done[0]).mean() - right(official.setup.done[0]).mean()
    assert rows[1].points["gender"].value == pytest.approx(gap)
    assert rows[1].points["gender"].low < gap < rows[1].points["gender"].high
    assert [row.name for row in rows] == ["official fold 0", "random images 80/20 seed 0"]
    assert clean_lines([official, leaky]) == []
    assert [row.reference for row in gap_rows([leaky, official])] == [True, False]


def test_another_network_is_no_matter_of_the_protocol(rivals):
    assert gap_rows(rivals[:2]) == []
    assert len(gap_rows(rivals)) == 2


def test_pairs_are_compared_on_the_same_images_or_marked(rivals):
    records = paired(rivals).records
    assert [record["comparable"] for record in records] == [True, False, False]
    first, second = (right(found.setup.done[0]) for found in rivals[:2])
    assert records[0]["only_first"] == (first & ~second).sum()
    assert records[0]["only_second"] == (second & ~first).sum()
    assert "test images differ" in records[1]["reason"]


def test_pairs_that_must_be_comparable_raise(rivals, folds):
    assert paired(rivals[:2], required=True).records[0]["comparable"]
    with pytest.raises(UserError, match=r"--paired: .*test images differ"):
        paired(rivals, required=True)
    with pytest.raises(UserError, match=r"--paired: "):
        paired([measured(folds)], required=True)


def test_folds_of_one_setup_are_no_pairs_but_seeds_are(folds, repeated):
    assert paired([measured(folds)]) is None
    records = paired([measured(repeated)]).records
    assert sum(record["comparable"] for record in records) == 2  # one pair of seeds in each fold


def test_setups_with_several_seeds_are_compared_by_one_of_them(repeated, tmp_path):
    other = {"settings": {"optimizer.lr": 0.01}, **ONLY_GENDER}
    folder = make_folds(tmp_path / "f", MANIFEST, folds=(0, 1), **other)
    runs = [*repeated.runs, *find_runs(folder)]
    found = paired([measured(setup) for setup in setups_of(runs)])
    assert "seed 0 alone" in found.notes[0]
    assert [record["comparable"] for record in found.records] == [True]


def test_a_damaged_job_is_marked_and_left_out(tmp_path):
    folder = make_folds(tmp_path / "f", MANIFEST, folds=(0, 1), **ONLY_GENDER)
    (folder / "protocol.test_fold-1" / "predictions.parquet").write_bytes(b"PAR1")
    report = gather(find_runs(folder), sweeps=[folder])
    assert [row.status for row in report.tables[0].rows][:2] == ["done", "damaged"]
    assert any("predictions.parquet is damaged" in note for note in report.notes)
    assert len(report.setups[0].done) == 1


def test_costs_are_compared_within_one_protocol(rivals):
    found = costs(rivals)
    assert list(found.table["name"]) == [rivals[0].setup.label, rivals[1].setup.label]
    assert list(found.table["parameters_front"]) == [False, True]  # better and cheaper
    assert len(found.charts) == 1
    assert costs([rivals[0], rivals[2]]) is None
    assert costs(rivals[:1]) is None


def test_a_task_without_labels_is_left_out(tmp_path):
    manifest = MANIFEST.assign(age_group=pd.Series([None] * len(MANIFEST), dtype="str"))
    run = make_run(tmp_path / "r", manifest, tasks={"gender": GENDER, "age": AGE})
    report = gather(find_runs(run))
    assert [row.task for row in report.results] == ["gender"]
    assert [task.task.name for task in report.details[0].tasks] == ["gender"]


def test_nothing_finished_is_an_error(tmp_path):
    make_run(tmp_path / "a", MANIFEST, status="interrupted")
    make_run(tmp_path / "b", MANIFEST, status="unfinished", fold=1)
    with pytest.raises(UserError, match=r"no run in here is finished .interrupted, unfinished"):
        gather(find_runs(tmp_path))


def test_the_interval_of_an_unpaired_difference_by_hand():
    found = unpaired(Score(0.9, 0.87, 0.92), Score(0.8, 0.76, 0.83))
    assert found.value == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1 - (0.03**2 + 0.03**2) ** 0.5)
    assert found.high == pytest.approx(0.1 + (0.02**2 + 0.04**2) ** 0.5)
    assert unpaired(Score(0.9), Score(0.8, 0.7, 0.9)) == Score(pytest.approx(0.1))
    assert unpaired(Score(None), Score(0.8)) == Score(None)


def test_random_images_are_set_against_random_people(tmp_path):
    people = {"protocol._target_": "facialnet.data.protocol.RandomSubject"}
    make_run(tmp_path / "a", MANIFEST, fold=None, protocol="holdout", settings=people)
    make_run(tmp_path / "b", MANIFEST, fold=None, protocol="random_image", skill=2.0)
    found = [measured(setup) for setup in setups_of(find_runs(tmp_path))]
    lines = clean_lines(found)
    gap = right(found[1].setup.done[0]).mean() - right(found[0].setup.done[0]).mean()
    assert len(lines) == 2
    assert f"gender {100 * gap:+.1f} points (" in lines[0]


def test_uncalibrated_is_like_with_like(tmp_path):
    folder = make_folds(tmp_path / "f", MANIFEST, folds=(0, 1), **ONLY_GENDER)
    runs = find_runs(folder)
    runs[0].results["calibration"]["gender"]["temperature"] = 2.0
    del runs[1].results["calibration"]["gender"]
    found = measured(setups_of(runs)[0])
    first, second = (run.predictions[["gender_p_male", "gender_p_female"]] for run in runs)
    undone = first.to_numpy(float) ** 2
    undone /= undone.sum(1, keepdims=True)
    every = np.concatenate([undone, second.to_numpy(float)])
    truth = np.concatenate([(run.predictions["gender_true"] == "female") for run in runs])
    expected = -np.log(every[np.arange(len(every)), truth.astype(int)]).mean()
    uncalibrated = found.metrics["tasks"]["gender"]["calibration"]["uncalibrated"]
    assert uncalibrated["nll"] == pytest.approx(expected, rel=1e-4)


def test_tasks_that_nobody_shares_are_no_pairs(tmp_path):
    make_run(tmp_path / "a", MANIFEST, tasks={"gender": GENDER})
    make_run(tmp_path / "b", MANIFEST, tasks={"age": AGE})
    found = [measured(setup) for setup in setups_of(find_runs(tmp_path))]
    assert paired(found) is None
    with pytest.raises(UserError, match="--paired: nothing to compare: no task"):
        paired(found, required=True)


def test_a_part_of_the_test_images_is_named(tmp_path):
    folder = make_run(tmp_path / "r", MANIFEST, results={"images_tested": 23}, **ONLY_GENDER)
    report = gather(find_runs(folder))
    asked = report.results[0].images_asked
    assert asked == len(find_runs(folder)[0].predictions)
    assert any(f"Only 23 of {asked} test images" in each for each in report.details[0].limits)


def test_a_mean_that_lacks_a_fold_says_over_how_many_it_is():
    assert spread(Spread(0.9, 0.01, 3, "folds", 1), 5) == "90.0 ± 1.0 % (n = 3)"
    assert spread(Spread(0.9, 0.01, 5, "folds", 1), 5) == "90.0 ± 1.0 %"


def test_a_long_name_does_not_upset_a_chart(recwarn):
    point = CostPoint("a very long name " * 8, 1e6, 0.9, True)
    chart = cost_chart([point, CostPoint("b", 2e6, 0.8, False)], title="t", unit="u")
    assert point.name not in chart
    assert "a very long name" in chart
    assert not recwarn.list
