"""One attack of the corpus: from a line of a JSON file to the bytes that are sent. Not where it is judged.

A file is ``{"about": ..., "attacks": [...]}``. An attack has a ``name``, ``from`` (where it was seen), a ``base`` (a
genuine message, or none at all), ``to`` (the gate when it is left out), what it changes in the base (``set``: a path of
field names and places to a value, ``+`` to put one behind the last field, ``{"drop": true}`` to end the array there),
what happens ``before`` it, and the codes it may be ``refused`` with (``*`` is any), or what holds ``then``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import msgspec

from bus.codec import encode
from bus.messages import (
    SCHEMA_VERSION,
    Account,
    CancelAll,
    CancelOrder,
    ClearHalt,
    DayInfo,
    ExecutionAsk,
    Fill,
    Kill,
    Message,
    OrderEvent,
    OrderEvents,
    Resume,
    RiskLimits,
    SettleBook,
    SettleOrders,
    Snapshot,
    StageRequest,
    StageResult,
    TicketedOrder,
    Verdict,
    Verdicts,
)
from risk.resume import read_resume_key, resume_proof
from risk.tickets import Signer, order_digest, read_public_key, sign
from tests.corpus.floor import Floor
from tests.risk.desk import RUN

FOLDER = Path(__file__).parent / "attacks"
_VERSION = bytes([SCHEMA_VERSION])
_NS = 10**9

Json = Any  # the shape of a file is checked by test_every_attack_says_where_it_comes_from


class Attack(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"source": "from", "change": "set"}):
    """A line of a file."""

    name: str
    source: str
    base: str
    to: str = "risk"
    change: dict[str, Json] = {}
    before: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    then: str = ""
    index: int = 0
    late_s: int = 0
    raw: Json = ""
    version: bool = False
    cut: float = 1.0
    append: str = ""


def attacks() -> list[tuple[str, Attack]]:
    """Return every attack with the name of its file."""
    found: list[tuple[str, Attack]] = []
    for path in sorted(FOLDER.glob("*.json")):
        table = json.loads(path.read_text(encoding="utf-8"))
        found.extend((path.stem, msgspec.convert(line, Attack)) for line in table["attacks"])
    return found


def prepare(attack: Attack, floor: Floor) -> dict[str, TicketedOrder]:
    """Bring about what has to be so before the attack, and return the genuine order where there is one."""
    held: dict[str, TicketedOrder] = {}
    for step in attack.before:
        match step:
            case "advance":
                floor.advance()
            case "kill":
                floor.kill()
            case "approve":
                held["order"] = floor.approve(0)
            case "execute":
                held["order"] = floor.approve(0)
                floor.execute(held["order"])
            case _:
                raise AssertionError(f"{attack.name}: {step!r} is no step")
    if "order" not in held and attack.base in _NEED_AN_ORDER:
        held["order"] = floor.approve(0)
    if attack.late_s:
        floor.advance(attack.late_s * _NS)
    return held


def attack_bytes(attack: Attack, floor: Floor, held: dict[str, TicketedOrder]) -> bytes:
    """Return what is sent."""
    if attack.base == "raw":
        raw = attack.raw if isinstance(attack.raw, str) else attack.raw["repeat"] * attack.raw["times"]
        return (_VERSION if attack.version else b"") + bytes.fromhex(raw)
    message = _base(attack, floor, held)
    if not attack.change and attack.cut == 1.0 and not attack.append:
        return encode(message)
    wire: list[Any] = msgspec.msgpack.decode(encode(message)[1:])
    for path, value in attack.change.items():
        _put(message, wire, path.split("."), value, floor)
    raw = _VERSION + msgspec.msgpack.encode(wire)
    return raw[: int(len(raw) * attack.cut)] + bytes.fromhex(attack.append)


# --- what is altered --------------------------------------------------------------------------------------------------


def _put(item: object, wire: list[Any], path: list[str], value: Json, floor: Floor) -> None:
    """Set a value in the wire form of a message, found by the names of its fields."""
    name, rest = path[0], path[1:]
    if name == "+":
        wire.extend([None] * 0)
        wire.append(_value(value, item, floor))
        return
    if isinstance(item, tuple):
        place, inner = int(name), item[int(name)]  # pyright: ignore[reportUnknownArgumentType] # any tuple of a message
    else:
        fields = cast("msgspec.Struct", item).__struct_fields__
        place, inner = 1 + fields.index(name), getattr(item, name)
    if rest:
        _put(inner, wire[place], rest, value, floor)
    elif isinstance(value, dict) and value.get("drop"):
        del wire[place:]
    else:
        wire[place] = _value(value, item, floor)


def _value(value: Json, item: object, floor: Floor) -> object:
    if not isinstance(value, dict):
        return value
    match cast("dict[str, Any]", value):
        case {"float": str(text)}:
            return float(text)
        case {"int": str(text)}:
            return int(text)
        case {"bytes": str(text)}:
            return bytes.fromhex(text)
        case {"zeros": int(count)}:
            return bytes(count)
        case {"text": str(text), "times": int(times)}:
            return text * times
        case {"past_s": int(seconds)}:
            return floor.feed.now_ns - seconds * _NS
        case {"from": str(name)}:
            return getattr(item, name)
        case other:
            return other


# --- what is begun with -----------------------------------------------------------------------------------------------

_NEED_AN_ORDER = frozenset({
    "ticketed", "self_signed", "self_signed_as_gate", "cancel_all", "cancel_order", "clear_halt", "verdicts",
})  # fmt: skip


def _base(attack: Attack, floor: Floor, held: dict[str, TicketedOrder]) -> Message:
    now_ns = floor.feed.now_ns
    make = {
        "order": lambda: floor.order(attack.index),
        "ticketed": lambda: _asked(floor, held["order"]),
        "self_signed": lambda: _asked(floor, _self_signed(floor, held["order"], as_gate=False)),
        "self_signed_as_gate": lambda: _asked(floor, _self_signed(floor, held["order"], as_gate=True)),
        "cancel_all": lambda: CancelAll(now_ns, "kill_switch", held["order"].ticket),
        "cancel_order": lambda: CancelOrder(
            now_ns, held["order"].intent.client_order_id, "because", held["order"].ticket
        ),
        "clear_halt": lambda: ClearHalt(now_ns, "a person", held["order"].ticket),
        "settle": lambda: SettleBook(now_ns),
        "settle_orders": lambda: SettleOrders(now_ns),
        "kill": lambda: Kill("an attack", "an agent"),
        "resume": lambda: Resume("a person", nonce=floor.state().nonce),
        "resume_with_public_key": lambda: _resume(floor, read_public_key(Path(floor.spec.public_key_file))[1]),
        "resume_replayed": lambda: _replayed(floor),
        "resume_other_scope": lambda: _resume(floor, _key(floor), client="alice"),
        "account": lambda: Account("alice", "live", now_ns, 50_000_000 * _NS, 50_000_000 * _NS, 0),
        "events": lambda: _events(floor),
        "snapshot": lambda: Snapshot(now_ns, tuple(floor.feed.bars.values()), ()),
        "day": lambda: DayInfo("day-1", "live", "", "XNYS", "UTC", 60, 0, 2**62, 1, 1, (), ("ACME",)),
        "limits": lambda: RiskLimits("alice", "lim-000000000000", now_ns, (), ("ACME",)),
        "state": lambda: floor.state(),
        "verdicts": lambda: _verdicts(floor, held["order"]),
    }
    return make[attack.base]()


def _asked(floor: Floor, order: TicketedOrder) -> StageRequest:
    return StageRequest(RUN, "alice", floor.cycle, floor.feed.now_ns, ExecutionAsk((order,)))


def _self_signed(floor: Floor, order: TicketedOrder, *, as_gate: bool) -> TicketedOrder:
    intent = msgspec.structs.replace(order.intent, qty_nano=900 * _NS)
    ticket = sign(
        Signer(), client="alice", over=order_digest(intent), subject=order_digest(intent),
        limits_version=order.ticket.limits_version, issued_ns=floor.feed.now_ns, lifetime_ns=60 * _NS,
    )  # fmt: skip
    if as_gate:
        ticket = msgspec.structs.replace(ticket, key_id=order.ticket.key_id)
    return TicketedOrder(intent, ticket)


def _key(floor: Floor) -> bytes:
    return read_resume_key(Path(floor.spec.resume_key_file))


def _resume(floor: Floor, key: bytes, client: str = "") -> Resume:
    """Return a resume of the desk with a proof by a key, over a client's scope."""
    nonce = floor.state().nonce
    return Resume("a person", "", "", nonce, resume_proof(key, RUN, client, "", "a person", nonce))


def _replayed(floor: Floor) -> Resume:
    """Return a resume that was used: the person resumed, and it was killed again."""
    used = _resume(floor, _key(floor))
    floor.ask("risk", used)
    assert not floor.state().killed
    floor.kill()
    return used


def _events(floor: Floor) -> OrderEvents:
    fill = Fill("f1", floor.intent().client_order_id, "ACME", "sell", 10**15, 10**15, 0, floor.feed.now_ns)
    event = OrderEvent(
        1, fill.client_order_id, "ACME", "sell", "fill", "filled", floor.feed.now_ns, 10**15, 10**15, fill=fill
    )
    return OrderEvents((event,), 1)


def _verdicts(floor: Floor, order: TicketedOrder) -> StageResult:
    intent = msgspec.structs.replace(order.intent, qty_nano=900 * _NS)
    verdict = Verdict(intent.client_order_id, "ACME", True, "approved", "", "lim-0", floor.feed.now_ns)
    return StageResult(
        "risk", floor.cycle, floor.feed.now_ns, Verdicts((verdict,), (TicketedOrder(intent, order.ticket),))
    )
