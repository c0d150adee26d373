"""The command ``outcry``: reads the words, imports the one command that was asked for, and says errors in one place.

Not where commands are done: each has its module in ``outcry.commands``. Heavy imports wait for their command.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

from bus.clock import monotonic_ns
from bus.errors import OutcryError, UsageError

__all__ = ["COMMANDS", "entry", "main", "make_parser"]

COMMANDS = {
    "run": "start a desk on a recorded day, every stage in its own process, until the day ends or Ctrl-C",
    "days": "recorded days: list, show, import, check, sample",
    "mcp": "market and order tools for MCP clients: stdio, or --http",
    "status": "what a desk is doing",
    "kill": "engage the kill switch of the desk, a client or a strategy: every later order is refused",
    "resume": "clear the kill switch (asks, on a terminal)",
    "orders": "the orders of a client",
    "positions": "what a client holds and owns",
    "explain": "why an order was approved or refused, computed again",
    "reconcile": "compare a client's books with its broker's",
    "doctor": "what this machine grants a desk, and what it lacks",
    "schema": "the JSON Schema of the bus messages",
    "bench": "measure the bus, the gate, the journal, a replay, the feed or the MCP servers beside their floors",
}
"""Command → what it does. ``outcry.commands.NAME`` has ``add(parser)`` and ``run(given) -> exit code``."""


_INTERRUPTED: list[int] = []
_NOTHING_BEGAN = "interrupted before the day began; nothing is left running"


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    _INTERRUPTED.append(number)
    raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}; `{self.prog} --help` says what is allowed")


def make_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser, with the options of the one command that ``words`` name."""
    parser = _Parser(
        prog="outcry",
        description="Trade a recorded market day with a desk of agents behind a risk gate.",
        epilog="Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 refused by the gate or the kill switch, "
        "130 interrupted after a clean stop.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    chosen = next((word for word in words if not word.startswith("-")), "")
    for name, does in COMMANDS.items():
        sub = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.", allow_abbrev=False)
        if name == chosen:
            importlib.import_module(f"outcry.commands.{name}").add(sub)
    return parser


def main(words: Sequence[str], started_ns: int) -> int:
    """Do one command.

    Args:
        words: The arguments after the program's name.
        started_ns: When the program started, monotonic nanoseconds.

    Returns:
        The exit code.
    """
    as_json = "--json" in words
    try:
        given = make_parser(words).parse_args([*words])
        given.started_ns = started_ns
        return int(importlib.import_module(f"outcry.commands.{given.command}").run(given))
    except OutcryError as error:
        from outcry.failure import code_of

        _tell(code_of(error), str(error), as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt:
        _tell("interrupted", _NOTHING_BEGAN, as_json=as_json)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader left: python must not complain when it flushes
        return 1
    except Exception as error:
        if _INTERRUPTED:  # a library turned the interrupt into an error of its own
            _tell("interrupted", _NOTHING_BEGAN, as_json=as_json)
            return 130
        import traceback

        traceback.print_exc()
        _tell("internal", f"{type(error).__name__}: {error}; this is a fault of the program's", as_json=as_json)
        return 1


def _tell(code: str, message: str, *, as_json: bool) -> None:
    sys.stderr.write(f"outcry: {message}\n")
    if as_json:
        told: dict[str, Any] = {"error": code, "message": message}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def entry() -> NoReturn:
    """Run the command line and leave with its exit code."""
    started_ns = monotonic_ns()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    code = main(sys.argv[1:], started_ns)
    sys.stdout.flush()
    sys.exit(code)


if __name__ == "__main__":
    entry()
