"""Starts the children: by exec, as a desk's first start, or by fork from a process that has imported everything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Protocol

import msgspec

from tests.matrix.child import ChildSpec

__all__ = ["DEADLINE_S", "Child", "Executed", "Forked", "Starter"]

DEADLINE_S = 30.0


class Child:
    """A process that may end itself."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended = threading.Event()
        self.code = 0

    def end(self, code: int) -> None:
        self.code = code
        self._ended.set()

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    def wait(self) -> int:
        assert self._ended.wait(DEADLINE_S), "a child did not end"
        return self.code

    def stop(self) -> int:
        """End it in peace and return its exit code."""
        if self.alive:
            os.kill(self.pid, signal.SIGTERM)
        return self.wait()


class Starter(Protocol):
    """A way to start children."""

    def start(self, spec: ChildSpec) -> Child: ...

    def close(self) -> None: ...


class Executed:
    """Starts each by exec: what a restart costs with all its imports."""

    def start(self, spec: ChildSpec) -> Child:
        with tempfile.NamedTemporaryFile(dir=Path(spec.note).parent, suffix=".json", delete=False) as file:
            file.write(msgspec.json.encode(spec))
        process = subprocess.Popen([sys.executable, "-m", "tests.matrix.child", file.name])
        child = Child(process.pid)

        def wait() -> None:
            child.end(process.wait())

        threading.Thread(target=wait, daemon=True).start()
        return child

    def close(self) -> None:
        """Nothing is kept."""


class Forked:
    """Starts each by fork from one process that imported everything and has no threads."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.matrix.child", "fork"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._children: dict[int, Child] = {}
        self._started = threading.Semaphore(0)
        self._new: list[Child] = []
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, spec: ChildSpec) -> Child:
        assert self._server.stdin is not None
        with self._starting:
            self._server.stdin.write(msgspec.json.encode(spec) + b"\n")
            self._server.stdin.flush()
            assert self._started.acquire(timeout=DEADLINE_S), "no child was started"
            with self._lock:
                return self._new.pop(0)

    def close(self) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        self._server.stdout.close()

    def _read(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            said = json.loads(line)
            with self._lock:
                if "pid" in said:
                    self._children[said["pid"]] = child = Child(said["pid"])
                    self._new.append(child)
                    self._started.release()
                else:
                    self._children.pop(said["exit"]).end(said["code"])
