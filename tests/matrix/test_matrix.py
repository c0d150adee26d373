"""A thin cut of the kill matrix; the whole of it is ``python -m tests.matrix``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.matrix.__main__ import matrix, play
from tests.matrix.desk import Outcome, Role
from tests.matrix.floor import make_floor
from tests.matrix.play import Play
from tests.matrix.processes import Executed, Forked, Starter

JOBS = 4
"""Runs beside each other: most of a run is waiting."""
HANG_S = 20.0
"""What would be a hang, not slowness; the figure is what the table prints."""


@pytest.fixture(scope="module")
def starter() -> Iterator[Forked]:
    starter = Forked()
    yield starter
    starter.close()


def check(outcomes: dict[str, Outcome]) -> None:
    assert {name: outcome.problems for name, outcome in outcomes.items() if outcome.problems} == {}
    assert {name: outcome.unprotected for name, outcome in outcomes.items() if outcome.unprotected} == {}
    assert all(0 < outcome.back_s < HANG_S for outcome in outcomes.values())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.requirement("matrix:paper")
@pytest.mark.requirement("matrix:points")
@pytest.mark.parametrize(("role", "least"), [("gateway", 60), ("gate", 25)])
def test_killed_at_every_point_nothing_is_lost_or_doubled(starter: Forked, role: Role, least: int) -> None:
    outcomes = {
        f"{kill_at} {outcome.killed}": outcome for kill_at, outcome in matrix("paper", role, starter, jobs=JOBS)
    }
    check(outcomes)
    assert len(outcomes) >= least
    named = Counter(outcome.killed.partition(": ")[2] for outcome in outcomes.values())
    assert named["before commit"] >= 10 <= named["after commit"]
    if role == "gateway":
        calls = ("submit", "cancel", "replace", "restore")
        assert all(named[f"{when} {call}"] for call in calls for when in ("before", "after"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.requirement("matrix:paper")
def test_a_desk_that_was_killed_whole_goes_on_from_what_it_left(starter: Forked) -> None:
    check({f"{at} {outcome.killed}": outcome for at, outcome in matrix("paper", "desk", starter, step=6, jobs=JOBS)})


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.requirement("matrix:brokers")
@pytest.mark.parametrize("kind", ["alpaca", "ccxt", "fix"])
def test_killed_at_some_points_with_each_broker_nothing_is_lost_or_doubled(starter: Forked, kind: str) -> None:
    calm, points = play(kind, starter)
    assert (calm.problems, calm.killed) == ([], "")
    most = points["gateway"]
    check(
        {
            f"{at} {outcome.killed}": outcome
            for at, outcome in matrix(
                kind, "gateway", starter, step=most // 5, first=most // 8, last=most * 9 // 10, jobs=JOBS
            )
        }
    )
    check({"gate": play(kind, starter, "gate", points["gate"] // 2)[0]})


@pytest.mark.requirement("matrix:exec")
def test_a_killed_gateway_is_a_new_process_that_trades_again() -> None:
    outcome, _ = play("paper", Executed(), "gateway", 30)
    check({"exec": outcome})
    assert outcome.killed


class Lying:
    """A venue's face that tells something else than its books."""

    def __init__(self, run: Play, what: str) -> None:
        venue = run.floor.venue
        assert venue is not None
        self._true = venue
        self._what = what

    def orders(self) -> dict[str, int]:
        found = self._true.orders()
        first = next(iter(found))
        if self._what == "doubled":
            found[first] *= 2
        elif self._what == "lost":
            del found[first]
        elif self._what == "nobody knows":
            found["oo-stray"] = 1
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self._true, name)


@pytest.mark.requirement("matrix:sees")
@pytest.mark.parametrize("what", ["doubled", "lost", "nobody knows", "we hold", "our cash"])
def test_what_is_wrong_is_seen(starter: Starter, tmp_path: Path, what: str) -> None:
    from tests.brokers.alpaca_venue import AlpacaVenue

    run = Play(make_floor("alpaca", tmp_path), tmp_path, starter)
    venue = run.floor.venue
    assert isinstance(venue, AlpacaVenue)
    true_stop = run.stop

    def stop_then_move(role: str) -> None:
        """After the gateway has ended, move the venue's own books."""
        assert role in ("gateway", "gate")
        true_stop("gateway" if role == "gateway" else "gate")
        if what == "we hold":
            name = next(iter(venue.working()))
            venue.fill(name, venue.working()[name], venue.bid_nano)
        elif what == "our cash":
            venue.book.cash += 1_000

    run.stop = stop_then_move
    try:
        if what not in ("we hold", "our cash"):
            true_compare = run.compare

            def compare() -> None:
                run.floor.venue = Lying(run, what)  # pyright: ignore[reportAttributeAccessIssue] - it answers for the venue by __getattr__
                true_compare()
                run.floor.venue = venue

            run.compare = compare
        problems = run.run().problems
    finally:
        run.close()
    assert any(what in problem for problem in problems), problems
