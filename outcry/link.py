"""The supervisor's end of the nursery's pipes. Not a decider: it carries commands there and reports back."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from outcry.handover import HANDED, hand, make_hands
from outcry.logs import is_secret

__all__ = ["NURSERY", "NurseryLink"]

NURSERY = (sys.executable, "-P", "-m", "outcry.nursery")
"""The command of the nursery; ``-P`` so that a folder named feed or risk where the person stands is not ours."""


class NurseryLink:
    """A running nursery."""

    def __init__(self, command: Sequence[str] = NURSERY) -> None:
        """Start it, in a process group of its own and without any secret in its environment."""
        environment = {name: value for name, value in os.environ.items() if not is_secret(name)}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # a fork wants no threads
        path = [str(Path(__file__).resolve().parents[1]), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
        environment |= {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false"}
        self._hands = make_hands()
        environment[HANDED] = json.dumps(self._hands)
        self._process = subprocess.Popen(
            [*command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            pass_fds=tuple(self._hands.values()),
            process_group=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in = self._process.stdin
        self._out = self._process.stdout
        os.set_blocking(self._out.fileno(), False)
        self._buffer = b""
        self.dead = False

    @property
    def pid(self) -> int:
        """The nursery's process id."""
        return self._process.pid

    def _tell(self, command: Mapping[str, Any]) -> None:
        try:
            self._in.write(json.dumps(command).encode() + b"\n")
            self._in.flush()
        except OSError:
            self.dead = True

    def begin(self, run_dir: Path, sockets: Path | None, secrets: Mapping[str, str]) -> None:
        """Tell where the run is and hand over the secrets for the stages that ask models."""
        hand(self._hands, secrets)
        self._tell({"run": {"run_dir": str(run_dir), "sockets": str(sockets or "")}})

    def spawn(self, stage: str) -> None:
        """Ask for a stage."""
        self._tell({"spawn": stage})

    def reports(self) -> list[dict[str, Any]]:
        """Return what the nursery has reported; never waits."""
        while True:
            try:
                data = os.read(self._out.fileno(), 65536)
            except BlockingIOError:
                break
            if not data:
                self.dead = True
                break
            self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        return [cast("dict[str, Any]", json.loads(line)) for line in lines]

    def kill(self) -> None:
        """Kill it; the kernel kills its children with it."""
        self._process.kill()
        with contextlib.suppress(OSError):
            self._in.close()
        self._process.wait()
        self._out.close()
        for fd in self._hands.values():
            os.close(fd)
        self._hands = {}
