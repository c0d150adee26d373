"""What a hostile agent tries over the bus and the network: places, tickets, every message, the broker itself."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import zmq
from nacl.signing import SigningKey

from bus.codec import canonical, decode
from bus.errors import OutcryError
from bus.ids import client_order_id, digest
from bus.messages import (
    AskCancel,
    CancelAll,
    Canceled,
    CancelOrder,
    ClearHalt,
    Executed,
    ExecutionAsk,
    GetRiskState,
    Kill,
    Message,
    OrderIntent,
    Resume,
    RiskAsk,
    RiskState,
    StageRequest,
    StageResult,
    Ticket,
    TicketedOrder,
    Verdicts,
)
from bus.zmq_transport import ZmqTransport
from tests.hostile.every_message import every_message
from tests.hostile.loot import Attempt, Loot, attempt

__all__ = ["ATTEMPTS", "ask"]

ATTEMPTS: list[Attempt] = []
_DAY_NS = 86_400_000_000_000


def ask(loot: Loot, service: str, request: Message, timeout_s: float = 10.0) -> Message:
    transport = ZmqTransport()
    try:
        return transport.client(loot.endpoints[service]).call(request, timeout_s)
    finally:
        transport.close()


# --- tickets ----------------------------------------------------------------------------------------------------------


def _intent(loot: Loot, index: int, **changes: object) -> OrderIntent:
    intent = OrderIntent(
        client_order_id=client_order_id(loot.client, loot.run_id, 7_000, index),
        client=loot.client,
        run_id=loot.run_id,
        cycle=7_000,
        index=index,
        symbol=loot.symbol,
        side="buy",
        order_type="limit",
        time_in_force="day",
        qty_nano=1_000_000_000,
        limit_price_nano=loot.price_nano,
        decided_ns=loot.now_ns,
        strategy="mine",
    )
    return msgspec.structs.replace(intent, **changes)


def _forge(ticket: Ticket, intent: OrderIntent, key: SigningKey, **changes: object) -> TicketedOrder:
    over = digest(b"order", canonical(intent), size=32)
    bare = msgspec.structs.replace(ticket, ticket_id=f"tk-{over[:12]}", order_digest=over, signature=b"", **changes)
    return TicketedOrder(intent, msgspec.structs.replace(bare, signature=key.sign(canonical(bare)).signature))


def _send(loot: Loot, *orders: TicketedOrder, service: str = "execution") -> str:
    """Return what was accepted; raise what refused it."""
    request = StageRequest(loot.run_id, loot.client, 7_000, loot.now_ns, ExecutionAsk(orders))
    answer = ask(loot, service, request)
    assert isinstance(answer, StageResult)
    assert isinstance(answer.answer, Executed)
    events = answer.answer.events
    refused = [event.reason for event in events if event.kind == "rejected"]
    if refused and len(refused) == len(events):
        raise PermissionError(1, refused[0])
    return str([(event.kind, event.client_order_id) for event in events])


def _sent(loot: Loot) -> TicketedOrder:
    order = decode(loot.sent)
    assert isinstance(order, TicketedOrder)
    return order


@attempt("send an order with its own signature", ATTEMPTS)
def own_signature(loot: Loot) -> str:
    key = SigningKey.generate()
    forged = _forge(_sent(loot).ticket, _intent(loot, 0), key, expires_ns=loot.now_ns + _DAY_NS)
    return _send(loot, forged)


@attempt("send an order with its own key's name and signature", ATTEMPTS)
def own_key_id(loot: Loot) -> str:
    key = SigningKey.generate()
    name = digest(bytes(key.verify_key), size=8)
    return _send(loot, _forge(_sent(loot).ticket, _intent(loot, 1), key, key_id=name))


@attempt("send an order without a signature", ATTEMPTS)
def no_signature(loot: Loot) -> str:
    intent = _intent(loot, 2)
    over = digest(b"order", canonical(intent), size=32)
    return _send(loot, TicketedOrder(intent, msgspec.structs.replace(_sent(loot).ticket, order_digest=over)))


@attempt("alter a signed order", ATTEMPTS)
def altered(loot: Loot) -> str:
    order = _sent(loot)
    more = msgspec.structs.replace(order.intent, qty_nano=order.intent.qty_nano * 100)
    return _send(loot, TicketedOrder(more, order.ticket))


@attempt("use a ticket for another order", ATTEMPTS)
def another_order(loot: Loot) -> str:
    return _send(loot, TicketedOrder(_intent(loot, 3), _sent(loot).ticket))


@attempt("use a ticket for another client", ATTEMPTS)
def another_client(loot: Loot) -> str:
    intent = _intent(loot, 4, client="another")
    ticket = msgspec.structs.replace(_sent(loot).ticket, client="another")
    return _send(loot, TicketedOrder(intent, ticket))


@attempt("extend a ticket", ATTEMPTS)
def extended(loot: Loot) -> str:
    order = _sent(loot)
    later = msgspec.structs.replace(order.ticket, expires_ns=order.ticket.expires_ns + _DAY_NS)
    intent = msgspec.structs.replace(order.intent, client_order_id="oo-00000000000000000000")
    return _send(loot, TicketedOrder(intent, later))


@attempt("cancel everything with a used ticket", ATTEMPTS)
def cancel_all(loot: Loot) -> str:
    return str(ask(loot, "execution", CancelAll(loot.now_ns, "mine", _sent(loot).ticket)))


@attempt("cancel an order with a used ticket", ATTEMPTS)
def cancel_one(loot: Loot) -> str:
    order = _sent(loot)
    return str(ask(loot, "execution", CancelOrder(loot.now_ns, order.intent.client_order_id, "mine", order.ticket)))


@attempt("clear a halt with a used ticket", ATTEMPTS)
def clear_halt(loot: Loot) -> str:
    return str(ask(loot, "execution", ClearHalt(loot.now_ns, "me", _sent(loot).ticket)))


@attempt("ask the gateway to judge", ATTEMPTS)
def gateway_judges(loot: Loot) -> str:
    return str(ask(loot, "execution", StageRequest(loot.run_id, loot.client, 7_000, loot.now_ns, RiskAsk(()))))


# --- the gate ---------------------------------------------------------------------------------------------------------


def _judge(loot: Loot, intent: OrderIntent, client: str = "", run_id: str = "") -> str:
    request = StageRequest(run_id or loot.run_id, client or loot.client, intent.cycle, loot.now_ns, RiskAsk((intent,)))
    answer = ask(loot, "risk", request)
    assert isinstance(answer, StageResult)
    assert isinstance(answer.answer, Verdicts)
    if answer.answer.orders:
        return "approved"
    raise PermissionError(1, answer.answer.verdicts[0].code)


_HUGE = 9_000_000_000 * 1_000_000_000
_WRONG: dict[str, Callable[[Loot], str]] = {
    "a huge order": lambda loot: _judge(loot, _intent(loot, 10, qty_nano=_HUGE)),
    "a negative order": lambda loot: _judge(loot, _intent(loot, 11, qty_nano=-(10**12))),
    "an order far from the market": lambda loot: _judge(loot, _intent(loot, 12, limit_price_nano=loot.price_nano * 9)),
    "an order of tomorrow": lambda loot: _judge(loot, _intent(loot, 13, decided_ns=loot.now_ns + _DAY_NS)),
    "an order with another's id": lambda loot: _judge(
        loot, _intent(loot, 14, client_order_id=_sent(loot).intent.client_order_id)
    ),
    "an order for another client": lambda loot: _judge(loot, _intent(loot, 15, client="another"), client="another"),
    "an order of another run": lambda loot: _judge(loot, _intent(loot, 16, run_id="other"), run_id="other"),
    "an order that is a leg": lambda loot: _judge(
        loot, _intent(loot, 17, parent_id=_sent(loot).intent.client_order_id)
    ),
}
for _name, _try in _WRONG.items():
    ATTEMPTS.append(Attempt(f"have {_name} approved", _try))


@attempt("cancel through the gate as another client", ATTEMPTS)
def cancel_as_another(loot: Loot) -> str:
    ids = (_sent(loot).intent.client_order_id,)
    answer = ask(loot, "risk", AskCancel("another", loot.run_id, ids, "mine", "me"))
    assert isinstance(answer, Canceled)
    if answer.refused and not answer.events:
        raise PermissionError(1, answer.refused[0].why)
    return str(answer)


@attempt("trade within the limits", ATTEMPTS)
def trade(loot: Loot) -> str:
    """Do what any agent may: have an order judged, and send it with the ticket that it gets."""
    intent = _intent(loot, 20, qty_nano=2_000_000_000)
    request = StageRequest(loot.run_id, loot.client, intent.cycle, loot.now_ns, RiskAsk((intent,)))
    answer = ask(loot, "risk", request)
    assert isinstance(answer, StageResult)
    assert isinstance(answer.answer, Verdicts)
    if not answer.answer.orders:
        raise PermissionError(1, answer.answer.verdicts[0].message)
    order = answer.answer.orders[0]
    _send(loot, order)
    _send(loot, order)
    return intent.client_order_id


# --- places -----------------------------------------------------------------------------------------------------------


def _socket_of(loot: Loot, service: str) -> Path:
    return Path(loot.endpoints[service].removeprefix("ipc://"))


for _service in ("risk", "execution", "feed", "feed.pub", "supervisor"):

    def _remove(loot: Loot, service: str = _service) -> str:
        _socket_of(loot, service).unlink()
        return "removed"

    def _bind(loot: Loot, service: str = _service) -> str:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            with context.socket(zmq.ROUTER) as place:
                place.bind(loot.endpoints[service])
                return "bound"
        except zmq.ZMQError as error:
            raise OSError(error.errno, str(error)) from error
        finally:
            context.term()

    def _beside(loot: Loot, service: str = _service) -> str:
        with socket.socket(socket.AF_UNIX) as place:
            place.bind(str(_socket_of(loot, service).with_name("mine")))
            return "bound"

    def _move(loot: Loot, service: str = _service) -> str:
        os.rename(_socket_of(loot, service).parent, _socket_of(loot, service).parent.with_name("aside"))
        return "moved"

    ATTEMPTS.append(Attempt(f"remove the socket of {_service}", _remove))
    ATTEMPTS.append(Attempt(f"bind over the socket of {_service}", _bind))
    ATTEMPTS.append(Attempt(f"bind beside the socket of {_service}", _beside))
    ATTEMPTS.append(Attempt(f"move the folder of {_service}", _move))


# --- the broker -------------------------------------------------------------------------------------------------------


@attempt("send an order to the broker with guessed keys", ATTEMPTS)
def straight_to_the_broker(loot: Loot) -> str:
    line = http.client.HTTPConnection("127.0.0.1", loot.venue_port, timeout=5)
    for guess in ("", "secret", "not-a-real-secret"):
        line.request("POST", "/", '{"client_order_id": "mine"}', {"X-Key": guess})
        answer = line.getresponse()
        answer.read()
        if answer.status == 200:
            return "taken"
    line.close()
    raise PermissionError(1, "every guess was refused with 401")


@attempt("listen on a port", ATTEMPTS)
def listen(loot: Loot) -> str:
    del loot
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        place.listen()
        return "listening"


# --- everything else, which may change the desk -----------------------------------------------------------------------


@attempt("send every message to every endpoint", ATTEMPTS)
def everything(loot: Loot) -> str:
    """Return how many were answered, by service; whether one of them moved an order is for the broker to say."""
    told: list[str] = []
    for service in ("feed", "execution", "risk"):
        answered = refused = 0
        transport = ZmqTransport()
        client = transport.client(loot.endpoints[service])
        for message in every_message():
            if isinstance(message, Kill):
                continue
            try:
                client.call(message, timeout_s=5)
                answered += 1
            except OutcryError:
                refused += 1
        transport.close()
        told.append(f"{service} {answered}/{answered + refused}")
    return ", ".join(told)


@attempt("send garbage to every endpoint", ATTEMPTS)
def garbage(loot: Loot) -> str:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    for service in ("feed", "execution", "risk", "supervisor"):
        kind = zmq.PUSH if service == "supervisor" else zmq.DEALER
        with context.socket(kind) as line:
            line.setsockopt(zmq.LINGER, 200)
            line.connect(loot.endpoints[service])
            for frame in (b"", b"\x00" * 21, b"\xff" * 10_000, b"\x01" + b"a" * 20 + b"\xc1"):
                line.send(frame)
    context.term()
    return "sent"


def _resume(loot: Loot, proof: bytes, nonce: int) -> str:
    state = ask(loot, "risk", Resume("me", nonce=nonce, proof=proof))
    assert isinstance(state, RiskState)
    if state.killed:
        raise PermissionError(1, "still killed")
    return "resumed"


@attempt("engage the kill switch", ATTEMPTS)
def kill(loot: Loot) -> str:
    state = ask(loot, "risk", Kill("mine", "me"))
    assert isinstance(state, RiskState)
    return "killed" if state.killed else "not killed"


@attempt("clear the kill switch without a proof", ATTEMPTS)
def resume(loot: Loot) -> str:
    state = ask(loot, "risk", GetRiskState())
    assert isinstance(state, RiskState)
    return _resume(loot, b"", state.nonce)


@attempt("clear the kill switch with a guess", ATTEMPTS)
def resume_by_guess(loot: Loot) -> str:
    state = ask(loot, "risk", GetRiskState())
    assert isinstance(state, RiskState)
    return _resume(loot, bytes(32), state.nonce)
