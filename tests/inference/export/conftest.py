"""One export of a small random network with every kind of head, for all tests of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_checkpoint import EVERY_CODING, plain_card, ready, smooth_pictures

from facialnet.inference.export import latency
from facialnet.inference.export.exportable import Exportable
from facialnet.inference.export.faces import Faces
from facialnet.inference.export.files import export


@dataclass(frozen=True)
class Exported:
    """An export, with what it was made from."""

    subject: Exportable
    folder: Path
    check: Faces
    summary: dict[str, Any]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """ONNX and int8 of a network with every coding, a chain and three tasks and more."""
    folder = tmp_path_factory.mktemp("export")
    subject = ready(folder / "tiny.ckpt", plain_card(EVERY_CODING, crop=0.8))
    pixels = smooth_pictures(70, subject.input_shape)
    truth = {"gender": np.resize(np.array([0, 1, -100]), 70)}
    check = Faces(pixels, truth, "70 drawn patterns")
    calibration = Faces(smooth_pictures(64, subject.input_shape, 1), {}, "64 other patterns")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "_ROUNDS", 1)
        patch.setattr(latency, "_SECONDS", 0.0)
        summary = export(
            subject,
            ["onnx", "int8", "safetensors"],
            folder / "out",
            check=check,
            calibration=calibration,
            model_card="# Model card\n",
        )
    return Exported(subject, folder / "out", check, summary)
