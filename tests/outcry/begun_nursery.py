"""The real fork server with one stage that is begun early: ``python -m tests.outcry.begun_nursery QUIET_S MODULE...``.

A stage writes what it is into its log and waits to be ended.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path

from outcry.nursery import Nursery

EARLY = "analyst"


def run(stage: str, _run_dir: Path) -> int:
    about = {
        "stage": stage,
        "pid": os.getpid(),
        "modules": [name for name in MODULES if name in sys.modules],
        "pipes": sorted({name for fd in range(64) if (name := _pipe(fd))}),
        "keys": sorted(name for name in os.environ if name.startswith("OPENAI_")),
    }
    sys.stdout.write(f"{json.dumps(about)}\n")
    sys.stdout.flush()
    signal.pause()
    return 0


def _pipe(fd: int) -> str:
    try:
        name = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
    return name if name.startswith("pipe:") else ""


def load(stage: str) -> None:
    if stage == EARLY:
        for name in MODULES:
            importlib.import_module(name)


if __name__ == "__main__":
    QUIET_S, MODULES = float(sys.argv[1]), tuple(sys.argv[2:])
    Nursery(run, load, preload=("msgspec", f"+{EARLY}"), slow=MODULES, quiet_s=QUIET_S).serve()
    sys.exit(0)
