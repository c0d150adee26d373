"""The hostile agent: a handler where a stage's was, that tries everything when it is told what there is.

It runs where any stage runs: built by the stage's own process, after all that the desk does to confine one.
"""

from __future__ import annotations

import errno
import sqlite3
import sys

import msgspec

from bus.errors import OutcryError
from bus.messages import Message, Ok
from bus.transport import Directory, Transport
from tests.hostile import on_bus, on_files, on_processes
from tests.hostile.loot import Loot

__all__ = ["Hostile", "build_hostile"]

_ALL = (*on_files.ATTEMPTS, *on_processes.ATTEMPTS, *on_bus.ATTEMPTS)


def _outcome(run: object, loot: Loot) -> str:
    assert callable(run)
    try:
        return f"won: {run(loot)}"
    except OSError as error:
        return f"{errno.errorcode.get(error.errno or 0, '?')}: {error.strerror}"
    except (OutcryError, sqlite3.Error, LookupError) as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"odd {type(error).__name__}: {error}"


class Hostile:
    """Answers a loot with what became of each attempt; anything else with nothing."""

    def handle(self, request: Message) -> Message:
        if not isinstance(request, Ok):
            return Ok("hostile")
        loot = msgspec.json.decode(request.detail, type=Loot)
        results: dict[str, str] = {}
        for one in _ALL:
            if loot.only and one.name not in loot.only:
                continue
            results[one.name] = _outcome(one.run, loot)
            sys.stdout.write(f"{one.name}: {results[one.name]}\n")
            sys.stdout.flush()
        return Ok(msgspec.json.encode(results).decode())


def build_hostile(spec: msgspec.Struct, transport: Transport, directory: Directory) -> Hostile:
    """Return the agent in the place of a stage."""
    del spec, transport, directory
    return Hostile()
