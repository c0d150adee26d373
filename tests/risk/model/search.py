"""Every state that a few orders can bring two clients' books to, breadth first, by the gate's own code.

The books and the judge are the real ones; what is written here is the venue: what each order may still do in truth.

A state is the part of one client and the part of the other. What happens to an order touches its own client's book
and nothing else, and of another book the judge sees three sums: so each step of a part is played once on the real
book, each question is put to the real judge once for every three sums, and both are kept. What must hold of one client
is looked at in each of its parts; what must hold of the desk, in each state. That the parts are apart is not believed:
every ``sample``-th state is stood in both real books at once, and every step from it is played there and compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.risk.model.parts import Parts, Violation
from tests.risk.model.venue import APPROVE, Model
from tests.risk.model.world import CLIENTS, World, over_desk

__all__ = ["Found", "search"]

State: TypeAlias = int
"""The number of the first client's part, and below it that of the second's."""
BITS = 32
LOW = (1 << BITS) - 1


@dataclass
class Found:
    """What a search came to.

    Attributes:
        states: How many states were stood in, each once.
        transitions: How many ways led out of them, with those that the judge denied.
        parts: How many states each client's own book has.
        played: How many steps of parts were played on the real book, each once.
        asked: How many questions were put to the real judge, each once.
        compared: How many steps were played on both real books at once, and compared.
        whole: Whether these are all states that there are.
    """

    states: int = 0
    transitions: int = 0
    approved: int = 0
    denied: int = 0
    depth: int = 0
    parts: tuple[int, int] = (0, 0)
    played: int = 0
    asked: int = 0
    compared: int = 0
    whole: bool = False
    violations: list[str] = field(default_factory=list[str])


class Search:
    """A search under way: which states were found, and from which other."""

    def __init__(self, model: Model, sample: int) -> None:
        self.world, self.sample, self.found = World(model), sample, Found()
        self.first, self.second = Parts(self.world, 0), Parts(self.world, 1)
        self.came: dict[State, State] = {0: 0}

    def expand(self, layer: list[State], most_states: int) -> list[State]:
        """Go one step on from every state of a layer, and return the states that are new."""
        first, second, found, came = self.first, self.second, self.found, self.came
        following: list[State] = []
        for state in layer:
            if found.states == most_states:
                return following
            one, two = state >> BITS, state & LOW
            found.states += 1
            try:
                own, other = first.worth[one], second.worth[two]
                ours = first.steps(one, other, second.worths[other])
                theirs = second.steps(two, own, first.worths[own])
                found.approved += ours.approved + theirs.approved
                found.denied += ours.denied + theirs.denied
                found.transitions += len(ours.to) + ours.denied + len(theirs.to) + theirs.denied
                for after in [*[to << BITS | two for to in ours.to], *[one << BITS | to for to in theirs.to]]:
                    if after not in came:
                        came[after] = state
                        following.append(after)
                        self._desk(after)
                if found.states % self.sample == 0:
                    self._compare(one, two)
            except Violation as problem:
                found.violations.append(f"{problem} (after: {self._way(state)})")
                return []
        return following

    def _desk(self, state: State) -> None:
        problem = over_desk(self.first.most[state >> BITS] + self.second.most[state & LOW])
        if problem:
            raise Violation(problem)

    def _compare(self, *state: int) -> None:
        """Play every step of a state with both real books standing in it, and compare with what is known of parts."""
        sides, seats = (self.first, self.second), self.world.seats
        for client, parts in enumerate(sides):
            for choice in parts.choices(state[client]):
                for side, seat, number in zip(sides, seats, state, strict=True):
                    seat.thaw(side.parts[number])
                then = state[client]
                if choice[1] != APPROVE or parts.approves(then, choice, seats[1 - client].worth()):
                    seats[client].play(choice)
                    then = parts.known(then, choice)
                after = [then, state[1]] if client == 0 else [state[0], then]
                self.found.compared += 1
                if any(seat.freeze() != side.parts[n] for side, seat, n in zip(sides, seats, after, strict=True)):
                    raise Violation(f"{CLIENTS[client]} {choice} leads elsewhere with both books there")

    def _way(self, state: State) -> str:
        """Return what happened on the shortest way to a state."""
        steps: list[str] = []
        while state:
            before, after = self.came[state], state
            state = before
            client = int(before >> BITS == after >> BITS)
            parts, shift, mask = ((self.first, BITS, LOW), (self.second, 0, LOW))[client]
            old, new = before >> shift & mask, after >> shift & mask
            steps.append(
                next(
                    f"{CLIENTS[client]} {choice[1]} {choice[0]}" + (f" of {choice[2]}" if choice[2] else "")
                    for choice in parts.choices(old)
                    if parts.known(old, choice) == new
                )
            )
        return ", ".join(reversed(steps))


def search(model: Model, most_states: int, tell: Callable[[Found], None] | None = None, sample: int = 256) -> Found:
    """Go through every state, nearest first.

    Args:
        model: What each client may order, once each.
        most_states: Where it stops although there are more.
        tell: Is called with what is found after each layer.
        sample: Every how many states all steps are played on both real books at once.
    """
    under_way = Search(model, sample)
    found, layer = under_way.found, [0]
    while layer and found.states < most_states:
        layer = under_way.expand(layer, most_states)
        found.depth += 1
        found.parts = (len(under_way.first.parts), len(under_way.second.parts))
        found.played = under_way.first.played + under_way.second.played
        found.asked = under_way.first.asked + under_way.second.asked
        if tell is not None:
            tell(found)
    found.whole = found.states == len(under_way.came) and not found.violations
    return found
