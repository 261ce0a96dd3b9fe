import dataclasses

import pandas as pd
import pytest
from believable_runs import GENDER, faces, make_folds, make_run

from facialnet.evaluation.report.naming import setting_names, value_text
from facialnet.evaluation.report.setups import distinct, setups_of
from facialnet.evaluation.runs import find_runs
from facialnet.labels import Task

MANIFEST = faces(400, people=50)


def make(folder, name, **about):
    return make_run(folder / name, MANIFEST, bare=True, **about)


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    return find_runs(make_folds(tmp_path_factory.mktemp("setups") / "folds", MANIFEST, bare=True))


def test_folds_are_one_setup_wherever_and_however_they_were_computed(folds):
    moved = dataclasses.replace(
        folds[1], config={**folds[1].config, "paths": {"outputs": "/elsewhere"}, "compile": True}
    )
    (setup,) = setups_of([folds[0], moved, *folds[2:]])
    assert setup.label == "adience_aug"
    assert setup.folds == [0, 1, 2, 3, 4]
    assert setup.missing == []
    assert [setup.title_of(run) for run in setup.runs] == [f"fold {n}" for n in range(5)]


def test_the_answers_of_all_folds_are_pooled(folds):
    (setup,) = setups_of(folds)
    assert setup.overlap == 0
    assert len(setup.pooled) == len(MANIFEST)
    assert set(setup.pooled["path"]) == set(MANIFEST["path"])
    for number, run in enumerate(setup.done):
        rows = setup.pooled[setup.pooled["run"] == number]
        assert set(rows["path"]) == set(run.predictions["path"])


def test_missing_and_stopped_folds_are_known(folds):
    stopped = dataclasses.replace(folds[4], status="interrupted", metrics={})
    (setup,) = setups_of([folds[0], folds[2], stopped])
    assert setup.fold_count == 5  # Adience has five, though 4 is the last one seen
    assert setup.missing == [1, 3]
    assert setup.unfinished_folds == [1, 3, 4]
    assert [run.fold for run in setup.done] == [0, 2]
    assert set(setup.pooled["run"]) == {0, 1}


def test_the_last_official_fold_may_be_the_missing_one(folds):
    (setup,) = setups_of(folds[:4])
    assert setup.missing == [4]


def test_a_run_alone_misses_no_fold(folds):
    (setup,) = setups_of(folds[:1])
    assert setup.missing == []
    assert setup.pooled is None
    assert setup.protocol == "official fold 0"


def test_k_fold_knows_its_number_of_folds(folds):
    def k_fold(run):
        protocol = {"_target_": "facialnet.data.protocol.KFold", "folds": 3, "test_fold": run.fold}
        return dataclasses.replace(run, config={**run.config, "protocol": protocol})

    (setup,) = setups_of([k_fold(folds[0]), k_fold(folds[1])])
    assert setup.missing == [2]
    assert setup.protocol == "k-fold"


def test_seeds_of_one_split_stand_in_the_pool_once_each(tmp_path):
    for seed in (0, 1):
        for fold in (0, 1):
            make(tmp_path, f"f{fold}s{seed}", fold=fold, seed=seed)
    (setup,) = setups_of(find_runs(tmp_path))
    assert setup.title_of(setup.runs[1]) == "fold 0, seed 1"
    assert setup.overlap == 0
    assert (setup.pooled.groupby("path").size() == 2).all()
    assert not setup.uneven
    (setup,) = setups_of(find_runs(tmp_path)[:3])
    assert setup.uneven


def test_splits_that_test_the_same_images_are_not_pooled(tmp_path):
    runs = find_runs(make(tmp_path, "a", fold=None, protocol="holdout")) + find_runs(
        make(tmp_path, "b", fold=None, protocol="holdout", settings={"protocol.seed": 1}, seed=1)
    )
    (setup,) = setups_of(runs)
    first, second = (set(run.predictions["path"]) for run in runs)
    assert setup.overlap == len(first & second) > 0
    assert setup.pooled is None


def test_other_settings_are_other_setups_named_after_them(tmp_path):
    make(tmp_path, "a")
    make(tmp_path, "b", settings={"optimizer.lr": 0.01})
    make(tmp_path, "c", fold=1, settings={"optimizer.lr": 0.01})
    setups = setups_of(find_runs(tmp_path))
    assert [setup.label for setup in setups] == ["lr=0.002", "lr=0.01"]
    assert [len(setup.runs) for setup in setups] == [1, 2]
    assert [setup.apart for setup in setups] == [(), ()]


