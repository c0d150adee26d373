"""Resuming is a person's act: with a proof that only the run's folder gives, over one scope and one nonce."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import RefusedError, RemoteError
from bus.messages import Resume
from risk.journal import GateJournal
from risk.resume import publish_resume_key, read_resume_key, resume_proof
from tests.risk.desk import RUN, Desk

replace = msgspec.structs.replace
KEY = bytes(range(32))


def alarms(desk: Desk) -> list[str]:
    journal = GateJournal(Path(desk.spec.database), {})
    try:
        return [alarm.kind for alarm in journal.alarms()]
    finally:
        journal.close()


@pytest.mark.requirement("risk:resume:proof")
def test_a_person_with_the_key_resumes_and_it_lasts(desk: Desk) -> None:
    desk.kill()
    assert not desk.resume().killed
    desk.start()
    assert desk.code(desk.intent()) == "approved"
    assert alarms(desk) == []


@pytest.mark.requirement("risk:resume:refused")
@pytest.mark.parametrize(
    "forgery",
    [
        {"proof": b""},
        {"proof": bytes(32)},
        {"proof": bytes(31)},
        {"by": "somebody else"},
        {"nonce": 0},
        {"nonce": 2**62},
        {"client": "alice"},
        {"strategy": "test"},
    ],
)
def test_a_resume_without_its_proof_is_refused_alarmed_and_changes_nothing(
    desk: Desk, forgery: dict[str, object]
) -> None:
    before = desk.kill()
    with pytest.raises(RemoteError, match="outcry resume") as refused:
        desk.ask(replace(desk.proven(), **forgery))
    assert refused.value.code == "refused"
    assert desk.state() == before
    assert desk.code(desk.intent()) == "kill_switch"
    assert alarms(desk) == ["resume_refused"]
    desk.start()
    assert desk.state().killed


@pytest.mark.requirement("risk:resume:refused")
def test_a_proof_is_good_once(desk: Desk) -> None:
    desk.kill()
    used = desk.proven()
    desk.ask(used)
    desk.kill()
    with pytest.raises(RemoteError, match="refused"):
        desk.ask(used)
    assert desk.state().killed


@pytest.mark.requirement("risk:resume:refused")
def test_a_proof_over_what_a_person_saw_does_not_clear_what_came_after_it(desk: Desk) -> None:
    desk.kill("alice")
    seen = desk.proven("alice")
    desk.kill()
    with pytest.raises(RemoteError, match="refused"):
        desk.ask(seen)
    assert len(desk.state().kills) == 2


@pytest.mark.requirement("risk:resume:refused")
def test_a_restarted_gate_has_another_key_and_the_old_proofs_are_void(desk: Desk) -> None:
    desk.kill()
    old = desk.proven()
    desk.start()
    with pytest.raises(RemoteError, match="refused"):
        desk.ask(old)
    assert not desk.resume().killed


@pytest.mark.requirement("risk:resume:refused")
def test_a_gate_that_was_given_no_place_for_a_key_cannot_be_resumed_over_the_bus(desk: Desk) -> None:
    desk.spec = replace(desk.spec, resume_key_file="")
    desk.start()
    desk.kill()
    nonce = desk.state().nonce
    for key in (b"", bytes(32)):
        with pytest.raises(RemoteError, match="refused"):
            desk.ask(Resume("a person", "", "", nonce, resume_proof(key, RUN, "", "", "a person", nonce)))
    assert desk.state().killed


@pytest.mark.requirement("risk:resume:refused")
def test_refused_resumes_do_not_hinder_the_person(desk: Desk) -> None:
    desk.kill()
    genuine = desk.proven()
    for _ in range(3):
        with pytest.raises(RemoteError):
            desk.ask(replace(genuine, proof=bytes(32)))
    desk.ask(genuine)
    assert not desk.state().killed


@pytest.mark.requirement("risk:resume:scope")
def test_resuming_one_scope_leaves_the_others(tmp_path: Path) -> None:
    desk = Desk(tmp_path, clients=("alice", "bob"))
    desk.settle()
    desk.kill("alice")
    desk.kill("", "test")
    desk.resume("alice")
    assert [(line.client, line.strategy) for line in desk.state().kills] == [("", "test")]
    assert desk.code(desk.intent()) == "kill_switch"
    assert desk.code(desk.intent(index=1, strategy="other")) == "approved"


@pytest.mark.requirement("risk:resume:key")
def test_the_key_is_its_owners_alone_and_new_at_each_start(desk: Desk) -> None:
    path = Path(desk.spec.resume_key_file)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = read_resume_key(path)
    desk.start()
    assert read_resume_key(path) != first
    assert [left.name for left in path.parent.glob(".resume*")] == []
    assert first.hex() not in repr(desk.gate.__dict__)


@pytest.mark.requirement("risk:resume:key")
@pytest.mark.parametrize("trouble", ["missing", "open", "short", "words", "link", "folder"])
def test_a_key_file_that_others_could_have_read_or_made_is_refused(tmp_path: Path, trouble: str) -> None:
    path = tmp_path / "resume.key"
    publish_resume_key(path)
    match trouble:
        case "missing":
            path.unlink()
        case "open":
            path.chmod(0o640)
        case "short":
            path.write_text("aa" * 31)
        case "words":
            path.write_text("z" * 64)
        case "link":
            path.rename(tmp_path / "real")
            path.symlink_to(tmp_path / "real")
        case _:
            path.unlink()
            path.mkdir()
    with pytest.raises(RefusedError, match="resume"):
        read_resume_key(path)


@pytest.mark.requirement("risk:resume:key")
def test_the_key_is_private_whatever_the_umask_and_whoever_left_a_link_there(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        target = tmp_path / "elsewhere"
        target.write_text("untouched")
        (tmp_path / "resume.key").symlink_to(target)
        publish_resume_key(tmp_path / "resume.key")
    finally:
        os.umask(before)
    assert target.read_text() == "untouched"
    assert stat.S_IMODE((tmp_path / "resume.key").lstat().st_mode) == 0o600


@pytest.mark.requirement("risk:resume:proof")
@given(
    one=st.tuples(st.text(), st.text(), st.text(), st.text(), st.integers(0, 2**62)),
    other=st.tuples(st.text(), st.text(), st.text(), st.text(), st.integers(0, 2**62)),
)
def test_no_two_contents_have_one_proof(
    one: tuple[str, str, str, str, int], other: tuple[str, str, str, str, int]
) -> None:
    assert (resume_proof(KEY, *one) == resume_proof(KEY, *other)) == (one == other)
    assert resume_proof(bytes(32), *one) != resume_proof(KEY, *one)
    assert len(resume_proof(KEY, *one)) == 32
