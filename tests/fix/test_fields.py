"""Fields, identity and bytes. QuickFIX: 2d, 2i, 2k, 2m, 2o, 2q, 2r, 2t, 3b, 3c, 14a-j, 15, 21."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execution.fix.codec import Framer, Message, encode
from execution.fix.values import BadValueError, time_text
from tests.brokers.fix_acceptor import Fields, first, frame
from tests.fix.peer import Peer, execution


def changed(fields: Fields, tag: int, value: str) -> Fields:
    return [(name, value if name == tag else old) for name, old in fields]


def hear(peer: Peer, fields: Fields) -> None:
    peer.session.received(frame(fields))


@pytest.mark.requirement("fix:identity")
class TestIdentity:
    @pytest.mark.parametrize(("tag", "value"), [(49, "OTHER"), (56, "OTHER")])
    def test_another_comp_id_is_rejected_and_ends_the_session(self, on: Peer, tag: int, value: str) -> None:
        hear(on, changed(on.message("8", execution(), 2), tag, value))
        reject, logout = on.heard()
        assert (first(reject, 35), first(reject, 371), first(reject, 373)) == ("3", str(tag), "9")
        assert first(logout, 35) == "5"
        assert not on.session.alive

    @pytest.mark.parametrize("shift_s", [-121, 121])
    def test_a_time_that_is_too_far_off_is_rejected_and_ends_the_session(self, on: Peer, shift_s: int) -> None:
        hear(on, on.message("8", execution(), 2, shift_s=shift_s))
        reject, _logout = on.heard()
        assert (first(reject, 371), first(reject, 373)) == ("52", "10")
        assert not on.session.alive

    @pytest.mark.parametrize("shift_s", [-120, 120])
    def test_a_time_that_is_just_near_enough_is_taken(self, on: Peer, shift_s: int) -> None:
        hear(on, on.message("8", execution(), 2, shift_s=shift_s))
        assert on.inbox() == ["E-1"]

    def test_a_time_that_is_none_is_rejected_and_what_follows_is_read(self, on: Peer) -> None:
        hear(on, changed(on.message("0", [], 2), 52, "yesterday"))
        (reject,) = on.heard()
        assert (first(reject, 371), first(reject, 373)) == ("52", "6")
        on.say("8", execution(), 3)
        assert on.inbox() == ["E-1"]

    def test_another_begin_string_ends_the_session(self, on: Peer) -> None:
        on.session.received(frame(on.message("0", [], 2), begin="FIX.4.3"))
        assert first(on.heard()[0], 58) == "Incorrect BeginString"
        assert not on.session.alive


@pytest.mark.requirement("fix:fields")
class TestFields:
    @pytest.mark.parametrize(
        ("name", "body", "tag", "reason"),
        [
            ("14a: a tag that is none", [*execution(), (0, "x")], "", "0"),
            ("14a: a negative tag", [*execution(), (-5, "x")], "", "0"),
            ("14b: a required field is missing", [f for f in execution() if f[0] != 17], "17", "1"),
            ("14b: a trade without its price", [f for f in execution() if f[0] != 31], "31", "1"),
            ("14d: a tag without a value", changed(execution(), 32, ""), "32", "4"),
            ("14e: an enum value that is none", changed(execution(), 150, "Z"), "150", "5"),
            ("14e: a side that is none", changed(execution(), 54, "buy"), "54", "5"),
            ("14f: a price that is none", changed(execution(), 31, "1e5"), "31", "6"),
            ("14f: not a number", changed(execution(), 31, "NaN"), "31", "6"),
            ("14f: a quantity out of range", changed(execution(), 32, "9" * 20), "32", "6"),
            ("14g: a header field in the body", [*execution(), (50, "x")], "50", "14"),
            ("14h: a tag twice", [*execution(), (32, "5")], "32", "13"),
        ],
    )
    def test_what_cannot_be_understood_is_rejected_by_fixs_reason(
        self, on: Peer, name: str, body: Fields, tag: str, reason: str
    ) -> None:
        on.say("8", body)
        (reject,) = on.heard()
        said = [first(reject, number) for number in (35, 45, 371, 372, 373)]
        assert said == ["3", "2", tag, "8", reason], name
        assert on.store.next_in == 3, "its number is used up"
        ((_, flaw, packed),) = on.store.inbox(0)
        assert flaw, "its order is told to be unknown"
        assert Message.unpack(packed).text(11) == "oo-1"
        assert on.session.ready

    @pytest.mark.parametrize("kind", ["ZZ", "n", "BE"])
    def test_a_message_of_a_type_that_is_not_taken_is_rejected(self, on: Peer, kind: str) -> None:
        on.say(kind, [(58, "hello")])
        (reject,) = on.heard()
        assert (first(reject, 372), first(reject, 373)) == (kind, "11")
        assert on.store.next_in == 3

    def test_a_tag_that_is_not_known_here_is_passed_over(self, on: Peer) -> None:
        """14c turned round: rejecting a report for a tag of the counterparty's own would lose a fill."""
        on.say("8", [*execution(), (5001, "theirs"), (9999, "theirs"), (146, "0")])
        assert on.inbox() == ["E-1"]
        assert on.heard() == []

    def test_the_order_of_fields_does_not_matter(self, on: Peer) -> None:
        body = list(reversed(execution()))
        head = [(35, "8"), (52, time_text(on.now_ns)), (34, "2"), (56, "DESK"), (49, "VENUE")]
        hear(on, [*head, *body])
        assert on.inbox() == ["E-1"]

    def test_a_reject_of_theirs_uses_up_its_number_and_is_kept(self, on: Peer) -> None:
        on.say("3", [(45, "1"), (58, "no")])
        assert on.heard() == []
        assert len(on.store.inbox(0)) == 1
        assert on.store.next_in == 3

    @pytest.mark.parametrize("kind", ["1", "2", "4"])
    def test_a_session_message_without_what_it_must_have_is_rejected(self, on: Peer, kind: str) -> None:
        on.say(kind, [])
        assert [(first(m, 35), first(m, 373)) for m in on.heard()] == [("3", "1")]
        assert on.store.next_in == 3


