"""Measures the gate beside nautilus_trader's risk engine, in an environment of its own. Not a test and no dependency.

python scripts/nautilus_peer.py            # ``outcry bench gate`` with a row more
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
_PEER = "nautilus_trader==1.221.0"
"""The last one for Python 3.11, and the one whose gate notes and tests speak of."""


def main() -> int:
    """Install it beside what the project has, and measure."""
    with tempfile.TemporaryDirectory(prefix="outcry-nautilus-") as name:
        python = Path(name) / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", name], check=True)
        done = subprocess.run([str(python), "-m", "pip", "install", "--quiet", _PEER], check=False)
        if done.returncode:
            sys.stderr.write(f"{_PEER} cannot be installed here, so there is nothing to measure beside\n")
            return 2
        inside = next((Path(name) / "lib").glob("python3*")) / "site-packages"
        ours = [path for path in sys.path if path.endswith("site-packages")]
        (inside / "zz_project.pth").write_text("\n".join(ours) + "\n", encoding="utf-8")
        return subprocess.run([str(python), "-m", "outcry", "bench", "gate"], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
