"""Try networks on photos and browse runs in the browser: `python -m facialnet.app`."""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from facialnet.command import run_command
from facialnet.errors import UserError

_ABOUT = """Open a page on this machine (127.0.0.1) where a photo or the webcam is answered: faces,
gender, age group, how sure, and why; and where the runs below a folder can be browsed. Nothing that
is uploaded is kept, and nothing leaves the machine."""
_EXAMPLES = """examples:
  python -m facialnet.app
  python -m facialnet.app outputs/adience_aug/TIME/checkpoints/best.ckpt --port 7861
  python -m facialnet.app FIRST.ckpt SECOND.ckpt --runs outputs --no-browser"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the page until Ctrl-C."""
    given = _parser().parse_args(arguments)
    if find_spec("gradio") is None:
        raise UserError("the page needs gradio: pip install 'facialnet[app]'")
    # After the check, and late: --help need not wait for torch.
    from facialnet.inference.app.start import start

    start(
        [Path(path).absolute() for path in given.checkpoints],
        Path(given.runs).absolute(),
        threshold=given.threshold,
        port=given.port,
        open_browser=not given.no_browser,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m facialnet.app",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "checkpoints",
        nargs="*",
        metavar="CHECKPOINT",
        help="networks to choose from; default: the one that comes with facialnet",
    )
    parser.add_argument(
        "--runs", metavar="FOLDER", default="outputs", help="runs to browse; default: outputs"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="P",
        help="answers of a lower probability are marked as not sure; default: 0.5",
    )
    parser.add_argument(
        "--port", type=int, metavar="N", help="default: the first free one from 7860"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="do not open the browser; print the address only"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
