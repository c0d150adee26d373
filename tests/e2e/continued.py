"""Kills the supervisor of a run at a point and has the run taken up: ``python -m tests.e2e.continued`` does so at each.

Prints for every point what came of it, and the seconds from the start of ``outcry run --continue`` to its first new
cycle. Not a test itself: ``tests/e2e/test_continued.py`` takes a cut of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.trace import read_trace
from bus.clock import NS, monotonic_ns
from feed.format import load_day, write_day
from feed.sample import write_sample
from tests.e2e.desk import ROOT, Done, environment, outcry

__all__ = ["Floor", "evidence", "short_day"]

_MOST = 1_000
_DEADLINE_S = 120.0
_DIFFERS = {("journal.sqlite", "orders"): "ticket", ("gate.sqlite", "terms"): "record, mark"}
"""Table → columns that two undisturbed runs differ in: the gate's key and signature, and the folder's name."""


def short_day(folder: Path, minutes: int) -> Path:
    """Write the first minutes of the sample day as a day of its own."""
    sample = load_day(write_sample(folder / "sample"))
    until_ns = min(sample.tables["bars"]["available_time"]) + minutes * 60 * NS
    tables: dict[str, list[list[Any]]] = {}
    for name, columns in sample.tables.items():
        at = [*columns].index("available_time")
        tables[name] = [row for row in map(list, zip(*columns.values(), strict=True)) if row[at] < until_ns]
    return write_day(folder / "day", sample.manifest, sample.instruments, tables)


def evidence(run_dir: Path) -> dict[str, Any]:
    """Return all that must be the same after any disturbance: the event log, and what both journals hold."""
    found: dict[str, Any] = {
        "trace": [
            (one.seq, one.now_ns, one.kind, one.source, one.chain) for one in read_trace(run_dir / "trace.sqlite")
        ]
    }
    for path in sorted([*run_dir.glob("journal*.sqlite"), run_dir / "gate.sqlite"]):
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall():
                differs = _DIFFERS.get((path.name, table), "").split(", ")
                columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] not in differs]
                rows = db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
                found[f"{path.name} {table}"] = sorted(rows, key=repr)
    return found


def left_of(session: int) -> list[int]:
    """Return the living processes of a session."""
    left: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in {"Z", "X"} and int(fields[3]) == session:
            left.append(int(path.parent.name))
    return left


@dataclass
class Floor:
    """A place for runs of one day: where they are, where their sockets are, and what an undisturbed one comes to."""

    folder: Path
    sockets: Path
    words: Sequence[str | Path]
    sessions: list[int] = field(default_factory=list[int])

    @property
    def env(self) -> dict[str, str]:
        return environment({"TMPDIR": str(self.sockets)})

    def calm(self) -> dict[str, Any]:
        """Run undisturbed, and return the evidence."""
        run_dir = self.folder / "calm"
        done = outcry("run", "--json", "--in-process", *self.words, "--run-dir", run_dir)
        assert done.code == 0, done.err
        assert done.json["fills"] > 0 < done.json["approved"]
        return evidence(run_dir)

    def killed(self, at: int | str, *words: str | Path) -> str:
        """Run until the point; return its name, or empty where there is none: then the run came to its end."""
        note = self.folder / "note"
        command = [sys.executable, "-m", "tests.e2e.watched", str(note), str(at), *map(str, words)]
        code, out, err = self._ran(command)
        assert code in (0, 130, -signal.SIGKILL), (code, out, err)
        return note.read_text(encoding="utf-8") if code else ""

    def go_on(self, run_dir: Path, *words: str) -> Done:
        """Take the run up."""
        return Done(*self._ran([sys.executable, "-m", "outcry", "run", "--continue", str(run_dir), *words]))

    def _ran(self, command: list[str]) -> tuple[int, str, str]:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.sessions.append(process.pid)
        with process:
            try:
                out, err = process.communicate(timeout=_DEADLINE_S)
            finally:
                if process.poll() is None:
                    process.kill()
        return process.returncode, out, err

    def left(self) -> list[str]:
        """Return what is left behind of all that ran here, after the time that a fork server may take to clean up."""
        deadline = monotonic_ns() + 10 * NS
        while True:
            processes = [f"process {pid}" for session in self.sessions for pid in left_of(session)]
            left = processes + [f"folder {path.name}" for path in self.sockets.glob("outcry-*")]
            if not left or monotonic_ns() > deadline:
                return left
            os.sched_yield()


@contextmanager
def floor(words: Sequence[str | Path] = (), minutes: int = 60) -> Generator[Floor]:
    """Make a place for runs of the sample day's first minutes; removed again unless something is wrong."""
    folder = Path(tempfile.mkdtemp(prefix="oc-"))
    sockets = folder / "s"
    sockets.mkdir()
    yield Floor(folder, sockets, ("--day", short_day(folder, minutes), *words))
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Played:
    """What came of one run that was killed.

    Attributes:
        killed: The points at which it was.
        outcome: ``anew`` where nothing had begun yet, else ``same``.
        wrong: What is not as it should be.
        first_s: From the start of ``outcry run --continue`` to its first new cycle; None where there was none.
    """

    killed: tuple[str, ...]
    outcome: str
    wrong: tuple[str, ...]
    first_s: float | None = None


