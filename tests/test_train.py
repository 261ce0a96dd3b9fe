"""One run from the command line, what its folder says, and what can be done with it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from commands import command
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from facialnet import train
from facialnet.data.store import open_store
from facialnet.labels import AGE_GROUPS
from facialnet.training.checkpoint import read_checkpoint

RESULT_KEYS = {
    "status",
    "metrics",
    "protocol",
    "leaky",
    "seed",
    "cost",
    "images_per_second",
    "wall_seconds",
    "fold",
    "git_revision",
    "packages",
}


@pytest.fixture(scope="module")
def finished(drawn_data, tmp_path_factory):
    """A finished run of two epochs: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    settings = [f"run_dir={folder}", "trainer.max_epochs=2"]
    ended = command("-m", "facialnet.train", "+experiment=demo", *drawn_data, *settings)
    assert ended.returncode == 0, ended.stderr
    return folder, ended.stdout


def test_results_json_says_everything(finished):
    folder, _ = finished
    results = json.loads((folder / "results.json").read_text())
    assert results.keys() >= RESULT_KEYS
    assert results["status"] == "done"
    assert results["protocol"] == "official fold 0"
    assert results["leaky"] is False
    assert results["stamp"] is None
    assert results["leaks"]["shared"]["test/train"]["person"] == 0
    assert results["claim"] is None
    assert results["cost"]["multiply_adds"] > 1e8
    assert results["seed"] == 0
    assert (
        results["cost"]["parameters"] == 4_161_002
    )  # 4,159,242 - 1,760 biases + 2 x 1,760 norm values
    assert results["images_per_second"] > 0
    for name in ("gender/accuracy", "age/accuracy", "age/one_off", "age/mae_groups", "loss"):
        assert {f"test/{name}", f"val/{name}", f"train/{name}"} <= results["metrics"].keys()


def test_the_code_is_that_of_the_start(drawn_data, cli, monkeypatch, tmp_path):
    begun = tmp_path / "run/config.yaml"
    monkeypatch.setattr(train, "git_revision", lambda: "later" if begun.exists() else "first")
    few = ["trainer.max_epochs=1", "trainer.limit_train_batches=1"]
    ended = cli("train", "+experiment=demo", *drawn_data, "run_dir=run", *few)
    assert ended.code == 0, ended.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["git_revision"] == "first"
    assert datetime.fromisoformat(results["ended"]) <= datetime.now(UTC)


def test_predictions_give_the_reported_figures(finished):
    folder, _ = finished
    metrics = json.loads((folder / "results.json").read_text())["metrics"]
    table = pd.read_parquet(folder / "predictions.parquet")
    gender = table[table["gender_true"].notna()]
    expected = (gender["gender_true"] == gender["gender_predicted"]).mean()
    assert metrics["test/gender/accuracy"] == pytest.approx(expected)
    age = table[table["age_true"].notna()]
    groups = list(AGE_GROUPS)
    distance = np.abs(
        age["age_true"].map(groups.index).to_numpy(int)
        - age["age_predicted"].map(groups.index).to_numpy(int)
    )
    assert metrics["test/age/one_off"] == pytest.approx((distance <= 1).mean())
    assert metrics["test/age/mae_groups"] == pytest.approx(distance.mean())
    probabilities = table[[f"age_p_{name}" for name in groups]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)


def test_folder_holds_settings_curves_and_pictures(finished):
    folder, _ = finished
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == 2
    epochs = pd.read_csv(folder / "epochs.csv")
    assert epochs["epoch"].tolist() == [0, 1]
    assert epochs["val/age/one_off"].between(0, 1).all()
    pictures = {path.name for path in (folder / "pictures").iterdir()}
    assert {"augmented_batch.png", "confusion_age.png", "feature_maps_conv8.png"} <= pictures


def test_tensorboard_holds_curves_maps_and_graph(finished):
    folder, _ = finished
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "val/loss", "val/gender/accuracy", "lr-AdamW/pg1"} <= set(tags["scalars"])
    maps = {f"feature_maps/conv{n}" for n in range(1, 9)}
    extra = {"feature_maps/kernels", "feature_maps/input", "batch/augmented", "confusion/age"}
    assert maps | extra <= set(tags["images"])
    assert tags["graph"]
    assert len(events.Images("confusion/age")) == 2


