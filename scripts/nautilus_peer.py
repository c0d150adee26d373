"""Measures the gate beside nautilus_trader's risk engine, in an environment of its own. Not a test and no dependency.

python scripts/nautilus_peer.py            # ``outcry bench gate`` with a row more
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.scratch import scratch_python

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
_PEER = "nautilus_trader==1.221.0"
"""The last one for Python 3.11, and the one whose gate notes and tests speak of."""


def main() -> int:
    """Install it beside what the project has, and measure."""
    with tempfile.TemporaryDirectory(prefix="outcry-nautilus-") as name:
        python = scratch_python(Path(name), _PEER, "nautilus_trader")
        if python is None:
            sys.stderr.write(f"{_PEER} cannot be installed here, so there is nothing to measure beside\n")
            return 2
        return subprocess.run([str(python), "-m", "outcry", "bench", "gate"], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
