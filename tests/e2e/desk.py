"""Runs the command as a person would, in a process of its own; not a shortcut into the code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 90.0


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        return json.loads(self.out)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "OUTCRY_", "LANGSMITH"))}
    return {**kept, **(extra or {})}


def outcry(*words: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Done:
    """Run ``outcry`` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "outcry", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd or ROOT,
        env=environment(env),
        timeout=DEADLINE_S,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def started(*words: str | Path, env: Mapping[str, str] | None = None) -> Generator[subprocess.Popen[str]]:
    """Start ``outcry`` and end it whatever happens."""
    with subprocess.Popen(
        [sys.executable, "-m", "outcry", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(env),
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def until(what: str, condition: Any, deadline_s: float = 30.0) -> Any:
    """Return the first true value of ``condition``; fail when there is none before the deadline."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        os.sched_yield()
    pytest.fail(f"{what}: not within {deadline_s:g} s")


def run_state(run_dir: Path) -> dict[str, Any]:
    """Return what run.json says, empty while there is none."""
    try:
        return json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def market_days() -> Path:
    """Return the folder of recorded days, or skip."""
    folder = Path(os.environ.get("OUTCRY_MARKET_DAYS", ROOT.parent / "shared" / "market-days"))
    if not folder.is_dir():
        pytest.skip("no recorded market days here: set OUTCRY_MARKET_DAYS to a folder that has them")
    return folder
