"""Every attack of the corpus against the real gate and gateway: refused, nothing changed, and the desk goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus._dispatch import open_answer
from bus.errors import RemoteError, SchemaVersionError
from bus.messages import Executed, Message, RiskState, StageResult, Verdicts
from tests.corpus.attack import Attack, attack_bytes, attacks, prepare
from tests.corpus.floor import CLIENTS, Floor

CORPUS = attacks()
SERVICES = {"risk", *CLIENTS.values()}
THEN = {"", "same", "killed"}


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    made = Floor(tmp_path)
    yield made
    made.close()


def codes(answer: Message) -> set[str]:
    """Return what an answer was refused with; empty for one that was not."""
    match answer:
        case StageResult(answer=Verdicts(verdicts=verdicts, orders=())) if verdicts:
            return {verdict.code for verdict in verdicts if not verdict.approved}
        case StageResult(answer=Executed(events=events)) if events:
            return {event.kind for event in events if event.seq == 0 and event.kind == "rejected"}
        case _:
            return set()


def refusal(raw: bytes) -> set[str]:
    try:
        return codes(open_answer(raw))
    except SchemaVersionError:
        return {"schema_version"}
    except RemoteError as error:
        return {error.code}


@pytest.mark.requirement("corpus:refused")
@pytest.mark.requirement("corpus:unchanged")
@pytest.mark.requirement("corpus:alive")
@pytest.mark.parametrize("attack", [pytest.param(line, id=f"{table}: {line.name}") for table, line in CORPUS])
def test_the_attack_is_refused_and_changes_nothing(floor: Floor, attack: Attack) -> None:
    held = prepare(attack, floor)
    first = floor.send(attack.to, attack_bytes(attack, floor, held)) if attack.then == "same" else b""
    raw = attack_bytes(attack, floor, held)
    before = floor.holdings()
    answer = floor.send(attack.to, raw)
    if attack.then == "same":
        assert answer == first, "said again it is answered as before"
    elif attack.refused:
        refused = refusal(answer)
        assert refused, f"it was not refused: {open_answer(answer)}"
        assert "*" in attack.refused or refused <= set(attack.refused), refused
        assert refused.isdisjoint({"internal_error", "check_failed"}), "refused, but by an accident"
    else:
        assert isinstance(open_answer(answer), RiskState)
    assert floor.holdings() == before
    if "kill" in attack.before:
        assert floor.state().killed
        assert codes(floor.ask("risk", floor.order(3))) == {"kill_switch"}
    else:
        floor.trades()


@pytest.mark.requirement("corpus:files")
def test_every_attack_says_where_it_comes_from_and_how_it_is_refused() -> None:
    names = [line.name for _, line in CORPUS]
    assert len(names) == len(set(names))
    assert len(names) >= 120
    for _, line in CORPUS:
        assert line.source, line.name
        assert line.to in SERVICES, line.name
        assert line.then in THEN, line.name
        assert line.refused or line.then, line.name


@pytest.mark.requirement("corpus:environment")
def test_no_variable_of_the_environment_changes_a_limit_or_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LIMITS", "MAX_ORDER_NOTIONAL", "BYPASS", "RISK_BYPASS", "OVERRIDE_TOKEN", "FORCE", "DEBUG"):
        for prefix in ("OUTCRY_", "OO_", "RISK_", "GATE_", ""):
            monkeypatch.setenv(prefix + name, "1e18")
    (tmp_path / "with").mkdir()
    floor = Floor(tmp_path / "with")
    try:
        version = floor.state().limits_version
        assert codes(floor.ask("risk", floor.order(qty=900))) == {"order_notional"}
        floor.trades()
    finally:
        floor.close()
    monkeypatch.undo()
    (tmp_path / "without").mkdir()
    other = Floor(tmp_path / "without")
    try:
        assert other.state().limits_version == version
    finally:
        other.close()
