"""Who gets in, by the ticket alone: the whole of what a ticket must be for, and which of the gate's keys are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bus.errors import TicketError
from bus.messages import CancelAll, CancelOrder, ClearHalt, Ticket, TicketedOrder
from execution.admission import Admission
from risk.tickets import (
    Signer,
    cancel_all_digest,
    cancel_digest,
    clear_halt_digest,
    order_digest,
    publish_public_key,
    sign,
)
from tests.execution.desk import MINUTE, at, intent

NOW = at(3)
replace = msgspec.structs.replace


def key_file(folder: Path, signer: Signer) -> Path:
    path = folder / "gate.pub"
    publish_public_key(path, signer)
    return path


def signed(signer: Signer, over: str, *, client: str = "alice") -> Ticket:
    """A ticket that is good for a minute from now."""
    return sign(
        signer,
        client=client,
        over=over,
        subject="a subject",
        limits_version="v1",
        issued_ns=NOW,
        lifetime_ns=MINUTE,
    )


def order(signer: Signer, *, ticket_client: str = "alice", **changes: object) -> TicketedOrder:
    wanted = replace(intent(0, 3), **changes)
    return TicketedOrder(wanted, signed(signer, order_digest(wanted), client=ticket_client))


def clear(signer: Signer) -> ClearHalt:
    return ClearHalt(NOW, "ada", signed(signer, clear_halt_digest("alice", NOW, "ada")))


def cancel_all(signer: Signer) -> CancelAll:
    return CancelAll(NOW, "because", signed(signer, cancel_all_digest("alice", NOW, "because")))


def cancel(signer: Signer) -> CancelOrder:
    return CancelOrder(NOW, "oo-1", "because", signed(signer, cancel_digest("alice", "oo-1", NOW, "because")))


CHECKS: dict[str, Callable[[Admission, Signer, int], None]] = {
    "order": lambda door, signer, now_ns: door.check_order(order(signer), now_ns),
    "clear": lambda door, signer, now_ns: door.check_clear(clear(signer), now_ns),
    "cancel all": lambda door, signer, now_ns: door.check_cancel(cancel_all(signer), now_ns),
    "cancel": lambda door, signer, now_ns: door.check_cancel_order(cancel(signer), now_ns),
}


# --- what a ticket is for ---------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:tickets:refused")
@pytest.mark.parametrize("name", CHECKS)
def test_a_ticket_is_good_from_its_first_to_its_last_instant(tmp_path: Path, name: str) -> None:
    signer = Signer()
    door = Admission("alice", "run-1", key_file(tmp_path, signer), "v1")
    check = CHECKS[name]
    check(door, signer, NOW)
    check(door, signer, NOW + MINUTE)
    for now_ns in (NOW - 1, NOW + MINUTE + 1):
        with pytest.raises(TicketError, match="ask the gate again"):
            check(door, signer, now_ns)


@pytest.mark.requirement("execution:tickets:refused")
@pytest.mark.parametrize("name", CHECKS)
def test_a_ticket_of_another_key_under_the_gates_name_is_refused(tmp_path: Path, name: str) -> None:
    signer, forger = Signer(), Signer()
    door = Admission("alice", "run-1", key_file(tmp_path, signer))
    with pytest.raises(TicketError, match="another key"):
        CHECKS[name](door, forger, NOW)
    forged = order(forger)
    forged = TicketedOrder(forged.intent, replace(forged.ticket, key_id=signer.key_id))
    with pytest.raises(TicketError, match="no valid signature"):
        door.check_order(forged, NOW)


@pytest.mark.requirement("execution:tickets:limits")
@pytest.mark.parametrize("name", CHECKS)
def test_orders_and_clearings_must_be_judged_by_the_limits_in_force_and_cancels_need_not(
    tmp_path: Path, name: str
) -> None:
    signer = Signer()
    file = key_file(tmp_path, signer)
    CHECKS[name](Admission("alice", "run-1", file), signer, NOW)
    tightened = Admission("alice", "run-1", file, "v2")
    if name.startswith("cancel"):
        CHECKS[name](tightened, signer, NOW)
        return
    with pytest.raises(TicketError, match="was given under limits v1; in force is v2"):
        CHECKS[name](tightened, signer, NOW)


@pytest.mark.requirement("execution:tickets:refused")
@pytest.mark.parametrize("changes", [{"client": "bob"}, {"run_id": "run-2"}, {"client": "bob", "run_id": "run-2"}])
def test_an_order_of_another_client_or_run_is_refused_whoever_its_ticket_is_for(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    signer = Signer()
    door = Admission("alice", "run-1", key_file(tmp_path, signer))
    for client in ("alice", "bob"):
        with pytest.raises(TicketError, match="send it to its own gateway") as caught:
            door.check_order(order(signer, ticket_client=client, **changes), NOW)
        assert "alice" in str(caught.value)
        assert changes.get("client", "run-2") in str(caught.value)


@pytest.mark.requirement("execution:tickets:refused")
def test_a_ticket_for_another_client_is_refused(tmp_path: Path) -> None:
    signer = Signer()
    door = Admission("alice", "run-1", key_file(tmp_path, signer))
    with pytest.raises(TicketError, match="is for client 'bob'"):
        door.check_order(order(signer, ticket_client="bob"), NOW)


@pytest.mark.requirement("execution:tickets:refused")
@pytest.mark.parametrize("changes", [{"qty_nano": 1}, {"side": "sell"}, {"symbol": "SPY"}, {"reason": "another"}])
def test_an_altered_order_needs_a_ticket_of_its_own(tmp_path: Path, changes: dict[str, object]) -> None:
    signer = Signer()
    door = Admission("alice", "run-1", key_file(tmp_path, signer))
    good = order(signer)
    with pytest.raises(TicketError, match="another order"):
        door.check_order(TicketedOrder(replace(good.intent, **changes), good.ticket), NOW)


@pytest.mark.requirement("execution:halt:clear")
@pytest.mark.parametrize("changes", [{"now_ns": NOW + 1}, {"by": "eve"}])
def test_a_halt_is_cleared_by_whom_and_when_the_ticket_says(tmp_path: Path, changes: dict[str, object]) -> None:
    signer = Signer()
    file = key_file(tmp_path, signer)
    with pytest.raises(TicketError, match="another order"):
        Admission("alice", "run-1", file).check_clear(replace(clear(signer), **changes), NOW)
    with pytest.raises(TicketError, match="is for client"):
        Admission("bob", "run-1", file).check_clear(clear(signer), NOW)


@pytest.mark.requirement("execution:once:cancel-all")
@pytest.mark.parametrize("changes", [{"now_ns": NOW + 1}, {"reason": "another"}])
def test_everything_is_canceled_when_and_for_what_the_ticket_says(tmp_path: Path, changes: dict[str, object]) -> None:
    signer = Signer()
    door = Admission("alice", "run-1", key_file(tmp_path, signer))
    with pytest.raises(TicketError, match="another order"):
        door.check_cancel(replace(cancel_all(signer), **changes), NOW)


@pytest.mark.requirement("execution:cancel:ticket")
@pytest.mark.parametrize("changes", [{"now_ns": NOW + 1}, {"reason": "another"}, {"client_order_id": "oo-2"}])
def test_the_one_order_is_canceled_when_and_for_what_the_ticket_says(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    signer = Signer()
    door = Admission("alice", "run-1", key_file(tmp_path, signer))
    with pytest.raises(TicketError, match="another order"):
        door.check_cancel_order(replace(cancel(signer), **changes), NOW)


@pytest.mark.requirement("execution:tickets:refused")
def test_no_ticket_is_good_for_another_kind_of_request(tmp_path: Path) -> None:
    signer = Signer()
    door = Admission("alice", "run-1", key_file(tmp_path, signer))
    ticket = cancel(signer).ticket
    with pytest.raises(TicketError, match="another order"):
        door.check_cancel(replace(cancel_all(signer), ticket=ticket), NOW)
    with pytest.raises(TicketError, match="another order"):
        door.check_clear(replace(clear(signer), ticket=ticket), NOW)
    with pytest.raises(TicketError, match="another order"):
        door.check_order(replace(order(signer), ticket=ticket), NOW)
    with pytest.raises(TicketError, match="another order"):
        door.check_cancel_order(replace(cancel(signer), ticket=cancel_all(signer).ticket), NOW)


# --- which keys are known ---------------------------------------------------------------------------------------------


@pytest.mark.requirement("execution:tickets:key")
def test_the_key_is_read_when_it_is_first_needed_and_without_one_nothing_gets_in(tmp_path: Path) -> None:
    signer = Signer()
    path = tmp_path / "gate.pub"
    door = Admission("alice", "run-1", path)
    door.read_key()
    with pytest.raises(TicketError, match="start the gate"):
        door.check_order(order(signer), NOW)
    publish_public_key(path, signer)
    door.check_order(order(signer), NOW)


@pytest.mark.requirement("execution:tickets:key")
def test_a_key_that_was_read_stays_known_when_the_gate_is_restarted_with_another(tmp_path: Path) -> None:
    first, second, third = Signer(), Signer(), Signer()
    path = key_file(tmp_path, first)
    door = Admission("alice", "run-1", path)
    door.read_key()
    publish_public_key(path, second)
    door.check_order(order(second), NOW)
    door.check_order(order(first), NOW)
    door.check_order(order(second), NOW)
    path.unlink()
    door.check_order(order(second), NOW)
    with pytest.raises(TicketError, match="start the gate"):
        door.check_order(order(third), NOW)
    door.check_order(order(first), NOW)


@pytest.mark.requirement("execution:tickets:key")
def test_a_key_that_was_never_read_is_not_known(tmp_path: Path) -> None:
    first, second, third = Signer(), Signer(), Signer()
    path = key_file(tmp_path, first)
    late = Admission("alice", "run-1", path)
    publish_public_key(path, second)
    late.read_key()
    with pytest.raises(TicketError, match="another key"):
        late.check_order(order(first), NOW)
    publish_public_key(path, third)
    late.check_order(order(second), NOW)
    late.check_order(order(third), NOW)


@pytest.mark.requirement("execution:tickets:key")
def test_only_the_first_key_is_read_before_it_is_needed(tmp_path: Path) -> None:
    first, second, third = Signer(), Signer(), Signer()
    path = key_file(tmp_path, first)
    door = Admission("alice", "run-1", path)
    door.read_key()
    publish_public_key(path, second)
    door.read_key()
    publish_public_key(path, third)
    with pytest.raises(TicketError, match="another key"):
        door.check_order(order(second), NOW)
