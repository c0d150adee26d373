"""Break the gate and execution on purpose, one small change at a time, and see that a test notices each.

Not a test: it measures the tests. It works on a copy of the tree, with mutmut in an environment of its own, and writes
down every change that no test noticed. Texts for people (strings with a space in them, and arguments that are such) are
not changed: no test should hold a sentence to the letter. Codes, kinds and names are.

    python scripts/mutation.py                     # everything, most of an hour on two cores
    python scripts/mutation.py risk/limits.py      # one module
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.scratch import scratch_python

__all__ = ["GROUPS", "Group", "main"]

ROOT = Path(__file__).resolve().parents[1]
WANTED = 0.9
"""The share of changes that tests must notice."""
_DRIVER = ROOT / "scripts" / "mutation_driver.py"
_MUTMUT = "mutmut==3.8.1"
_COPIED = ("agents", "bench", "bus", "evals", "execution", "feed", "mcp_servers", "outcry", "quant", "risk", "scripts")
_BESIDE = ("docs", "examples", "tests", "pyproject.toml", "Makefile", "README.md", "CHANGELOG.md", "LICENSE")
_NOTICED = {1, 3, 24, 36, 37, 152, 255, -24}
"""How a run of the tests ends that noticed: failed, an internal error, too slow."""
_SLOW = {24, 36, 152, 255, -24}
_UNSEEN = {5, 33}


@dataclass(frozen=True)
class Group:
    """Modules that are judged by the same tests.

    Attributes:
        package: Their package.
        modules: Their files.
        tests: The tests that are meant to hold them: fast ones, without processes that are killed.
    """

    package: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]


GROUPS = (
    Group(
        "risk",
        (
            "risk/_carried.py",
            "risk/_client.py",
            "risk/_layers.py",
            "risk/_losses.py",
            "risk/_resting.py",
            "risk/_special.py",
            "risk/_terms.py",
            "risk/book.py",
            "risk/checks.py",
            "risk/facts.py",
            "risk/judging.py",
            "risk/kills.py",
            "risk/limits.py",
            "risk/standing.py",
            "risk/state.py",
            "risk/tickets.py",
        ),
        ("tests/risk", "tests/hostile/test_digests.py"),
    ),
    Group(
        "execution",
        (
            "execution/_reconcile_money.py",
            "execution/_reconcile_orders.py",
            "execution/_reconcile_shapes.py",
            "execution/_reconcile_view.py",
            "execution/admission.py",
            "execution/books.py",
            "execution/dealing.py",
            "execution/fills.py",
            "execution/ledger.py",
            "execution/legs.py",
            "execution/orders.py",
            "execution/reconcile.py",
            "execution/states.py",
            "execution/waiting.py",
        ),
        ("tests/execution", "tests/brokers/test_paper_fills.py", "tests/brokers/test_paper_rules.py"),
    ),
)
_LEFT_OUT = ("killed", "services", "live_day", "model", "garbage")
"""Words in the names of test files that start processes, search a space of states, or take a minute."""
_DESELECTED = ("tests/execution/test_journal.py::test_killed_at_any_point_it_goes_on_to_the_same_end",)


@dataclass
class Tally:
    """What became of the changes of one module."""

    results: dict[str, int]

    def count(self, codes: Iterable[int]) -> int:
        """Return how many ended so."""
        wanted = set(codes)
        return sum(code in wanted for code in self.results.values())

    @property
    def noticed(self) -> int:
        """How many a test noticed."""
        return self.count(_NOTICED)

    def survivors(self) -> list[str]:
        """Return the changes that no test noticed."""
        return sorted(name for name, code in self.results.items() if code not in _NOTICED)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tests(group: Group) -> list[str]:
    found: list[Path] = []
    for where in group.tests:
        found += sorted((ROOT / where).glob("test_*.py")) if (ROOT / where).is_dir() else [ROOT / where]
    return [str(path.relative_to(ROOT)) for path in found if not any(word in path.stem for word in _LEFT_OUT)]


def _copy(group: Group, modules: Sequence[str], tests: Sequence[str], tree: Path) -> None:
    """Copy the tree with a configuration for mutmut in it."""
    if tree.exists():
        shutil.rmtree(tree)
    (tree / "mutants").mkdir(parents=True)  # before Python starts there: it remembers which paths it has not found
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in (*_COPIED, *_BESIDE):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=ignored)
        elif source.exists():
            shutil.copy2(source, tree / name)
    present = [name for name in (*_COPIED, *_BESIDE) if name != group.package and (tree / name).exists()]
    settings: dict[str, Any] = {
        "source_paths": [group.package],
        "only_mutate": [*modules],
        "also_copy": present,
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-p", "scripts.mutation_examples", "-o", "addopts="],
        "pytest_add_cli_args_test_selection": [*tests, *(f"--deselect={name}" for name in _DESELECTED)],
        "timeout_multiplier": 6.0,
        "timeout_constant": 4.0,
        "track_dependencies": False,
        "use_git_change_detection": False,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    with (tree / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n[tool.mutmut]\n" + "\n".join(lines) + "\n")


def _results(tree: Path, modules: Sequence[str]) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    for module in modules:
        meta = tree / "mutants" / f"{module}.meta"
        if meta.exists():
            codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
            tallies[module] = Tally({name: -1 if code is None else code for name, code in codes.items()})
    return tallies


def _shown(python: Path, tree: Path, name: str) -> str:
    command = [str(python), str(_DRIVER), "show", name]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    lines = [
        line for line in done.stdout.splitlines() if line.startswith(("-", "+")) and line[:3] not in ("---", "+++")
    ]
    return "\n".join(lines)


def _report(tallies: dict[str, Tally]) -> float:
    total: Counter[str] = Counter()
    _say(f"{'module':<36}{'changes':>9}{'noticed':>9}{'of them slow':>14}{'unseen':>8}{'survived':>10}{'share':>8}")
    for module, tally in tallies.items():
        row = {
            "changes": len(tally.results),
            "noticed": tally.noticed,
            "slow": tally.count(_SLOW),
            "unseen": tally.count(_UNSEEN),
        }
        row["survived"] = row["changes"] - row["noticed"] - row["unseen"]
        total.update(row)
        _say(_line(module, row))
    _say(_line("together", total))
    return total["noticed"] / max(total["changes"], 1)


def _line(module: str, row: dict[str, int] | Counter[str]) -> str:
    share = row["noticed"] / max(row["changes"], 1)
    figures = f"{row['changes']:>9}{row['noticed']:>9}{row['slow']:>14}{row['unseen']:>8}{row['survived']:>10}"
    return f"{module:<36}{figures}{share:>8.1%}"


def _survivors(python: Path, tree: Path, tallies: dict[str, Tally]) -> Iterator[str]:
    for module, tally in tallies.items():
        for name in tally.survivors():
            code = tally.results[name]
            why = "no test runs it" if code in _UNSEEN else "survived" if code == 0 else f"ended with {code}"
            yield f"### {module}: {name} ({why})\n\n```diff\n{_shown(python, tree, name)}\n```\n"


def main() -> int:
    """Run, report, and return 1 when too little was noticed."""
    parser = argparse.ArgumentParser(description="How many small changes of the gate and of execution do tests notice?")
    parser.add_argument("modules", nargs="*", help="files such as risk/limits.py; without them all of the core")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="how many at a time")
    parser.add_argument("--work", type=Path, help="where the copy goes; without it a new temporary folder, which stays")
    parser.add_argument("--again", action="store_true", help="go on in --work, with what was found there before")
    given = parser.parse_args()
    work = given.work.absolute() if given.work else Path(tempfile.mkdtemp(prefix="outcry-mutation-"))
    work.mkdir(parents=True, exist_ok=True)
    python = scratch_python(work / "venv", _MUTMUT, "mutmut")
    if python is None:
        _say(f"{_MUTMUT} cannot be installed here, so nothing was changed and nothing shown")
        return 2
    tallies: dict[str, Tally] = {}
    survivors: list[str] = []
    for group in GROUPS:
        modules = [name for name in group.modules if not given.modules or name in given.modules]
        modules = [name for name in modules if (ROOT / name).exists()]
        if not modules:
            continue
        tree = work / group.package
        if not given.again or not tree.exists():
            _copy(group, modules, _tests(group), tree)
        command = [str(python), str(_DRIVER), "run", "--max-children"]
        with (work / f"{group.package}.log").open("wb") as log:
            done = subprocess.run(
                [*command, str(given.jobs)], cwd=tree, stdout=log, stderr=log, check=False, env=_quiet(tree / "mutants")
            )
        found = _results(tree, modules)
        if done.returncode or not found:
            _say(f"mutmut ended with {done.returncode}: read {log.name}")
            return 2
        tallies |= found
        survivors += _survivors(python, tree, found)
    share = _report(tallies)
    (work / "survivors.md").write_text("\n".join(survivors), encoding="utf-8")
    _say(f"{share:.1%} noticed, {WANTED:.0%} wanted; what survived is in {work / 'survivors.md'}")
    return int(share < WANTED)


def _quiet(path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OUTCRY_", "OPENAI_"))}
    return {**kept, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}


if __name__ == "__main__":
    sys.exit(main())