def test_protocols_tasks_and_networks_are_named_without_what_follows_from_them(tmp_path):
    make(tmp_path, "a")
    make(tmp_path, "b", fold=None, protocol="random_image", settings={"protocol.test_share": 0.2})
    labels = [setup.label for setup in setups_of(find_runs(tmp_path))]
    assert labels == ["official folds", "random image"]
    make(tmp_path / "t", "a")
    make(tmp_path / "t", "b", tasks={"gender": GENDER})
    labels = [setup.label for setup in setups_of(find_runs(tmp_path / "t"))]
    assert labels == ["gender and age", "gender alone"]
    make(tmp_path / "n", "a")
    make(
        tmp_path / "n",
        "b",
        settings={"model.backbone._target_": "facialnet.models.Tiny", "model.backbone.filters": 8},
    )
    labels = [setup.label for setup in setups_of(find_runs(tmp_path / "n"))]
    assert labels == ["FacialNet", "Tiny"]


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"settings": {"data.label_policy": "exact"}}, "another label policy"),
        (
            {
                "results": {"data": "utkface"},
                "settings": {
                    "data.source._target_": "facialnet.data.sources.utkface.UTKFaceSource"
                },
            },
            "another data set",
        ),
        (
            {"tasks": {"gender": Task("gender", "gender", ("female", "male"))}},
            "another class list",
        ),
        ({"results": {"store": "another"}}, "other pictures"),
    ],
)
def test_other_questions_are_kept_apart(tmp_path, about, reason):
    make(tmp_path, "a", tasks={"gender": GENDER})
    make(tmp_path, "b", fold=1, **({"tasks": {"gender": GENDER}, "results": {}} | about))
    first, second = setups_of(find_runs(tmp_path))
    assert first.apart == ()
    assert len(second.apart) == 1
    assert reason in second.apart[0]


def test_two_runs_of_one_fold_and_seed_do_not_repeat_each_other(tmp_path, folds):
    again = find_runs(make(tmp_path, "again", fold=0, results={"checkpoint": "best.ckpt"}))
    setups = setups_of([folds[0], again[0], folds[1]])
    assert [len(setup.runs) for setup in setups] == [2, 1]
    assert setups[1].label == "adience_aug (again)"
    assert len({setup.label for setup in setups}) == 2


def test_an_unfinished_fold_joins_its_finished_ones(tmp_path):
    make(tmp_path, "a", fold=0)
    make(tmp_path, "b", fold=1, status="unfinished")
    (setup,) = setups_of(find_runs(tmp_path)[::-1])
    assert [run.status for run in setup.runs] == ["done", "unfinished"]


def test_one_leaky_run_stamps_the_setup(folds):
    results = folds[1].results | {"stamp": "LEAKY: 1 of 80 test images"}
    (setup,) = setups_of([folds[0], dataclasses.replace(folds[1], results=results)])
    assert setup.stamp == "LEAKY: 1 of 80 test images"
    assert isinstance(setup.pooled, pd.DataFrame)


def test_an_evaluation_of_another_data_set_has_no_training_images(tmp_path):
    unknown = {"images": {"train": None, "val": None, "test": 80}, "leaks": None, "leaky": None}
    make(tmp_path, "a", results=unknown | {"data": "lfw", "store": "b", "checkpoint": "x.ckpt"})
    make(tmp_path, "b")
    first, second = setups_of(find_runs(tmp_path))
    assert first.apart == ()
    assert second.apart == ("another data set",)


def test_another_preparation_of_the_same_pictures_is_comparable(tmp_path):
    make(tmp_path, "a", settings={"preprocess.size": 75})
    make(tmp_path, "b", settings={"preprocess.size": 64}, results={"store": "another"})
    first, second = setups_of(find_runs(tmp_path))
    assert (first.label, second.label) == ("size=75", "size=64")
    assert second.apart == ()


def test_labels_are_unique_where_folders_are_named_alike(tmp_path):
    for parent in ("x", "y"):
        make(tmp_path / parent, "run", results={"checkpoint": f"{parent}.ckpt"})
    make(tmp_path / "p" / "x", "run", results={"checkpoint": "z.ckpt"})
    runs = find_runs(tmp_path)
    assert [setup.label for setup in setups_of(runs)] == [
        "adience_aug (x/run)",
        "adience_aug (y/run)",
    ]
    runs += find_runs(tmp_path / "p")
    assert [setup.label for setup in setups_of(runs)] == [f"adience_aug ({n})" for n in (1, 2, 3)]


def test_one_network_on_several_folds_is_no_cross_validation(tmp_path):
    trained = make(tmp_path, "trained", fold=2)
    best = str(trained / "checkpoints" / "best.ckpt")
    for fold in (0, 1):
        make(tmp_path, f"fold{fold}", fold=fold, results={"checkpoint": best})
    make(tmp_path, "other", fold=3, results={"checkpoint": str(tmp_path / "other.ckpt")})
    setups = setups_of(find_runs(tmp_path))
    assert [len(setup.runs) for setup in setups] == [1, 1, 2]
    assert [run.fold for run in setups[2].runs] == [2, 3]


