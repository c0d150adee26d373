"""Sequence numbers, gaps, duplicates. QuickFIX: 2a-2g, 8, 10, 19a, 19b, 20, RejectResentMessage; CME: nested gaps."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.brokers.fix_acceptor import Fields, first, frame
from tests.fix.peer import Peer, execution


def order_fields(number: int) -> Fields:
    return [(11, f"oo-{number}"), (55, "ACME"), (54, "1"), (38, "1"), (40, "1")]


def send(peer: Peer, number: int) -> None:
    peer.session.send("D", f"oo-{number}", list(order_fields(number)), lambda: None)


@pytest.mark.requirement("fix:numbers")
class TestNumbers:
    def test_what_comes_in_turn_is_kept_once(self, on: Peer) -> None:
        on.say("8", execution("a"))
        on.say("0")
        on.say("8", execution("b"))
        assert on.inbox() == ["a", "b"]
        assert on.store.next_in == 5
        assert on.heard() == []

    def test_what_comes_too_early_waits_and_the_gap_is_asked_for_once(self, on: Peer) -> None:
        for seq in (4, 5):
            on.say("8", execution(f"e{seq}"), seq)
        (asked,) = on.heard()
        assert (first(asked, 35), first(asked, 7), first(asked, 16)) == ("2", "2", "0")
        assert on.inbox() == []
        assert not on.session.ready
        for seq in (2, 3):
            on.again("8", execution(f"e{seq}"), seq)
        assert on.inbox() == ["e2", "e3", "e4", "e5"]
        assert on.session.ready
        for seq in (4, 5):
            on.again("8", execution(f"e{seq}"), seq)
        assert on.inbox() == ["e2", "e3", "e4", "e5"]
        assert on.heard() == []

    def test_what_comes_too_low_ends_the_session_with_the_standard_words(self, on: Peer) -> None:
        on.say("8", execution())
        on.say("0")
        on.say("0")
        on.say("8", execution(), 2)
        (logout,) = on.heard()
        assert (first(logout, 35), first(logout, 58)) == ("5", "MsgSeqNum too low, expecting 5 but received 2")
        assert not on.session.alive
        assert on.inbox() == ["E-1"]

    @pytest.mark.parametrize("bad", ["-1", "two", "1.5"])
    def test_a_number_that_is_none_ends_the_session(self, on: Peer, bad: str) -> None:
        fields = [(tag, bad if tag == 34 else value) for tag, value in on.message("8", execution(), 2)]
        on.session.received(frame(fields))
        assert not on.session.alive
        assert on.inbox() == []

    def test_a_message_without_a_number_ends_the_session(self, on: Peer) -> None:
        on.session.received(frame([field for field in on.message("8", execution(), 2) if field[0] != 34]))
        (logout,) = on.heard()
        assert first(logout, 58) == "Required tag missing: MsgSeqNum"

    def test_a_number_out_of_all_bounds_stops_orders_and_in_the_end_the_session(self, on: Peer) -> None:
        on.say("8", execution(), 10**17)
        assert not on.session.ready
        on.session.passed()
        for _ in range(8):
            on.say("0")
            on.pass_s(5.1)
        assert not on.session.alive

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(order=st.permutations(range(2, 10)), dup=st.lists(st.integers(2, 9), max_size=4))
    def test_any_order_of_arrival_comes_to_the_same(
        self, tmp_path_factory: pytest.TempPathFactory, order: list[int], dup: list[int]
    ) -> None:
        peer = Peer(tmp_path_factory.mktemp("any"))
        peer.log_on()
        for seq in order:
            if seq >= peer.store.next_in:
                peer.say("8", execution(f"e{seq}"), seq)
        for seq in [*range(2, 10), *dup]:
            peer.again("8", execution(f"e{seq}"), seq)
        assert peer.inbox() == [f"e{seq}" for seq in range(2, 10)]
        assert peer.session.ready
        peer.store.close()


@pytest.mark.requirement("fix:dup")
class TestDuplicates:
    def test_one_that_was_received_is_passed_over(self, on: Peer) -> None:
        on.say("8", execution())
        on.again("8", execution(), 2)
        assert on.inbox() == ["E-1"]
        assert on.heard() == []
        assert on.session.ready

    def test_one_that_was_not_received_is_processed(self, on: Peer) -> None:
        on.again("8", execution(), 2)
        assert on.inbox() == ["E-1"]
        assert on.store.next_in == 3

    def test_one_that_is_sent_again_under_a_new_number_is_kept_for_the_reader_to_judge(self, on: Peer) -> None:
        on.say("8", execution(), None, (97, "Y"))
        on.say("8", execution(), None, (97, "Y"))
        assert on.inbox() == ["E-1", "E-1"]

    def test_one_whose_original_time_is_after_its_time_ends_the_session(self, on: Peer) -> None:
        on.again("8", execution(), 2, original_s=5)
        assert on.kinds() == ["3", "5"]
        assert not on.session.alive

    @pytest.mark.parametrize("seq", [1, 2])
    def test_one_without_its_original_time_is_rejected(self, on: Peer, seq: int) -> None:
        on.say("8", execution(), seq, (43, "Y"))
        (reject,) = on.heard()
        assert (first(reject, 35), first(reject, 371), first(reject, 373)) == ("3", "122", "1")
        assert on.session.alive
        assert on.store.next_in == {1: 2, 2: 3}[seq]

    def test_a_gap_fill_goes_without_its_original_time(self, on: Peer) -> None:
        on.say("4", [(123, "Y"), (36, "9")], 2, (43, "Y"))
        assert on.heard() == []
        assert on.store.next_in == 9


@pytest.mark.requirement("fix:resend")
class TestResend:
    def test_orders_are_never_sent_again(self, on: Peer) -> None:
        for number in range(3):
            send(on, number)
        assert on.kinds() == ["D", "D", "D"]
        on.say("2", [(7, "1"), (16, "0")])
        (fill,) = on.heard()
        said = {tag: first(fill, tag) for tag in (35, 34, 43, 123, 36)}
        assert said == {35: "4", 34: "1", 43: "Y", 123: "Y", 36: "5"}
        assert first(fill, 122) != ""

    @pytest.mark.parametrize(
        ("begin", "end", "expected"),
        [(2, 3, ("2", "4")), (2, 2, ("2", "3")), (1, 999, ("1", "5")), (4, 0, ("4", "5"))],
    )
    def test_exactly_what_is_asked_for_is_filled(
        self, on: Peer, begin: int, end: int, expected: tuple[str, str]
    ) -> None:
        for number in range(3):
            send(on, number)
        on.heard()
        on.say("2", [(7, str(begin)), (16, str(end))])
        (fill,) = on.heard()
        assert (first(fill, 34), first(fill, 36)) == expected

    @pytest.mark.parametrize(("begin", "end"), [(0, 0), (9, 0), (3, 2)])
    def test_what_was_never_sent_is_not_made_up(self, on: Peer, begin: int, end: int) -> None:
        on.say("2", [(7, str(begin)), (16, str(end))])
        assert on.heard() == []
        assert on.session.alive

    def test_both_sides_may_ask_at_once(self, on: Peer) -> None:
        send(on, 0)
        on.heard()
        on.say("2", [(7, "1"), (16, "0")], 4)
        filled, asked = on.heard()
        assert (first(filled, 35), first(filled, 36)) == ("4", "3")
        assert (first(asked, 35), first(asked, 7)) == ("2", "2")
        on.again("4", [(123, "Y"), (36, "4")], 2)
        assert on.store.next_in == 5
        assert on.heard() == [], "answered once"

    def test_a_gap_in_the_resend_is_asked_for_again_when_nothing_comes(self, on: Peer) -> None:
        on.say("8", execution("e6"), 6)
        on.heard()
        on.again("8", execution("e2"), 2)
        on.again("8", execution("e5"), 5)
        assert on.inbox() == ["e2"]
        assert on.heard() == []
        on.pass_s(5.1)
        asked = [message for message in on.heard() if first(message, 35) == "2"]
        assert [first(message, 7) for message in asked] == ["3"]
        on.again("8", execution("e3"), 3)
        on.again("4", [(123, "Y"), (36, "5")], 4)
        assert on.inbox() == ["e2", "e3", "e5", "e6"]
        assert on.session.ready

    def test_a_gap_beyond_the_one_that_was_asked_for_is_asked_for_next(self, on: Peer) -> None:
        on.say("8", execution("e3"), 3)
        on.say("8", execution("e6"), 6)
        on.heard()
        on.again("8", execution("e2"), 2)
        assert [first(message, 7) for message in on.heard()] == ["4"]
        assert not on.session.ready
        on.again("4", [(123, "Y"), (36, "6")], 4)
        assert on.inbox() == ["e2", "e3", "e6"]
        assert on.session.ready

    def test_a_resend_that_never_comes_ends_the_session(self, on: Peer) -> None:
        on.say("8", execution(), 9)
        for _ in range(6):
            on.session.received(b"")
            on.pass_s(5.1)
        assert not on.session.alive
        assert "no resend" in on.session.why

    @pytest.mark.parametrize("upto", [2, 1])
    def test_a_gap_fill_that_fills_nothing_is_rejected(self, on: Peer, upto: int) -> None:
        on.say("4", [(123, "Y"), (36, str(upto))])
        (reject,) = on.heard()
        assert (first(reject, 35), first(reject, 371), first(reject, 373)) == ("3", "36", "5")
        assert on.store.next_in == 3

    def test_a_gap_fill_ahead_of_its_turn_waits(self, on: Peer) -> None:
        on.say("4", [(123, "Y"), (36, "9")], 5)
        assert on.store.next_in == 2
        assert on.kinds() == ["2"]

    def test_a_gap_fill_that_came_before_is_passed_over(self, on: Peer) -> None:
        on.say("8", execution())
        on.say("4", [(123, "Y"), (36, "9")], 2, (43, "Y"))
        assert on.store.next_in == 3
        assert on.heard() == []
