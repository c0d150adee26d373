"""Logon, Logout and resets. QuickFIX: 1a, 1b, 1c, 1d, 1e, 13b, AlreadyLoggedOn, SessionReset, 11a-c."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.clock import NS
from execution.fix.values import time_text
from tests.brokers.fix_acceptor import Fields, first, frame
from tests.fix.peer import PASSWORD, USERNAME, Peer, execution


@pytest.mark.requirement("fix:logon")
class TestLogon:
    def test_the_logon_says_who_we_are_and_the_answer_makes_it_ready(self, peer: Peer) -> None:
        logon = peer.connect()
        said = {tag: first(logon, tag) for tag in (35, 49, 56, 34, 98, 108, 141, 553, 554)}
        assert said == {
            35: "A", 49: "DESK", 56: "VENUE", 34: "1", 98: "0", 108: "10", 141: "", 553: USERNAME, 554: PASSWORD,
        }  # fmt: skip
        assert first(logon, 52) == time_text(peer.now_ns)
        assert not peer.session.ready
        peer.say("A", [(98, "0"), (108, "10")])
        assert peer.session.ready
        assert peer.store.next_in == 2

    def test_numbers_go_on_over_connections_and_processes(self, on: Peer) -> None:
        on.say("8", execution())
        on.session.lost("gone")
        assert not on.session.ready
        on.reopen()
        assert first(on.connect(), 34) == "2"
        on.say("A", [(98, "0"), (108, "10")])
        on.answer_test()
        assert on.session.ready
        assert on.heard() == []

    def test_a_logon_whose_number_is_too_high_is_taken_and_the_gap_is_asked_for(self, peer: Peer) -> None:
        peer.connect()
        peer.say("A", [(98, "0"), (108, "10")], 5)
        assert peer.session.phase == "on"
        assert not peer.session.ready, "what is missing may be fills"
        (asked,) = peer.heard()
        assert (first(asked, 35), first(asked, 7), first(asked, 16)) == ("2", "1", "0")
        peer.again("4", [(123, "Y"), (36, "6")], 1)
        assert peer.session.ready
        assert peer.store.next_in == 6

    def test_a_logon_whose_number_is_too_low_ends_the_session(self, on: Peer) -> None:
        on.say("8", execution())
        on.session.lost("gone")
        on.connect()
        on.say("A", [(98, "0"), (108, "10")], 1)
        (logout,) = on.heard()
        assert (first(logout, 35), first(logout, 58)) == ("5", "MsgSeqNum too low, expecting 3 but received 1")
        assert not on.session.alive

    @pytest.mark.parametrize(
        ("sender", "target"), [("OTHER", "DESK"), ("VENUE", "OTHER"), ("DESK", "VENUE")], ids=["1c-s", "1c-t", "swap"]
    )
    def test_a_logon_of_somebody_else_is_refused(self, peer: Peer, sender: str, target: str) -> None:
        peer.connect()
        fields = [(35, "A"), (49, sender), (56, target), (34, "1"), (52, time_text(peer.now_ns)), (98, "0"), (108, "9")]
        peer.session.received(frame(fields))
        assert peer.kinds() == ["5"]
        assert not peer.session.alive
        assert "CompID" in peer.session.why

    @pytest.mark.parametrize("shift_s", [-121, 121])
    def test_a_logon_of_another_time_is_refused(self, peer: Peer, shift_s: int) -> None:
        peer.connect()
        fields = peer.message("A", [(98, "0"), (108, "10")], 1, shift_s=shift_s)
        peer.session.received(frame(fields))
        assert peer.kinds() == ["5"]
        assert "SendingTime" in peer.session.why

    @pytest.mark.parametrize("body", [[(98, "0")], [(98, "1"), (108, "10")], [(98, "0"), (108, "ten")]])
    def test_a_logon_that_cannot_be_followed_is_refused(self, peer: Peer, body: Fields) -> None:
        peer.connect()
        peer.say("A", body)
        assert peer.kinds() == ["5"]
        assert not peer.session.alive

    def test_a_logon_of_a_wrong_length_is_passed_over_and_time_runs_out(self, peer: Peer) -> None:
        peer.connect()
        raw = frame(peer.message("A", [(98, "0"), (108, "10")], 1))
        peer.session.received(raw.replace(b"\x019=", b"\x019=1", 1))
        peer.pass_s(9)
        assert peer.session.phase == "logging_on"
        peer.pass_s(2)
        assert not peer.session.alive
        assert "Logon" in peer.session.why

    def test_another_begin_string_ends_the_session(self, peer: Peer) -> None:
        peer.connect()
        peer.session.received(frame(peer.message("A", [(98, "0"), (108, "10")], 1), begin="FIX.4.2"))
        (logout,) = peer.heard()
        assert first(logout, 58) == "Incorrect BeginString"

    def test_anything_but_a_logon_first_ends_the_connection(self, peer: Peer) -> None:
        peer.connect()
        peer.say("8", execution())
        assert not peer.session.alive
        assert peer.inbox() == []
        assert peer.store.next_in == 1

    def test_a_second_logon_counts_and_changes_nothing(self, on: Peer) -> None:
        on.say("A", [(98, "0"), (108, "10")])
        assert on.session.ready
        assert on.heard() == []
        assert on.store.next_in == 3

    @pytest.mark.parametrize(("theirs", "due_s"), [("3", 3), ("10", 10), ("0", 10), ("99999", 10)])
    def test_the_shorter_heartbeat_of_the_two_is_kept(self, peer: Peer, theirs: str, due_s: int) -> None:
        peer.connect()
        peer.say("A", [(98, "0"), (108, theirs)])
        peer.pass_s(due_s - 0.1)
        assert peer.heard() == []
        peer.pass_s(0.1)
        assert peer.kinds() == ["0"]


@pytest.mark.requirement("fix:logout")
class TestLogout:
    def test_a_logout_of_theirs_is_answered_and_ends_it(self, on: Peer) -> None:
        on.say("5", [(58, "end of day")])
        assert on.kinds() == ["5"]
        assert not on.session.alive
        assert on.session.why == "the counterparty logged out: end of day"
        assert on.store.next_in == 3

    def test_ours_waits_for_the_answer_and_still_takes_what_comes_before_it(self, on: Peer) -> None:
        on.session.log_out()
        assert on.kinds() == ["5"]
        assert not on.session.ready
        on.say("8", execution("late"))
        assert on.inbox() == ["late"]
        on.say("5")
        assert not on.session.alive
        assert on.heard() == []

    def test_ours_is_not_waited_for_for_ever(self, on: Peer) -> None:
        on.session.log_out()
        on.pass_s(3)
        assert not on.session.alive

    def test_the_words_of_a_refusal_are_shown_without_the_keys(self, peer: Peer) -> None:
        peer.connect()
        peer.say("5", [(58, f"bad password {PASSWORD} of {USERNAME}\t!")])
        assert peer.session.why == "the counterparty logged out: bad password *** of *** !"


@pytest.mark.requirement("fix:reset")
class TestReset:
    def test_a_session_that_resets_starts_both_numbers_at_1(self, tmp_path: Path) -> None:
        peer = Peer(tmp_path, reset=True)
        for _ in range(2):
            logon = peer.connect()
            assert (first(logon, 34), first(logon, 141)) == ("1", "Y")
            peer.next = 1
            peer.say("A", [(98, "0"), (108, "10"), (141, "Y")])
            peer.say("8", execution())
            assert peer.session.ready
            assert (peer.store.next_in, peer.store.next_out) == (3, 2)
            peer.session.lost("gone")
        assert peer.store.epoch == 3
        peer.store.close()

    def test_their_reset_at_the_logon_is_taken(self, on: Peer) -> None:
        on.say("8", execution())
        on.session.lost("gone")
        on.connect()
        on.say("A", [(98, "0"), (108, "10"), (141, "Y")], 1)
        assert on.store.next_in == 2
        (test,) = on.heard()
        assert first(test, 34) == "3", "ours goes on: what they miss they ask for"
        on.say("0", [(112, first(test, 112))], 2)
        assert on.session.ready

    def test_their_reset_in_mid_session_is_answered_in_kind(self, on: Peer) -> None:
        on.say("8", execution())
        on.say("A", [(98, "0"), (108, "10"), (141, "Y")], 1)
        (logon,) = on.heard()
        assert (first(logon, 35), first(logon, 34), first(logon, 141)) == ("A", "1", "Y")
        assert (on.store.next_in, on.store.next_out) == (2, 2)
        on.say("8", execution("after"), 2)
        assert on.inbox() == ["E-1", "after"]

    def test_a_reset_goes_forward_whatever_its_own_number_is(self, on: Peer) -> None:
        on.say("4", [(36, "20")], 99)
        assert on.store.next_in == 20
        on.say("8", execution(), 20)
        assert on.inbox() == ["E-1"]

    def test_a_reset_to_what_is_expected_is_taken(self, on: Peer) -> None:
        on.say("4", [(36, "2")], 1)
        assert on.store.next_in == 2
        assert on.heard() == []

    def test_a_reset_backwards_is_rejected(self, on: Peer) -> None:
        on.say("8", execution())
        on.say("4", [(36, "2")], 3)
        (reject,) = on.heard()
        assert (first(reject, 35), first(reject, 45), first(reject, 371), first(reject, 373)) == ("3", "3", "36", "5")
        assert on.store.next_in == 4

    def test_a_reset_gives_up_what_it_jumps_over_and_takes_what_waited_behind(self, on: Peer) -> None:
        on.say("8", execution("waits"), 7)
        on.say("8", execution("given up"), 4)
        assert not on.session.ready
        on.say("4", [(36, "7")], 2)
        assert on.inbox() == ["waits"]
        assert on.session.ready
        assert on.now_ns > NS