def test_an_unfinished_job_is_no_other_data_set_and_its_label_is_short(tmp_path):
    make(tmp_path, "a")
    other = {
        "data.source._target_": "facialnet.data.sources.utkface.UTKFaceSource",
        "data.source.only": "part1",
        "data.label_policy": "exact",
    }
    make(tmp_path, "b", settings=other, status="unfinished")
    first, second = setups_of(find_runs(tmp_path))
    assert (first.label, second.label) == ("adience", "utkface")
    assert second.apart == ()


def test_a_repeated_run_is_left_out_with_a_note(tmp_path):
    make(tmp_path, "a", status="unfinished")
    make(tmp_path, "b")
    make(tmp_path, "c")
    make(tmp_path, "d", results={"store": "another"})
    kept, notes = distinct(find_runs(tmp_path))
    assert [run.folder.name for run in kept] == ["b", "d"]
    assert len(notes) == 2
    assert all(note.endswith(f"of {tmp_path / 'b'}") for note in notes)


def test_callbacks_and_views_are_named_in_words(tmp_path):
    stop = {"callbacks.early_stopping": {"_target_": "x.EarlyStop", "patience": 20, "mode": "max"}}
    make(tmp_path, "a", settings=stop | {"views._target_": "x.Single"})
    make(tmp_path, "b", settings={"callbacks.early_stopping": None, "views._target_": "x.TenCrop"})
    labels = [setup.label for setup in setups_of(find_runs(tmp_path))]
    assert {frozenset(label.split(", ")) for label in labels} == {
        frozenset({"with early stopping", "views: single"}),
        frozenset({"without early stopping", "views: ten crop"}),
    }


def test_a_remark_or_a_folder_makes_no_other_setup(tmp_path):
    make(tmp_path, "a", settings={"note": None, "data.parts.lfw.root": "/x"})
    make(tmp_path, "b", fold=1, settings={"note": "smaller", "data.parts.lfw.root": "/y"})
    (setup,) = setups_of(find_runs(tmp_path))
    assert len(setup.runs) == 2


def test_frozen_parts_and_first_weights_are_other_setups(tmp_path):
    freezing = {"callbacks.freezing": {"_target_": "x.Freezing", "until": {"backbone": 1}}}
    make(tmp_path, "a", settings={"callbacks.freezing": None, "init_from": None})
    make(tmp_path, "b", settings=freezing | {"init_from": None})
    checkpoint = "/o/celeba_pretrain/r1/checkpoints/best.ckpt"
    make(tmp_path, "c", settings=freezing | {"init_from": checkpoint})
    labels = [setup.label for setup in setups_of(find_runs(tmp_path))]
    assert sorted(labels[0].split(", ")) == ["init_from=none", "without freezing"]
    assert "with freezing" in labels[1]
    assert "init_from=celeba_pretrain/r1" in labels[2]


def test_a_group_that_is_empty_in_some_runs_is_named_once(tmp_path):
    make(tmp_path, "a", settings={"ordinal": {}})
    make(tmp_path, "b", settings={"ordinal": {"_target_": "x.DLDL", "sigma": 1.0}})
    labels = [setup.label for setup in setups_of(find_runs(tmp_path))]
    assert labels == ["ordinal: none", "DLDL"]


def test_numbers_that_a_search_drew_are_rounded_in_labels(tmp_path):
    make(tmp_path, "a", settings={"optimizer.lr": 0.0123456789})
    make(tmp_path, "b", settings={"optimizer.lr": 0.02})
    labels = [setup.label for setup in setups_of(find_runs(tmp_path))]
    assert labels == ["lr=0.01235", "lr=0.02"]


def test_settings_are_named_by_as_little_as_tells_them_apart():
    keys = ["optimizer.lr", "head.gender.lr", "head.age.lr", "loss._target_", "seed"]
    assert setting_names(keys) == {
        "optimizer.lr": "optimizer.lr",
        "head.gender.lr": "gender.lr",
        "head.age.lr": "age.lr",
        "loss._target_": "loss",
        "seed": "seed",
    }
    assert value_text("loss._target_", "a.b.Focal") == "Focal"
    assert value_text("init_from", "weights/resnet.pth") == "resnet.pth"
    assert value_text("dropout", None) == value_text("ordinal", {}) == "none"


def test_systems_are_named_by_their_names_and_what_tells_their_runs_apart(tmp_path):
    for name, rate in (("vgg16", 0.1), ("vgg16", 0.2), ("lfw_cnn", 0.1)):
        make(
            tmp_path,
            f"{name}{rate}",
            settings={"optimizer.lr": rate, "model.backbone._target_": f"x.{name}"},
            results={"overrides": [f"+system={name}"]},
        )
    make(tmp_path, "killed", settings={"model.backbone._target_": "x.Y"}, status="unfinished")
    labels = [setup.label for setup in setups_of(find_runs(tmp_path))]
    assert labels == ["adience_aug", "lfw_cnn", "vgg16, lr=0.1", "vgg16, lr=0.2"]
