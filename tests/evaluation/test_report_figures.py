import statistics

import numpy as np
import pandas as pd
import pytest
from believable_runs import AGE, CLAIM, GENDER, STAMP, faces, make_folds, make_run

from facialnet.errors import UserError
from facialnet.evaluation.report.content import gather
from facialnet.evaluation.report.measured import Score, measured, spread_of
from facialnet.evaluation.report.overview import gap_rows, result_rows, run_rows
from facialnet.evaluation.report.pairs import costs, paired
from facialnet.evaluation.report.setups import setups_of
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
    assert rows[1].points["gender"] == pytest.approx(100 * gap)
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


def test_setups_with_several_seeds_are_compared_by_one_of_them(rivals, repeated):
    found = paired([measured(repeated), rivals[1]])
    assert "seed 0 alone" in found.notes[0]
    assert "several rows" not in found.records[0].get("reason", "")


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
