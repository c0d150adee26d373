"""Runs mutmut for ``scripts/mutation.py``, in its own environment: texts stay as they are, and tests are found once.

mutmut starts pytest anew for every change; where a change is seen by a thousand tests, finding them takes longer than
running them. Here they are found once, and every fork runs those that reach its change, the quickest first.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import libcst  # pyright: ignore[reportMissingImports] - of the scratch environment only, like mutmut
import pytest
from _pytest.config import get_config
from mutmut.__main__ import cli  # pyright: ignore[reportMissingImports]
from mutmut.configuration import config  # pyright: ignore[reportMissingImports]
from mutmut.mutation import mutators  # pyright: ignore[reportMissingImports]
from mutmut.runners.harness import PytestRunner  # pyright: ignore[reportMissingImports]
from mutmut.workers.isolation import ForkRunner  # pyright: ignore[reportMissingImports]

_FOUND: dict[str, pytest.Item] = {}


class _Failures:
    """Tells whether a test failed."""

    def __init__(self) -> None:
        self.any = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a report in."""
        self.any = self.any or report.failed


_FAILURES = _Failures()
_KEPT: list[Any] = []


def _find() -> None:
    """Find every test, in the process that all others are forked from."""
    before = Path.cwd()
    os.chdir("mutants")
    given = config()
    words = ["--rootdir=.", "--tb=native", "-qq", "-p", "no:terminal", *given.pytest_add_cli_args]
    prepared: Any = get_config()
    prepared = prepared.pluginmanager.hook.pytest_cmdline_parse(
        pluginmanager=prepared.pluginmanager, args=[*words, *given.pytest_add_cli_args_test_selection]
    )
    prepared.pluginmanager.register(_FAILURES)
    prepared._do_configure()
    session: Any = pytest.Session.from_config(prepared)
    prepared.hook.pytest_sessionstart(session=session)
    session.perform_collect()
    _FOUND.update({item.nodeid: item for item in session.items})
    os.chdir(before)


def _run(tests: Iterable[str]) -> int:
    """Run tests, in a fork, to the first that fails."""
    _KEPT.extend((sys.stdout, sys.stderr))  # mutmut's own; dropped while a test runs, they would warn
    os.chdir("mutants")
    items = [_FOUND[name] for name in tests]
    folder = Path(tempfile.gettempdir()) / f"outcry-change-{os.getpid()}"
    configured: Any = items[0].config
    configured._tmp_path_factory._given_basetemp = folder
    try:
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if _FAILURES.any:
                return 1
        return 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_text(node: Any) -> bool:
    kinds = libcst.FormattedString | libcst.ConcatenatedString
    return isinstance(node, kinds) or (isinstance(node, libcst.SimpleString) and " " in node.value)


def _codes_only(node: Any) -> Iterator[Any]:
    if isinstance(node, libcst.SimpleString) and not _is_text(node):
        yield from _STRINGS(node)


def _with_its_text(node: Any) -> Iterator[Any]:
    texts = [argument for argument in node.args if _is_text(argument.value)]
    for changed in _ARGUMENTS(node):
        if all(any(text is argument for argument in changed.args) for text in texts):
            yield changed


_STRINGS, _ARGUMENTS = mutators.operator_string, mutators.operator_arg_removal


def main() -> None:
    """Put ours in the place of mutmut's, and do what the command line says."""
    other = {_STRINGS: _codes_only, _ARGUMENTS: _with_its_text}
    operators = mutators.mutation_operators
    operators[:] = [(kind, other.get(operator, operator)) for kind, operator in operators]
    start, run = ForkRunner.startup, PytestRunner.run_tests

    def startup(self: Any) -> None:
        _find()
        start(self)

    def run_tests(self: Any, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        return _run(tests) if _FOUND else run(self, mutant_name=mutant_name, tests=tests)

    ForkRunner.startup, PytestRunner.run_tests = startup, run_tests
    cli(sys.argv[1:])


if __name__ == "__main__":
    main()
