"""An environment of its own for a tool that is no dependency: the tool, and beneath it what the project has installed.

Not the project's environment: nothing is added there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["scratch_python"]


def scratch_python(folder: Path, requirement: str, module: str) -> Path | None:
    """Return the Python of an environment that has a package, made when it is not there; None where it cannot be had.

    Args:
        folder: Where the environment is, or is to be.
        requirement: What to install, pinned.
        module: What it is imported as.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        inside = next((folder / "lib").glob("python3*")) / "site-packages"
        ours = [path for path in sys.path if path.endswith("site-packages")]
        (inside / "zz_project.pth").write_text("\n".join(ours) + "\n", encoding="utf-8")
    if subprocess.run([str(python), "-c", f"import {module}"], check=False, capture_output=True).returncode:
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
        if subprocess.run([*install, requirement], check=False).returncode:
            return None
    return python
