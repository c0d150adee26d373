"""Which question is next: no sockets, so that every order of arrival can be tried."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus._frames import ASK, GIVE_UP, pack_header, pack_id
from bus._questions import Questions

ONE, TWO = b"client 1", b"client 2"


def ask(number: int, token: bytes = ONE, left_ms: int = 1000) -> bytes:
    return pack_header(ASK, token, number, left_ms) + b"message"


@pytest.mark.requirement("bus:call:given-up")
def test_a_question_that_was_given_up_is_not_executed() -> None:
    questions = Questions()
    questions.take(b"a", ask(1), 0)
    questions.take(b"a", pack_header(GIVE_UP, ONE, 1, 0), 0)
    assert questions.next(0) is None


@pytest.mark.requirement("bus:call:given-up")
def test_giving_up_an_older_question_keeps_the_newer_one() -> None:
    questions = Questions()
    questions.take(b"a", ask(2), 0)
    questions.take(b"a", pack_header(GIVE_UP, ONE, 1, 0), 0)
    question = questions.next(0)
    assert question is not None
    assert (question.number, question.message) == (2, b"message")


@pytest.mark.requirement("bus:call:given-up")
def test_a_newer_question_of_the_same_client_replaces_the_older_one_and_no_other_client_s() -> None:
    questions = Questions()
    for number, token in ((1, ONE), (1, TWO), (2, ONE)):
        questions.take(b"a", ask(number, token), 0)
    taken = [questions.next(0), questions.next(0), questions.next(0)]
    assert [(found.token, found.number) if found else None for found in taken] == [(ONE, 2), (TWO, 1), None]


@pytest.mark.requirement("bus:call:given-up")
@pytest.mark.parametrize(("now_ns", "wanted"), [(999_999_999, True), (1_000_000_000, False)])
def test_a_question_is_executed_only_while_its_time_lasts(now_ns: int, wanted: bool) -> None:
    questions = Questions()
    questions.take(b"a", ask(1), 0)
    assert (questions.next(now_ns) is not None) is wanted


@pytest.mark.requirement("bus:call:once")
def test_the_answer_goes_to_the_connection_that_asked_last() -> None:
    questions = Questions()
    questions.take(b"before", ask(1), 0)
    questions.take(b"after", ask(1), 0)
    question = questions.next(0)
    assert question is not None
    assert question.identity == b"after"


@pytest.mark.requirement("bus:call:once")
@given(st.lists(st.tuples(st.sampled_from(["ask", "give up", "work"]), st.sampled_from([ONE, TWO]), st.integers(1, 4))))
def test_whatever_arrives_in_whatever_order_nothing_is_executed_twice(steps: list[tuple[str, bytes, int]]) -> None:
    questions = Questions()
    executed: dict[tuple[bytes, int], bytes] = {}
    newest: dict[bytes, int] = {}
    for step, token, number in steps:
        if step == "give up":
            questions.take(b"a", pack_header(GIVE_UP, token, number, 0), 0)
        elif step == "ask":
            answer = questions.take(b"a", ask(number, token), 0)
            assert (answer is not None) == (number == newest.get(token, 0))
            assert answer is None or answer == executed[token, number]
        elif (question := questions.next(0)) is not None:
            key = (question.token, question.number)
            assert key not in executed
            executed[key] = questions.answered(question, b"done")
            assert executed[key] == pack_id(*key) + b"done"
            newest[question.token] = question.number


@pytest.mark.requirement("bus:call:once")
def test_only_so_many_clients_are_remembered() -> None:
    questions = Questions()
    for at in range(1000):
        questions.take(b"a", ask(1, at.to_bytes(8, "big")), 0)
        question = questions.next(0)
        assert question is not None
        questions.answered(question, b"")
    assert questions.take(b"a", ask(1, (999).to_bytes(8, "big")), 0) is not None
    assert questions.take(b"a", ask(1, (0).to_bytes(8, "big")), 0) is None


@pytest.mark.requirement("bus:schema:garbage")
def test_a_frame_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind 9 is unknown"):
        Questions().take(b"a", pack_header(9, ONE, 1, 1), 0)


@pytest.mark.requirement("bus:schema:garbage")
@given(st.binary(max_size=20))
def test_a_frame_that_is_too_short_is_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match="no header"):
        Questions().take(b"a", frame, 0)
