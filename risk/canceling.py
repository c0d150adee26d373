"""Having orders canceled, by a tool or because a scope was stopped: each with a ticket over exactly that.

Canceling needs the gate because execution believes nobody else. It is never refused for a limit and works while the
kill switch is engaged, because it only takes risk away. Not a judge, and not where it is decided what is stopped.
"""

from __future__ import annotations

from collections.abc import Iterable

from bus.errors import BusError
from bus.messages import (
    AskCancel,
    CancelAll,
    Canceled,
    CancelOrder,
    CancelRefusal,
    ClearHalt,
    GetOrders,
    KillLine,
    OrderEvent,
    OrderEvents,
    Orders,
    OrderState,
)
from risk import ceilings
from risk.kills import KillSwitch, Scope
from risk.seat import Seat
from risk.tickets import Signer, cancel_all_digest, cancel_digest, clear_halt_digest, sign

__all__ = ["Canceling"]

_ASK_S = 5.0
_MOST_CANCELS = ceilings.MAX_OPEN_ORDERS
_REASON = "kill_switch"
_OVER = frozenset({"filled", "canceled", "replaced", "expired", "rejected"})
"""What cannot be canceled; everything else may still fill."""


class Canceling:
    """Signs cancels and asks the gateways for them.

    Attributes:
        most: Cancels at once.
    """

    most = _MOST_CANCELS

    def __init__(self, signer: Signer) -> None:
        """Owe nothing yet.

        Args:
            signer: The gate's key.
        """
        self._signer = signer
        self._owed: set[tuple[Scope, str]] = set()

    # --- because a scope is stopped ---------------------------------------------------------------------------------

    def owe(self, line: KillLine, seats: Iterable[Seat]) -> None:
        """Take down that everything of a scope has to be canceled, whether or not the gate knows of any of it."""
        if line.state == "halted":
            scope = (line.client, line.strategy)
            self._owed.update((scope, seat.name) for seat in seats if line.client in ("", seat.name))

    def work(self, now_ns: int, kills: KillSwitch, seats: Iterable[Seat]) -> None:
        """Have everything of the stopped scopes canceled that is owed or that the gate sees working.

        What a gateway did not answer stays owed, and is tried again at the next instant.
        """
        lines = kills.halted()
        if not lines or now_ns < 0:
            if not lines:
                self._owed.clear()
            return
        for seat in seats:
            mine = [line for line in lines if line.client in ("", seat.name)]
            scopes = [(line.client, line.strategy) for line in mine]
            due = [scope for scope in scopes if (scope, seat.name) in self._owed or seat.works(scope[1])]
            stopped = list(dict.fromkeys(strategy for _, strategy in due))
            try:
                for strategy in [""] if "" in stopped else stopped:
                    self._cancel_all(seat, strategy, now_ns, kills.epoch)
            except BusError:
                continue
            self._owed.difference_update((scope, seat.name) for scope in due)

    def _cancel_all(self, seat: Seat, strategy: str, now_ns: int, epoch: int) -> None:
        """Cancel all there is of a client, or of one of its strategies, and have no earlier ticket taken any more."""
        ticket = sign(
            self._signer,
            client=seat.name,
            over=cancel_all_digest(seat.name, now_ns, _REASON, strategy),
            subject=f"cancel_all:{now_ns}:{epoch}:{strategy}",
            limits_version=seat.version,
            issued_ns=now_ns,
            lifetime_ns=ceilings.CANCEL_LIFETIME_NS,
            epoch=epoch,
        )
        seat.execution.call(CancelAll(now_ns, _REASON, ticket, strategy), _ASK_S)

    # --- because somebody asks --------------------------------------------------------------------------------------

    def cancel(self, ask: AskCancel, seat: Seat, now_ns: int) -> Canceled:
        """Have single orders canceled.

        An order that is not known or is over is refused by name and nothing else happens to it. An order that execution
        did not answer about is refused as *not known*: it may be canceled or not.

        Args:
            ask: Which orders, why and by whom.
            seat: Whose.
            now_ns: The gate's clock.

        Raises:
            BusError: The gate has no clock yet, too many at once, or execution did not say which orders there are.
        """
        wanted = tuple(dict.fromkeys(ask.client_order_ids))
        if len(wanted) > _MOST_CANCELS:
            raise BusError(f"{len(wanted):,} cancels at once; at most {_MOST_CANCELS:,}: ask in parts")
        if now_ns < 0:
            raise BusError("the gate has settled no instant yet, so nothing can be working; ask after the first one")
        if not wanted:
            return Canceled(now_ns, ())
        known = _by_id(seat, wanted)
        reason = f"{ask.reason[:160]}, by {ask.by[:80]}"
        events: list[OrderEvent] = []
        refused: list[CancelRefusal] = []
        for client_order_id in wanted:
            order = known.get(client_order_id)
            if order is None:
                refused.append(CancelRefusal(client_order_id, "there is no such order in this run; see which are open"))
            elif order.status in _OVER:
                why = f"the order is {order.status}: nothing of it works any more"
                refused.append(CancelRefusal(client_order_id, why))
            else:
                outcome = self._cancel(seat, client_order_id, reason, now_ns)
                if isinstance(outcome, CancelRefusal):
                    refused.append(outcome)
                else:
                    events.extend(outcome.events)
        return Canceled(now_ns, tuple(events), tuple(refused))

    def _cancel(self, seat: Seat, client_order_id: str, reason: str, now_ns: int) -> OrderEvents | CancelRefusal:
        ticket = sign(
            self._signer,
            client=seat.name,
            over=cancel_digest(seat.name, client_order_id, now_ns, reason),
            subject=f"cancel:{client_order_id}:{now_ns}:{reason}",
            limits_version=seat.version,
            issued_ns=now_ns,
            lifetime_ns=ceilings.CANCEL_LIFETIME_NS,
        )
        try:
            answer = seat.execution.call(CancelOrder(now_ns, client_order_id, reason, ticket), _ASK_S)
        except BusError as error:
            return CancelRefusal(client_order_id, f"not known whether it is canceled ({error}); look at the order")
        if not isinstance(answer, OrderEvents):
            return CancelRefusal(
                client_order_id, f"not known whether it is canceled ({type(answer).__name__} came back)"
            )
        return answer

    # --- because a person resumes -----------------------------------------------------------------------------------

    def clear_halt(self, seat: Seat, by: str, now_ns: int, nonce: int) -> None:
        """Let a gateway that halted its client send again; where it does not answer, the next instant tells."""
        ticket = sign(
            self._signer,
            client=seat.name,
            over=clear_halt_digest(seat.name, now_ns, by),
            subject=f"clear_halt:{now_ns}:{by}:{nonce}",
            limits_version=seat.version,
            issued_ns=now_ns,
            lifetime_ns=ceilings.CANCEL_LIFETIME_NS,
        )
        try:
            seat.execution.call(ClearHalt(now_ns, by, ticket), _ASK_S)
        except BusError:
            return


def _by_id(seat: Seat, wanted: tuple[str, ...]) -> dict[str, OrderState]:
    page = _orders(seat, GetOrders("all", (), wanted, len(wanted)))
    return {order.intent.client_order_id: order for order in page.orders}


def _orders(seat: Seat, ask: GetOrders) -> Orders:
    answer = seat.execution.call(ask, _ASK_S)
    if not isinstance(answer, Orders):
        raise BusError(f"execution answered GetOrders with {type(answer).__name__}; run one release in every process")
    return answer
