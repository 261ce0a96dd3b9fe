"""The main job on the official fold lists with real faces in place of the missing pictures."""

import json

import pandas as pd
import pytest
from commands import command
from real_adience import build_tree


@pytest.mark.slow
def test_adience_trains_validates_on_held_out_albums_and_tests_on_the_held_out_fold(
    shared, utkface_root, tmp_path
):
    build_tree(shared / "data/adience", utkface_root, tmp_path / "adience")
    folder = tmp_path / "run"
    ended = command(
        "-m",
        "facialnet.train",
        "+experiment=adience_aug",
        f"data.root={tmp_path}/adience",
        f"paths.prepared={tmp_path}/prepared",
        "protocol.test_fold=2",
        "trainer=cpu",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=6",
        "trainer.limit_val_batches=3",
        f"run_dir={folder}",
        cwd=tmp_path,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stderr
    results = json.loads((folder / "results.json").read_text())
    assert results["status"] == "done"
    assert results["protocol"] == "official fold 2"
    assert results["stamp"] is None
    assert results["leaks"]["shared"]["test/seen"]["any"] == 0
    audit = json.loads(next((tmp_path / "prepared").glob("*/audit.json")).read_text())
    assert (audit["rows"], audit["with_age"], audit["with_both"]) == (19_487, 17_424, 16_258)
    assert audit["missing"] == audit["unreadable"] == 0
    predictions = pd.read_parquet(folder / "predictions.parquet")
    assert len(predictions) == results["images"]["test"]
    lists = pd.read_csv(shared / "data/adience/fold_2_data.txt", sep="\t", dtype=str)
    assert set(predictions["album"]) <= set(lists["user_id"])
