"""What one client's part of a state can be, and where each leads: played on the real book once, and kept.

Not the search (``search``), which puts two of them together.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.risk.model.seat import Part, Worth
from tests.risk.model.venue import APPROVE, Choice
from tests.risk.model.world import CLIENTS, World

__all__ = ["Parts", "Steps", "Violation"]

BITS = 32


class Steps(NamedTuple):
    """Where a part leads to beside a book of some worth."""

    to: tuple[int, ...]
    approved: int
    denied: int


class Violation(Exception):
    """Something does not hold."""


class Parts:
    """The parts of one client, numbered as they are found; 0 is where nothing has happened.

    Attributes:
        parts: By number.
        most: How many units could come to be held in truth, by number.
        worth: The number of what others see of the book, by number.
        worths: Everything that others can see of it.
        played: How many steps were played.
        asked: How many questions were put to the judge.
    """

    def __init__(self, world: World, client: int) -> None:
        self.world, self.client, self.seat = world, client, world.seats[client]
        self.parts: list[Part] = []
        self.most: list[int] = []
        self.worth: list[int] = []
        self.worths: list[Worth] = []
        self.played = self.asked = 0
        self._number: dict[Part, int] = {}
        self._then: dict[tuple[int, Choice], int] = {}
        self._choices: dict[int, tuple[Choice, ...]] = {}
        self._steps: dict[int, Steps] = {}
        self._enter()

    def _enter(self) -> int:
        """Return the number of the part that the book stands in; in a new one, what must hold is looked at."""
        part = self.seat.freeze()
        known = self._number.get(part)
        if known is not None:
            return known
        problem = self.seat.broken()
        if problem:
            raise Violation(problem)
        worth = self.seat.worth()
        if worth not in self.worths:
            self.worths.append(worth)
        number = self._number[part] = len(self.parts)
        self.parts.append(part)
        self.most.append(self.seat.most())
        self.worth.append(self.worths.index(worth))
        return number

    def choices(self, number: int) -> tuple[Choice, ...]:
        """Return what can happen next in a part, with every order that may be given."""
        choices = self._choices.get(number)
        if choices is None:
            self.seat.thaw(self.parts[number])
            choices = self._choices[number] = tuple(self.seat.choices())
        return choices

    def known(self, number: int, choice: Choice) -> int:
        """Return the part that a choice led to when it was played; -1 where it never was."""
        return self._then.get((number, choice), -1)

    def then(self, number: int, choice: Choice) -> int:
        """Return the part that a choice leads to.

        Raises:
            Violation: Something does not hold there.
        """
        then = self._then.get((number, choice))
        if then is None:
            self.seat.thaw(self.parts[number])
            self.seat.play(choice)
            self.played += 1
            try:
                then = self._then[number, choice] = self._enter()
            except Violation as problem:
                raise Violation(f"{CLIENTS[self.client]} {choice}: {problem}") from None
        return then

    def approves(self, number: int, choice: Choice, others: Worth) -> bool:
        """Ask the gate's judge and a slow one, and return what both say.

        Raises:
            Violation: They do not say the same.
        """
        self.seat.thaw(self.parts[number])
        self.asked += 1
        code, expected = self.world.judged(self.client, choice[0], others)
        if code != expected:
            raise Violation(f"{CLIENTS[self.client]} {choice}: the judge says {code}, it should be {expected}")
        return code == "approved"

    def steps(self, number: int, other: int, others: Worth) -> Steps:
        """Return where a part leads.

        Args:
            number: The part.
            other: The number of the worth of the other client's book.
            others: That worth.

        Raises:
            Violation: Something does not hold.
        """
        key = number << BITS | other
        steps = self._steps.get(key)
        if steps is None:
            asked = [choice for choice in self.choices(number) if choice[1] == APPROVE]
            passed = [choice for choice in asked if self.approves(number, choice, others)]
            to = [self.then(number, each) for each in self.choices(number) if each[1] != APPROVE or each in passed]
            steps = self._steps[key] = Steps(tuple(to), len(passed), len(asked) - len(passed))
        return steps
