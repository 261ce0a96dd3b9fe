"""Photos taken whole are answered with the very numbers of the training's own test."""

import numpy as np
import pandas as pd
import pytest

from facialnet.inference.predictor import Predictor

pytestmark = pytest.mark.slow


class Blind:
    """Finds no face."""

    def __call__(self, images):
        return [[] for _ in images]


@pytest.mark.parametrize("views", ["single", "mirror", "ten_crop"])
def test_whole_photos_get_the_probabilities_of_the_test(
    cli, drawn_data, drawn_root, tmp_path, views
):
    run = tmp_path / "run"
    small = ["model=compact4", "preprocess.size=32", "trainer.max_epochs=1"]
    ended = cli("train", *drawn_data, *small, f"run_dir={run}", f"views={views}")
    assert ended.code == 0, ended.err
    table = pd.read_parquet(run / "predictions.parquet")
    paths = [drawn_root / path for path in table["path"]]
    for detector in (None, Blind()):
        predictor = Predictor.from_checkpoint(run / "checkpoints" / "best.ckpt", detector=detector)
        photos = predictor.predict(paths)
        assert len(photos) == len(table) > 20
        for name, task in predictor.network.tasks.items():
            expected = table[[f"{name}_p_{label}" for label in task.classes]].to_numpy()
            given = [list(photo.faces[0][name].probabilities.values()) for photo in photos]
            np.testing.assert_allclose(given, expected, atol=1e-6)