def test_last_lines_name_the_folder_and_the_next_command(finished):
    folder, printed = finished
    last, report, board = printed.strip().splitlines()[-3:]
    assert last == f"results: {folder}"
    assert report.endswith(f"-m facialnet.report {folder}")
    assert board.endswith(f"-m tensorboard.main --logdir {folder}")


def test_checkpoints_open_without_running_code(finished):
    folder, _ = finished
    for name in ("best", "last"):
        content = torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)
        assert content["facialnet"]["tasks"]["age"]["classes"] == list(AGE_GROUPS)
    network = read_checkpoint(folder / "checkpoints/best.ckpt").network()
    logits = network(torch.zeros(2, 1, 75, 75, dtype=torch.uint8))
    assert {name: tuple(value.shape) for name, value in logits.items()} == {
        "gender": (2, 2),
        "age": (2, 8),
    }


def test_evaluation_equals_the_test_after_training(finished, cli, tmp_path):
    folder, _ = finished
    ended = cli("evaluate", f"checkpoint={folder}/checkpoints/best.ckpt")
    assert ended.code == 0, ended.err
    (left,) = (tmp_path / "outputs/evaluate").iterdir()
    for name in ("metrics.json", "results.json"):
        there, here = (json.loads((each / name).read_text()) for each in (folder, left))
        if name == "metrics.json":
            assert here == there
        else:
            test = {k: v for k, v in there["metrics"].items() if k.startswith("test/")}
            assert here["metrics"] == pytest.approx(test)
            assert here["stamp"] is None
    tables = [pd.read_parquet(each / "predictions.parquet") for each in (folder, left)]
    pd.testing.assert_frame_equal(*tables)


def test_measures_follow_from_the_predictions(finished):
    folder, _ = finished
    measured = json.loads((folder / "metrics.json").read_text())
    table = pd.read_parquet(folder / "predictions.parquet")
    age = table[table["age_true"].notna()]
    task = measured["tasks"]["age"]
    assert task["images"] == len(age)
    assert task["clustered_on"] == "people"
    accuracy = task["scores"]["accuracy"]
    assert accuracy["value"] == pytest.approx((age["age_true"] == age["age_predicted"]).mean())
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert np.sum(task["confusion"]) == len(age)


def test_checkpoint_holds_the_calibration_that_the_predictions_have(finished):
    folder, _ = finished
    checkpoint = read_checkpoint(folder / "checkpoints/best.ckpt")
    calibration = checkpoint.card["calibration"]
    assert calibration == json.loads((folder / "results.json").read_text())["calibration"]
    assert set(calibration) == {"gender", "age"}
    assert calibration["age"]["temperature"] > 0
    assert calibration["age"]["images"] > 0


def test_probabilities_are_the_networks_at_the_stored_temperature(finished, drawn_data):
    folder, _ = finished
    checkpoint = read_checkpoint(folder / "checkpoints/best.ckpt")
    key = json.loads((folder / "results.json").read_text())["store"]
    prepared = next(word for word in drawn_data if word.startswith("paths.prepared=")).split("=")[1]
    table = pd.read_parquet(folder / "predictions.parquet")
    pixels = open_store(Path(prepared) / f"drawn-{key[:12]}/store").pixels(table["row"].to_numpy())
    images = torch.from_numpy(pixels[:, 6:81, 6:81].copy()).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = checkpoint.network()(images)
    for name, task in checkpoint.tasks.items():
        temperature = checkpoint.card["calibration"][name]["temperature"]
        expected = (logits[name] / temperature).softmax(1).numpy()
        found = table[[f"{name}_p_{label}" for label in task.classes]].to_numpy()
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert abs(temperature - 1) > 0.01  # else the test could not tell


def test_gallery_holds_right_wrong_and_uncertain_faces(finished):
    folder, _ = finished
    table = pd.read_parquet(folder / "predictions.parquet")
    rows = {int(path.stem) for path in (folder / "gallery").glob("*.png")}
    assert 8 < len(rows) <= 48
    assert rows <= set(table["row"])
    shown = table[table["row"].isin(rows)]
    assert (shown["age_true"] == shown["age_predicted"]).any()
    assert (shown["age_true"] != shown["age_predicted"]).any()


