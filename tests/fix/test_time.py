"""Heartbeats and giving up, by a clock that the test moves. QuickFIX: 4a, 4b, 6, 7."""

from __future__ import annotations

import pytest

from tests.brokers.fix_acceptor import first
from tests.fix.peer import Peer, execution

pytestmark = pytest.mark.requirement("fix:time")


def test_nothing_to_send_for_an_interval_is_a_heartbeat(on: Peer) -> None:
    on.pass_s(9.9)
    assert on.heard() == []
    on.pass_s(0.1)
    assert on.kinds() == ["0"]
    on.pass_s(0.1)
    assert on.heard() == []


def test_sending_puts_off_the_heartbeat(on: Peer) -> None:
    on.pass_s(9)
    on.session.send("D", "oo-1", [(11, "oo-1")], lambda: None)
    assert on.kinds() == ["D"]
    on.pass_s(2)
    assert on.heard() == []


def test_their_silence_is_tested_and_their_answer_keeps_the_session(on: Peer) -> None:
    on.pass_s(12)
    on.heard()
    on.pass_s(0.1)
    (test,) = [m for m in on.heard() if first(m, 35) == "1"]
    on.say("0", [(112, first(test, 112))])
    for _ in range(10):
        on.pass_s(2)
        on.say("0")
    assert on.session.ready


def test_silence_after_a_test_ends_the_session(on: Peer) -> None:
    on.pass_s(12.1)
    assert "1" in on.kinds()
    on.pass_s(11)
    assert on.session.alive
    on.pass_s(1.1)
    assert not on.session.alive
    assert "TestRequest" in on.session.why


def test_garbled_bytes_are_a_sign_of_life_but_not_a_message(on: Peer) -> None:
    on.pass_s(11)
    on.session.received(b"nonsense")
    on.pass_s(11)
    assert on.session.alive
    assert on.store.next_in == 2


def test_their_test_is_answered_with_its_own_words(on: Peer) -> None:
    on.say("1", [(112, "are you there?")])
    (beat,) = on.heard()
    assert (first(beat, 35), first(beat, 112)) == ("0", "are you there?")


def test_a_connection_that_breaks_while_it_is_written_to_is_over(on: Peer) -> None:
    on.broken = True
    on.pass_s(10)
    assert not on.session.alive
    on.broken = False
    assert first(on.connect(), 34) == "3", "the number of what may have been sent is used up"


def test_a_send_that_breaks_says_so_and_is_kept(on: Peer) -> None:
    on.broken = True
    with pytest.raises(BrokenPipeError):
        on.session.send("D", "oo-1", [(11, "oo-1")], lambda: None)
    assert on.store.sent_as(2) == ("D", "oo-1")
    assert on.store.next_out == 3
    on.say("8", execution())
    assert on.inbox() == [], "a session that is over takes nothing more"