def play(on: Floor, calm: dict[str, Any], points: Sequence[int | str]) -> Played:
    """Start a run and kill its supervisor at the first point, take it up and kill that one's at the next; go on."""
    run_dir = on.folder / "run"
    shutil.rmtree(run_dir, ignore_errors=True)
    names: list[str] = []
    for point in points:
        words = ("--continue", run_dir) if names else (*on.words, "--run-dir", run_dir)
        name = on.killed(point, "run", "--json", *words)
        if not name:
            return Played(tuple(names), "", ())
        names.append(name)
        if not (run_dir / "run.json").exists():
            break
    done = on.go_on(run_dir, "--json")
    killed = tuple(names)
    if not (run_dir / "run.json").exists():
        refused = done.code == 2 and "start anew" in done.json["message"]
        wrong = [] if refused and not (run_dir / "trace.sqlite").exists() else [f"{done.code}: {done.out}{done.err}"]
        return Played(killed, "anew", (*wrong, *on.left()))
    wrong = list(on.left())
    if done.code == 2 and "has ended" in done.out:  # killed after its last word: there is nothing to go on with
        told: dict[str, Any] = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    elif done.code:
        return Played(killed, "failed", (*wrong, f"{done.code}: {done.out}{done.err}"))
    else:
        told = done.json
    found = evidence(run_dir)
    wrong += [f"{name} differs" for name in {*calm, *found} if found.get(name) != calm.get(name)]
    if told["trace_hash"] != calm["trace"][-1][-1]:
        wrong.append("the summary's trace hash differs")
    if not (run_dir / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>"):
        wrong.append("the report is not whole")
    wrong += [f"{path.name} is left" for path in run_dir.glob(".*")]
    return Played(killed, "same", tuple(wrong), told["first_decision_seconds"])


def main() -> int:
    """Print a row for each point, and every problem."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.continued", description=__doc__)
    parser.add_argument("--first", type=int, default=1, help="begin at this point")
    parser.add_argument("--last", type=int, default=_MOST, help="end at this point")
    parser.add_argument("--step", type=int, default=1, help="every n-th point only")
    parser.add_argument("--minutes", type=int, default=60, help="of the sample day")
    parser.add_argument("--cycles", action="store_true", help="after each cycle, not at each point")
    parser.add_argument("--again", action="store_true", help="kill the supervisor that takes it up, at each of its own")
    asked = parser.parse_args()
    wrong = 0
    times: list[float] = []
    with floor(minutes=asked.minutes) as on:
        calm = on.calm()
        unharmed = 0
        for number in range(asked.first, asked.last + 1, asked.step):
            point = f"cycle {number}" if asked.cycles else number
            played = play(on, calm, ("cycle 3", point) if asked.again else (point,))
            unharmed = 0 if played.outcome else unharmed + 1
            if unharmed == 2:
                break
            if not played.outcome:
                continue
            wrong += bool(played.wrong)
            times += [played.first_s] if played.first_s is not None and played.outcome == "same" else []
            first = f"{played.first_s:.2f} s" if played.first_s is not None else ""
            _say(f"{', then '.join(played.killed):60} {played.outcome:8} {first:8} {'; '.join(played.wrong)[:2000]}")
    if times:
        _say(f"to the first new cycle: median {sorted(times)[len(times) // 2]:.2f} s, most {max(times):.2f} s")
    _say(f"wrong: {wrong}")
    return 1 if wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
