"""``outcry`` in a process that counts where it could die, and ends itself with SIGKILL at one such point. Child side.

``python -m tests.e2e.watched NOTE AT WORDS...``: AT is the number of a point from 1, or the name of one, or 0. After
``interrupt at `` it is where Ctrl-C comes instead, after ``all at `` the fork server is killed with it.
A point stands before whatever of this process outlives it: each file made, written, renamed or removed, each folder,
each database, each process, each word to the fork server. What comes between two such acts is the same to whoever takes
the run up, so that "before the next" is "after the last". Points that only tell how far the day is have names
(``cycle 3``) and no number: how many of them there are depends on the machine.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bus.messages import Progress
from outcry.__main__ import entry
from outcry.commands import run
from outcry.link import NurseryLink

__all__ = ["Points"]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_ACTS = {
    "os.rename": 1,
    "os.mkdir": 0,
    "os.remove": 0,
    "os.rmdir": 0,
    "os.chmod": 0,
    "os.chown": 0,
    "shutil.rmtree": 0,
    "sqlite3.connect": 0,
}
"""Audit event → which of its arguments is the path that is changed."""
_INTERRUPT, _ALL = "interrupt at ", "all at "
_NOT_OURS = ("/dev/", "/proc/", "/sys/")


class Points:
    """The points of this process."""

    def __init__(self, note: Path, at: str) -> None:
        """Count from here.

        Args:
            note: Where the point is named before the process ends itself.
            at: The number or the name of a point.
        """
        self._signal = signal.SIGINT if at.startswith(_INTERRUPT) else signal.SIGKILL
        self._all = at.startswith(_ALL)
        at = at.removeprefix(_INTERRUPT).removeprefix(_ALL)
        self._note = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._number = int(at) if at.isdecimal() else -1
        self._name = at
        self._count = 0
        self.nursery = 0

    def point(self, name: str, *, counted: bool = True) -> None:
        """Pass one point."""
        self._count += counted
        if (counted and self._count == self._number) or name == self._name:
            os.write(self._note, f"{self._count}: {name}".encode())
            self._number, self._name = -1, ""
            if self._all:
                os.kill(self.nursery, signal.SIGKILL)
            os.kill(os.getpid(), self._signal)

    def heard(self, event: str, values: tuple[Any, ...]) -> None:
        """Take an audit event of the interpreter, which comes before the act."""
        if event == "open":
            path, mode, flags = values
            if isinstance(path, str) and not path.startswith(_NOT_OURS) and (flags & _WRITING or "w" in (mode or "")):
                self.point(f"write {_short(path)}")
        elif event in _ACTS:
            self.point(f"{event.partition('.')[2]} {_short(values[_ACTS[event]])}")
        elif event == "subprocess.Popen":
            self.point("start the fork server")

    def install(self) -> None:
        """Listen from now on."""
        points = self
        true_tell = NurseryLink._tell  # pyright: ignore[reportPrivateUsage] - what goes to the fork server goes there

        def tell(self: NurseryLink, command: Mapping[str, Any]) -> None:
            points.nursery = self.pid
            what = f"tell {command.get('spawn') or 'the folder'}"
            points.point(f"before {what}")
            true_tell(self, command)
            points.point(f"after {what}")

        class Line(run.ProgressLine):
            def show(self, progress: Progress) -> None:
                points.point(f"cycle {progress.cycles}", counted=False)
                super().show(progress)

        NurseryLink._tell = tell  # pyright: ignore[reportPrivateUsage] - as above
        run.ProgressLine = Line
        sys.addaudithook(self.heard)


def _short(path: object) -> str:
    """Return the last name of a path, without the parts of it that are drawn."""
    name = os.path.basename(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else str(path)
    if name.startswith("outcry-"):
        return "sockets"
    return ".".join(part for part in name.split(".") if not part.isdecimal())


if __name__ == "__main__":
    watching = Points(Path(sys.argv[1]), sys.argv[2])
    watching.install()
    sys.argv = ["outcry", *sys.argv[3:]]
    entry()