def whole(seq: int, exec_id: str, peer: Peer) -> bytes:
    return frame(peer.message("8", execution(exec_id), seq))


@pytest.mark.requirement("fix:garbled")
class TestGarbled:
    def test_a_wrong_check_sum_is_passed_over_and_asked_for_again(self, on: Peer) -> None:
        raw = whole(2, "lost", on)
        at = -4
        on.session.received(raw[:at] + b"%03d\x01" % ((int(raw[-4:-1]) + 1) % 256))
        assert on.heard() == []
        assert on.store.next_in == 2
        on.session.received(whole(3, "next", on))
        assert on.kinds() == ["2"]
        on.again("8", execution("lost"), 2)
        assert on.inbox() == ["lost", "next"]

    @pytest.mark.parametrize("by", [-7, -1, 1, 5, 60, 5000])
    def test_a_wrong_length_loses_only_its_own_message(self, on: Peer, by: int) -> None:
        raw = whole(2, "lost", on)
        length = int(raw.split(b"\x01")[1][2:])
        on.session.received(raw.replace(b"\x019=%d\x01" % length, b"\x019=%d\x01" % (length + by), 1))
        on.session.received(whole(3, "next", on))
        assert on.kinds() == ["2"]
        on.again("8", execution("lost"), 2)
        assert on.inbox() == ["lost", "next"]

    @pytest.mark.parametrize(
        "junk",
        [
            b"nonsense",
            b"\x00\xff\xfe" * 50,
            b"8=FIX.4.4\x01",
            b"8=FIX.4.4\x019=abc\x0135=0\x0110=000\x01",
            b"8=FIX.4.4\x019=99999999\x01",
            b"8=FIX.4.4\x0135=0\x019=5\x0110=000\x01",
            b"8=8=8=8=FIX",
            b"10=000\x01",
            b"8=FI",
        ],
    )
    def test_whatever_comes_between_messages_the_next_one_is_read(self, on: Peer, junk: bytes) -> None:
        on.session.received(junk)
        on.session.received(whole(2, "first", on) + whole(3, "second", on))
        assert on.inbox() == ["first", "second"]
        assert on.session.garbled >= 1

    def test_the_first_three_fields_must_be_in_order(self, on: Peer) -> None:
        fields = on.message("8", execution(), 2)
        on.session.received(frame([fields[1], fields[0], *fields[2:]]))
        assert on.inbox() == []
        assert on.store.next_in == 2

    @settings(max_examples=100, deadline=None)
    @given(cuts=st.lists(st.integers(1, 400), max_size=12))
    def test_it_does_not_matter_how_the_bytes_are_cut(self, cuts: list[int]) -> None:
        raw = b"".join(frame([(35, "8"), (58, f"text {n}"), (11, "x" * n)]) for n in range(1, 6))
        framer, got, start = Framer(), 0, 0
        for cut in [*sorted(cuts), len(raw)]:
            got += len(framer.feed(raw[start : max(cut, start)]))
            start = max(cut, start)
        assert (got, framer.garbled) == (5, 0)

    @settings(max_examples=200, deadline=None)
    @given(noise=st.binary(max_size=80), more=st.binary(max_size=30))
    def test_noise_never_makes_a_message_and_never_raises(self, noise: bytes, more: bytes) -> None:
        framer = Framer()
        assert framer.feed(noise) == []
        assert framer.feed(more) == []
        good = frame([(35, "0"), (34, "1")])
        assert len(framer.feed(good + good)) >= 1, "at most the message that the noise ran into is lost"


@pytest.mark.requirement("fix:wire")
class TestWire:
    def test_a_message_is_read_as_it_was_written(self) -> None:
        raw = encode([(35, "D"), (34, 7), (55, "ACME"), (58, "two words")])
        (message,) = Framer().feed(raw)
        assert message.msg_type == "D"
        assert (message.text(34), message.text(58)) == ("7", "two words")
        assert Message.unpack(message.packed()).fields == message.fields

    @pytest.mark.parametrize("value", ["ACME\x0138=1000000", "", "\x01", b"x\x01"])
    def test_no_value_can_bring_a_field_of_its_own(self, on: Peer, value: str | bytes) -> None:
        with pytest.raises(BadValueError):
            on.session.send("D", "oo-1", [(55, value)], lambda: None)
        assert on.heard() == []
        assert on.store.next_out == 2

    def test_text_that_looks_like_a_start_is_text(self, on: Peer) -> None:
        on.say("8", [*execution(), (58, "8=FIX.4.4")])
        assert on.inbox() == ["E-1"]
