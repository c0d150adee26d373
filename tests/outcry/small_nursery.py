"""A nursery of small real services: the real fork server, sockets and heartbeats around a handler of one line."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from bus.errors import ConfigError
from bus.messages import Message, Ok
from bus.transport import Handler, Transport
from outcry.nursery import Nursery
from outcry.rundir import read_run_file
from outcry.stage_main import serve_stage


class Echo:
    """Answers anything with the name of its stage."""

    def __init__(self, name: str) -> None:
        self.name = name

    def handle(self, request: Message) -> Message:
        return Ok(f"{self.name} {type(request).__name__}")


def run_small(stage: str, run_dir: Path) -> int:
    if stage == "analyst" and (run_dir / "crash").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if stage == "trader" and (run_dir / "deaf").exists():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def prepare(_transport: Transport) -> Handler:
        if stage == "feed" and (run_dir / "refuse").exists():
            raise ConfigError("desk.symbols = NOPE cannot be used; allowed is ACME")
        keys = sorted(name for name in os.environ if name.startswith("OPENAI_"))
        sys.stdout.write(f"environment {keys}\n")
        return Echo(stage)

    return serve_stage(stage, dict(read_run_file(run_dir).endpoints), prepare)


if __name__ == "__main__":
    Nursery(run_small, lambda _stage: None, preload=("msgspec",)).serve()
    sys.exit(0)
