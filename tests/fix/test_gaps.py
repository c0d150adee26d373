"""Gaps that a counterparty fills past what came ahead of its turn. Not plain gaps: those are in ``test_numbers``."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.brokers.fix_acceptor import first
from tests.fix.peer import Peer, execution

_MOST_ROUNDS = 20


def resend(peer: Peer, said: dict[int, str], begin: int) -> None:
    """Answer a ResendRequest as a venue does: reports again, runs of session messages as one filled gap."""
    seq, end = begin, max(said) + 1
    while seq < end:
        if said[seq] == "8":
            peer.again("8", execution(f"e{seq}"), seq)
            seq += 1
            continue
        upto = next((later for later in range(seq, end) if said[later] == "8"), end)
        peer.again("4", [(123, "Y"), (36, str(upto))], seq)
        seq = upto


def answer_resends(peer: Peer, said: dict[int, str]) -> list[int]:
    """Answer every ResendRequest until none comes, and return where each began."""
    begins: list[int] = []
    while asked := [int(first(message, 7)) for message in peer.heard() if first(message, 35) == "2"]:
        assert len(begins) < _MOST_ROUNDS, f"asked for ever: {begins}"
        for begin in asked:
            begins.append(begin)
            resend(peer, said, begin)
    return begins


@pytest.mark.requirement("fix:numbers")
class TestFilledPast:
    def test_what_a_filled_gap_reached_past_is_not_waited_for(self, on: Peer) -> None:
        on.say("0", [], 4)
        assert [first(message, 7) for message in on.heard()] == ["2"]
        on.again("4", [(123, "Y"), (36, "6")], 2)
        assert on.heard() == [], "nothing before 6 is missing, and nothing from 6 on was said"
        assert on.session.ready
        on.say("8", execution("e6"), 6)
        on.pass_s(5.1)
        assert on.inbox() == ["e6"]
        assert on.heard() == []
        assert on.session.ready

    def test_what_came_ahead_of_where_the_fill_ends_is_still_waited_for(self, on: Peer) -> None:
        on.say("0", [], 4)
        on.say("8", execution("e8"), 8)
        on.heard()
        on.again("4", [(123, "Y"), (36, "6")], 2)
        assert [first(message, 7) for message in on.heard()] == ["6"]
        assert not on.session.ready
        on.again("4", [(123, "Y"), (36, "8")], 6)
        assert on.inbox() == ["e8"]
        assert on.heard() == []
        assert on.session.ready

    def test_an_answer_lost_and_an_order_killed_before_it_was_written_leave_a_session_that_takes_orders(
        self, on: Peer
    ) -> None:
        on.session.send("D", "oo-1", [(11, "oo-1")], lambda: None)
        on.broken = True
        with pytest.raises(BrokenPipeError):
            on.session.send("D", "oo-2", [(11, "oo-2")], lambda: None)
        on.heard()
        on.broken = False
        on.reopen()
        on.connect()
        said = {2: "8", 3: "A", 4: "2"}
        on.say("A", [(98, "0"), (108, "10")], 3)
        on.say("2", [(7, "3"), (16, "0")], 4)
        test, asked, filled = on.heard()
        assert (first(test, 35), first(test, 34)) == ("1", "5")
        assert (first(asked, 35), first(asked, 7)) == ("2", "2")
        assert (first(filled, 35), first(filled, 34), first(filled, 36)) == ("4", "3", "7")
        resend(on, said, 2)
        assert on.heard() == [], "what they said is complete up to 4"
        assert on.inbox() == ["e2"]
        assert on.session.ready

    @settings(max_examples=80, deadline=None)
    @given(
        kinds=st.lists(st.sampled_from(["8", "0"]), min_size=1, max_size=12),
        lost=st.sets(st.integers(2, 13)),
    )
    def test_whatever_was_lost_every_report_is_kept_once_and_orders_go_on(
        self, tmp_path_factory: pytest.TempPathFactory, kinds: list[str], lost: set[int]
    ) -> None:
        said = dict(enumerate([*kinds, "0"], start=2))
        peer = Peer(tmp_path_factory.mktemp("lost"))
        try:
            peer.log_on()
            for seq, kind in said.items():
                if seq not in lost or seq == max(said):
                    peer.say(kind, execution(f"e{seq}") if kind == "8" else [], seq)
            begins = answer_resends(peer, said)
            assert len(begins) == len(set(begins)), f"asked again for what was answered: {begins}"
            assert peer.inbox() == [f"e{seq}" for seq, kind in said.items() if kind == "8"]
            assert peer.store.next_in == max(said) + 1
            assert peer.session.ready
        finally:
            peer.store.close()
