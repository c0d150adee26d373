"""No order before it is known what they missed of us: what they ask for is filled up to our newest message."""

from __future__ import annotations

import pytest

from tests.brokers.fix_acceptor import Fields, first
from tests.fix.peer import Peer

pytestmark = pytest.mark.requirement("fix:seen")


@pytest.fixture
def back(on: Peer) -> Peer:
    """A session that sent an order, lost its connection and has just logged on again."""
    on.session.send("D", "oo-1", [(11, "oo-1")], lambda: None)
    on.session.lost("gone")
    on.heard()
    on.connect()
    on.say("A", [(98, "0"), (108, "10")])
    return on


def probe_of(peer: Peer) -> Fields:
    (message,) = peer.heard()
    assert (first(message, 35), first(message, 34)) == ("1", "4")
    return message


def test_a_session_that_has_sent_nothing_before_takes_orders_at_once(on: Peer) -> None:
    assert on.heard() == []
    assert on.session.ready


def test_orders_wait_for_the_answer_to_the_test_that_follows_a_logon(back: Peer) -> None:
    words = first(probe_of(back), 112)
    assert not back.session.ready
    back.say("0")
    back.say("0", [(112, "other words")])
    assert not back.session.ready
    back.say("0", [(112, words)])
    assert back.session.ready
    back.session.send("F", "oo-2", [(41, "oo-1")], lambda: None)
    assert back.kinds() == ["F"]


def test_what_they_ask_for_is_filled_and_the_next_order_comes_after_it(back: Peer) -> None:
    probe_of(back)
    back.say("2", [(7, "2"), (16, "0")])
    (filled,) = back.heard()
    assert (first(filled, 35), first(filled, 34), first(filled, 36)) == ("4", "2", "5"), "the test is filled over too"
    assert back.session.ready
    back.session.send("F", "oo-2", [(41, "oo-1")], lambda: None)
    (cancel,) = back.heard()
    assert first(cancel, 34) == "5"


def test_a_part_that_they_ask_for_is_not_all_that_they_may_have_missed(back: Peer) -> None:
    words = first(probe_of(back), 112)
    back.say("2", [(7, "2"), (16, "2")])
    assert not back.session.ready
    back.say("0", [(112, words)])
    assert back.session.ready


def test_an_answer_that_comes_ahead_of_its_turn_counts_although_a_filled_gap_reaches_past_it(back: Peer) -> None:
    words = first(probe_of(back), 112)
    back.say("0", [(112, words)], 5)
    assert not back.session.ready, "messages of theirs are missing"
    back.again("4", [(123, "Y"), (36, "6")], 3)
    assert back.session.ready


def test_a_fill_that_could_not_be_written_counts_for_nothing(back: Peer) -> None:
    back.broken = True
    back.say("2", [(7, "2"), (16, "0")])
    assert not back.session.ready


def test_a_test_without_an_answer_ends_the_session_although_they_talk(back: Peer) -> None:
    for _ in range(12):
        back.pass_s(1)
        back.say("0")
    assert back.session.alive
    back.pass_s(0.1)
    assert not back.session.alive
    assert "answered no TestRequest" in back.session.why


def test_numbers_that_start_anew_leave_nothing_to_ask_for(back: Peer) -> None:
    back.say("A", [(98, "0"), (108, "10"), (141, "Y")], 1)
    assert back.session.ready
