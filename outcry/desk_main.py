"""The process of a desk that servers share: puts it together, announces it, and ends it when nobody is connected.

Not a command for people: ``outcry mcp`` starts it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from threading import Thread
from typing import Any, cast

from bus.clock import sleep_s
from bus.errors import OutcryError
from outcry.desk import log_to, prepare, supervise
from outcry.held import HeldDesk
from outcry.link import NurseryLink
from outcry.rundir import RunDir

__all__ = ["main"]

_LOOK_S = 0.5
_KEPT_RUNS = 4


def _leave_when_deserted(held: HeldDesk) -> None:
    while not held.deserted():
        sleep_s(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _forget_old(runs: Path) -> None:
    old = sorted((path.parent for path in runs.glob("*/run.json")), key=lambda path: path.stat().st_mtime)
    for path in old[:-_KEPT_RUNS]:
        shutil.rmtree(path, ignore_errors=True)


def main(words: list[str]) -> int:
    """Run the desk of a folder.

    Args:
        words: The folder, and a JSON object with ``day``, ``config``, ``speed``, ``start`` and ``overrides``.

    Returns:
        The exit code.
    """
    folder = Path(words[0])
    given = cast("dict[str, Any]", json.loads(words[1]))
    held = HeldDesk(folder)
    if not held.begin():
        return 0
    link = NurseryLink()
    try:
        from outcry.config import load_config

        config = load_config(Path(given["config"]) if given["config"] else None, given["overrides"])
        runs = folder / "runs"
        claimed = RunDir(None, runs)
        try:
            day = Path(given["day"]) if given["day"] else None
            desk = prepare(config, day, claimed, float(given["speed"]), tools=True, start=given["start"])
        except BaseException:
            claimed.discard()
            raise
        _forget_old(runs)
        log_to(desk.run_dir)
        held.announce(desk.run_dir)
        Thread(target=_leave_when_deserted, args=(held,), daemon=True).start()
        outcome = supervise(desk, link)
    except OutcryError as error:
        link.kill()
        sys.stderr.write(f"outcry: {error}\n")
        return error.exit_code
    except BaseException:
        link.kill()
        raise
    if outcome.failure is not None:
        sys.stderr.write(f"outcry: {outcome.failure.message}\n")
        return outcome.failure.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
