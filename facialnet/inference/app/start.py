"""From checkpoints and a folder of runs to a page that is served."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from facialnet.explanation.explainer import Explainer
from facialnet.inference.app.uploads import upload_folder
from facialnet.inference.checkpoint_network import CheckpointNetwork
from facialnet.inference.predictor import Predictor, checkpoint_path
from facialnet.training.checkpoint import Checkpoint, read_checkpoint

_METHODS = ("gradcam", "integrated_gradients")  # occlusion would take longer than both


def start(
    checkpoints: list[Path], runs: Path, *, threshold: float, port: int | None, open_browser: bool
) -> None:
    """Read the checkpoints and serve the page until Ctrl-C or SIGTERM.

    Args:
        checkpoints: to choose from; none: the one that comes with facialnet.
        runs: the folder whose runs can be browsed; it need not be there.
        threshold: answers of a lower probability are marked as not sure, 0 to 1.
        port: None: the first free one from 7860.
        open_browser: whether to open it.

    Raises UserError where a checkpoint cannot be read.
    """
    explains = find_spec("captum") is not None
    if not explains:
        console = Console(soft_wrap=True, highlight=False)
        console.print("no reasons are given: pip install 'facialnet[explain]' adds them")
    paths = checkpoints or [checkpoint_path(None)]
    networks = {}
    for path in paths:
        read = read_checkpoint(path)
        network = CheckpointNetwork(read)
        predictor = Predictor(network, threshold=threshold)
        networks[_name(path, paths)] = predictor, _explainer(read, network) if explains else None
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # uploads are deleted then, too
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with upload_folder() as uploads:
        # Late: gradio reads where uploads go when it is imported.
        from facialnet.inference.app.page import build_page, serve
        from facialnet.inference.app.photo_answer import PhotoDesk

        desks = {name: PhotoDesk(*network, uploads) for name, network in networks.items()}
        serve(build_page(desks, runs), uploads, port=port, open_browser=open_browser)


def _explainer(read: Checkpoint, network: CheckpointNetwork) -> Explainer:
    return Explainer(
        read.network().to(network.device),  # its own: hooks would disturb answers beside it
        read.tasks,
        methods=_METHODS,
        temperatures=read.temperatures,
    )


def _name(path: Path, paths: list[Path]) -> str:
    """Return the shortest end of a checkpoint's path that tells it from the others.

    Of ``outputs/demo/TIME/checkpoints/best.ckpt`` that is ``TIME``, if all are named alike.
    """
    for parts in range(1, len(path.parts) + 1):
        if sum(_end(other, parts) == _end(path, parts) for other in paths) == 1:
            break
    return _end(path, parts)


def _end(path: Path, parts: int) -> str:
    in_run = path.parent.name == "checkpoints"
    folder = path.parent.parent if in_run else path.parent
    return str(Path(*folder.parts[-parts:])) if in_run else str(Path(*path.parts[-parts:]))