@pytest.mark.parametrize("views", ["mirror", "ten_crop"])
def test_views_are_averaged_at_test_time(finished, cli, views, tmp_path):
    folder, _ = finished
    best = f"checkpoint={folder}/checkpoints/best.ckpt"
    ended = cli("evaluate", best, f"views={views}", f"run_dir={tmp_path}/e")
    assert ended.code == 0, ended.err
    one = pd.read_parquet(folder / "predictions.parquet")
    averaged = pd.read_parquet(tmp_path / "e/predictions.parquet")
    assert one["path"].tolist() == averaged["path"].tolist()
    difference = (one["gender_p_male"] - averaged["gender_p_male"]).abs()
    assert difference.max() > 0
    assert difference.mean() < 0.2


def test_evaluation_on_another_fold_tests_other_images(finished, cli, tmp_path, monkeypatch):
    folder, _ = finished
    monkeypatch.chdir(tmp_path)
    ended = cli("evaluate", f"checkpoint={folder}/checkpoints/best.ckpt", "protocol.test_fold=1")
    assert ended.code == 0, ended.err
    assert "official fold 1" in ended.out


def test_a_leaky_split_is_stamped_or_refused(drawn_data, cli, tmp_path):
    settings = ["+experiment=demo", "+debug=fast", *drawn_data, "callbacks.graph=null"]
    settings += ["callbacks.feature_maps=null", f"run_dir={tmp_path}/run", "protocol=random_image"]
    refused = cli("train", *settings, "protocol.on_leak=refuse")
    assert refused.code == 2
    assert "protocol.on_leak=warn" in refused.err
    assert not (tmp_path / "run").exists()
    ended = cli("train", *settings)
    assert ended.code == 0, ended.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["leaky"] is True
    assert results["stamp"].startswith("LEAKY: ")
    assert results["stamp"] in " ".join(ended.out.split())
    assert results["leaks"]["shared"]["test/train"]["person"] > 0


def test_a_whole_other_data_set_is_tested(finished, cli, tmp_path):
    folder, _ = finished
    best = f"checkpoint={folder}/checkpoints/best.ckpt"
    ended = cli("evaluate", best, "protocol=all", "data.source.images=100", "data.root=other")
    assert ended.code == 0, ended.err
    (left,) = (tmp_path / "outputs/evaluate").iterdir()
    results = json.loads((left / "results.json").read_text())
    assert results["images"]["train"] is None
    assert results["leaky"] is None
    assert results["images_tested"] == results["images"]["test"] > 80
    assert "the data set changed since the training" in results["stamp"]


def test_training_needs_someone_to_train_on(drawn_data, cli, tmp_path):
    ended = cli("train", *drawn_data, "protocol=all", f"run_dir={tmp_path}/run")
    assert ended.code == 2
    assert "the train split is empty" in ended.err


def test_a_finished_run_is_not_run_over(finished, drawn_data, cli):
    folder, _ = finished
    before = (folder / "results.json").read_bytes()
    ended = cli("train", "+experiment=demo", *drawn_data, f"run_dir={folder}")
    assert ended.code == 2
    assert "holds a finished run" in ended.err
    assert (folder / "results.json").read_bytes() == before


def test_checkpoint_of_another_network_is_refused(finished, drawn_data, cli, tmp_path):
    folder, _ = finished
    ended = cli(
        "train",
        "+experiment=demo",
        *drawn_data,
        "model=facialnet",
        f"run_dir={tmp_path}/new",
        f"ckpt_path={folder}/checkpoints/last.ckpt",
    )
    assert ended.code == 2
    assert "model.backbone.batch_norm is True there and False here" in ended.err
    assert not (tmp_path / "new").exists()


def test_evaluation_refuses_to_change_the_network(finished, cli):
    folder, _ = finished
    ended = cli("evaluate", f"checkpoint={folder}/checkpoints/best.ckpt", "preprocess.size=100")
    assert ended.code == 2
    assert "preprocess.size=100: the checkpoint says this" in ended.err


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_broken_checkpoint_is_named(cli, tmp_path, content):
    path = tmp_path / "broken.ckpt"
    if content is not None:
        path.write_bytes(content)
    ended = cli("evaluate", f"checkpoint={path}")
    assert ended.code == 2
    assert str(path) in ended.err
    assert ended.err.count("\n") == 1


