"""Commands in processes of their own, as a user starts them."""

import os
import subprocess
import sys
from pathlib import Path

QUICK = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def command(
    *words: str, cwd: Path | None = None, timeout: float = 240, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python WORDS`` and return how it ended."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**QUICK, **env},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
