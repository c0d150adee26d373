"""What a check of ``outcry doctor`` says, and how checks are run: one that fails to run is itself a finding.

Not the checks: those of the machine are in ``outcry._doctor_machine``, those of the desk in ``outcry._doctor_desk``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

__all__ = ["Check", "Finding", "State", "examine", "fail", "ok", "warn", "worst"]

State: TypeAlias = Literal["ok", "warn", "fail"]

_ORDER: tuple[State, ...] = ("ok", "warn", "fail")


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        name: What, in a word or two.
        state: ``ok``; ``warn``: a desk runs, with less than it could have; ``fail``: it does not, or must not.
        found: What was found.
        todo: What to do about it, empty where it is well.
    """

    name: str
    state: State
    found: str
    todo: str = ""


Check: TypeAlias = Callable[[], Finding | Iterable[Finding]]


def ok(name: str, found: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(name, "ok", found)


def warn(name: str, found: str, todo: str) -> Finding:
    """Return a finding that a person should know."""
    return Finding(name, "warn", found, todo)


def fail(name: str, found: str, todo: str) -> Finding:
    """Return a finding that keeps a desk from running."""
    return Finding(name, "fail", found, todo)


def examine(checks: Sequence[tuple[str, Check]]) -> list[Finding]:
    """Run checks in order and return what they found."""
    findings: list[Finding] = []
    for name, check in checks:
        try:
            found = check()
            findings += [found] if isinstance(found, Finding) else [*found]
        except Exception as error:
            what = f"it could not be examined: {type(error).__name__}: {error}"
            findings.append(fail(name, what, "mend what it names, and examine again"))
    return findings


def worst(findings: Iterable[Finding]) -> State:
    """Return the worst state of all."""
    return _ORDER[max((_ORDER.index(finding.state) for finding in findings), default=0)]
