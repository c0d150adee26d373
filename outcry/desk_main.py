"""The process of a desk that servers share: puts it together, announces it, and ends it when nobody is connected.

Not a command for people: ``outcry mcp`` starts it.
"""

from __future__ import annotations

import contextlib
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
from bus.messages import GetClock
from bus.zmq_transport import ZmqTransport
from outcry.desk import content_of, log_to, prepare, supervise
from outcry.held import HeldDesk
from outcry.link import NurseryLink
from outcry.rundir import RunDir, read_run_file, write_run_file

__all__ = ["main"]

_LOOK_S = 0.5
_KEPT_RUNS = 4
_WARM_S = 60.0


def _leave_when_deserted(held: HeldDesk) -> None:
    while not held.deserted():
        sleep_s(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _warm(run_dir: Path) -> None:
    """Have the feed load its venue's calendar, seconds of work, before the first tool asks for the time."""
    with contextlib.suppress(OutcryError):
        while (content := read_run_file(run_dir)).state != "running":
            sleep_s(_LOOK_S / 10)
        transport = ZmqTransport()
        try:
            transport.client(content.endpoints["feed"]).call(GetClock(), _WARM_S)
        finally:
            transport.close()


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
        write_run_file(desk.run_dir, content_of(desk, {}))
        held.announce(desk.run_dir)
        for work, of in ((_leave_when_deserted, held), (_warm, desk.run_dir)):
            Thread(target=work, args=(of,), daemon=True).start()
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