def test_truncated_checkpoint_is_named(finished, cli, tmp_path):
    folder, _ = finished
    whole = (folder / "checkpoints/best.ckpt").read_bytes()
    path = tmp_path / "half.ckpt"
    path.write_bytes(whole[: len(whole) // 2])
    ended = cli("evaluate", f"checkpoint={path}")
    assert ended.code == 2
    assert f"checkpoint {path} cannot be read" in ended.err


def test_without_a_logger_and_averaged(drawn_data, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ["+experiment=demo", "+debug=fast", *drawn_data, "logger=none", "callbacks=ema"]
    ended = cli("train", *settings, f"run_dir={tmp_path}/run")
    assert ended.code == 0, ended.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["status"] == "done"
    assert not (tmp_path / "run/tensorboard").exists()
    # what was tested are the averaged weights, which the checkpoint holds
    ended = cli("evaluate", f"checkpoint={tmp_path}/run/checkpoints/best.ckpt", "run_dir=again")
    assert ended.code == 0, ended.err
    first, again = (
        pd.read_parquet(tmp_path / folder / "predictions.parquet").set_index("path")
        for folder in ("run", "again")
    )
    columns = [name for name in first if "_p_" in name]
    pd.testing.assert_frame_equal(first[columns], again.loc[first.index, columns], atol=1e-5)


def test_a_class_that_no_row_can_have_is_named(drawn_data, cli, tmp_path):
    ended = cli("train", *drawn_data, "tasks.gender.classes=[man,woman]", f"run_dir={tmp_path}/run")
    assert ended.code == 2
    assert "no row can be 'man'; gender is one of male, female" in ended.err
    assert not (tmp_path / "run").exists()


def test_loss_that_is_not_finite_ends_in_one_line(drawn_data, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = [*drawn_data, "optimizer.lr=1e30", f"run_dir={tmp_path}/run"]
    ended = cli("train", *settings, "callbacks.graph=null", "callbacks.feature_maps=null")
    assert ended.code == 2
    assert "lower optimizer.lr" in ended.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["status"] == "failed"
    assert "not finite" in results["error"] or "the loss is" in results["error"]


def test_evaluation_says_which_images_were_trained_on(finished, cli):
    folder, _ = finished
    best = f"checkpoint={folder}/checkpoints/best.ckpt"
    assert "LEAKY" not in cli("evaluate", best).out
    leaky = cli("evaluate", best, "protocol.test_fold=1")
    assert "of the test images show a person seen in training" in " ".join(leaky.out.split())


def test_a_finished_run_that_goes_on_has_nothing_to_do(finished, drawn_data, cli):
    folder, _ = finished
    before = (folder / "results.json").read_bytes()
    settings = [*drawn_data, f"run_dir={folder}", "trainer.max_epochs=2", "ckpt_path=last"]
    ended = cli("train", "+experiment=demo", *settings)
    assert ended.code == 0
    assert "done before, nothing to do" in ended.out
    assert (folder / "results.json").read_bytes() == before


def test_a_stopped_run_is_not_started_over(finished, drawn_data, cli, tmp_path):
    folder, _ = finished
    (tmp_path / "checkpoints").mkdir()
    last = tmp_path / "checkpoints/last.ckpt"
    last.write_bytes((folder / "checkpoints/last.ckpt").read_bytes())
    ended = cli("train", "+experiment=demo", *drawn_data, f"run_dir={tmp_path}")
    assert ended.code == 2
    assert "go on with ckpt_path=last" in ended.err


def test_best_checkpoint_comes_along_into_another_folder(finished, drawn_data, cli, tmp_path):
    folder, _ = finished
    settings = [
        *drawn_data,
        f"run_dir={tmp_path}/new",
        f"ckpt_path={folder}/checkpoints/last.ckpt",
        "trainer.max_epochs=2",
    ]
    ended = cli("train", "+experiment=demo", *settings)
    assert ended.code == 0, ended.err
    old, new = (
        json.loads((each / "results.json").read_text())["metrics"]
        for each in (folder, tmp_path / "new")
    )
    assert {k: v for k, v in new.items() if k.startswith("test/")} == {
        k: v for k, v in old.items() if k.startswith("test/")
    }
    assert (tmp_path / "new/checkpoints/best.ckpt").is_file()


@pytest.mark.slow
def test_compiled_network_trains_and_keeps_its_pictures(drawn_data, tmp_path):
    settings = ["+experiment=demo", "+debug=fast", *drawn_data, "compile=true"]
    words = ["-m", "facialnet.train", *settings, f"run_dir={tmp_path}/run"]
    ended = command(*words, cwd=tmp_path, timeout=500)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "run/pictures/feature_maps_conv8.png").is_file()
    state = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert "network.backbone.layers.conv1.weight" in state
