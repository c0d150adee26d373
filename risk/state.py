"""Everything the gate knows of its clients, kept ready for judging: changed only by the gate, as things happen.

Not a judge (``risk.checks``) and not a journal: after a restart the gate restores what was carried, then replays its
own approvals and execution's events through the same methods, and stands where it stood.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable

from bus.clock import NS
from bus.messages import Instrument, TradingState
from risk import standing
from risk._carried import Carried, expire
from risk._client import ClientState, MessageKind
from risk._resting import RestingOrders
from risk._terms import is_described
from risk.facts import DeskFacts
from risk.limits import check_layers
from risk.spec import GateSpec

__all__ = ["Carried", "ClientState", "DeskState", "MessageKind"]

_MINUTE_NS = 60 * NS
_TIGHTNESS: dict[TradingState, int] = {"active": 0, "reducing": 1, "halted": 2}


class DeskState:
    """All clients together, and what they share: instruments, trading states, their working prices.

    Attributes:
        facts: What all clients come to.
        instruments: By symbol.
        clients: By name.
    """

    def __init__(self, spec: GateSpec) -> None:
        """Start with no instruments and no prices: nothing passes.

        Raises:
            ConfigError: A layer of limits loosens the one above it.
        """
        check_layers(spec)
        self.facts = DeskFacts(spec.desk)
        self.instruments: dict[str, Instrument] = {}
        self.resting = RestingOrders()
        self._states: dict[tuple[str, str], TradingState] = {}
        self._messages: deque[int] = deque()
        self.clients = {each.client: ClientState(each, spec, self) for each in spec.clients}
        self._every = tuple(each.facts for each in self.clients.values())

    def describe(self, instruments: Iterable[Instrument], traded: Iterable[str]) -> None:
        """Take in what can be traded, and on what terms.

        Args:
            instruments: As the feed describes them.
            traded: What a client without a list of its own may trade.
        """
        self.instruments.update((each.symbol, each) for each in instruments if is_described(each))
        allowed = frozenset(traded)
        for client in self.clients.values():
            client.describe(allowed)

    def set_trading(self, client: str, strategy: str, state: TradingState) -> None:
        """Set the trading state of one scope; what is in force is the tightest of all that apply.

        Args:
            client: Whose; empty for all.
            strategy: Which; empty for all.
            state: From now on.
        """
        self._states[client, strategy] = state
        self.facts.state = self._states.get(("", ""), "active")
        for name, each in self.clients.items():
            each.facts.state = self._states.get((name, ""), "active")
            for owner, strategy_name in self._states:
                if strategy_name and owner in {"", name}:
                    for_all = self._states.get(("", strategy_name), "active")
                    own = self._states.get((name, strategy_name), "active")
                    each.set_strategy(strategy_name, for_all if _TIGHTNESS[for_all] > _TIGHTNESS[own] else own)
        self.refresh()

    def messaged(self, now_ns: int) -> None:
        """Count one message of a client's."""
        insort(self._messages, now_ns)
        self.facts.recent_messages += 1

    def unmessaged(self) -> None:
        """Take the last message back."""
        self._messages.pop()
        self.facts.recent_messages -= 1

    def refresh(self, *, marked: bool = False) -> None:
        """Add the clients up, and settle what passes from now on.

        Args:
            marked: Whether a client has just been marked: only then can a loss have been reached.
        """
        desk, every = self.facts, self._every
        desk.gross_nano = desk.up_nano = desk.down_nano = desk.open_orders = 0
        loss_nano: int | None = 0
        for each in every:
            desk.gross_nano += each.gross_nano
            desk.up_nano += each.up_nano
            desk.down_nano += each.down_nano
            desk.open_orders += each.open_orders
            if loss_nano is not None:
                equity = each.equity_nano
                loss_nano = None if equity is None else loss_nano + each.day_start_nano - equity
        desk.day_loss_nano = loss_nano
        if marked and desk.day_loss_nano is not None and len({each.now_ns for each in every}) == 1:
            # Only where all stand at one instant: half of the prices of two instants are no loss.
            desk.halted = desk.halted or desk.day_loss_nano >= desk.limits.max_daily_loss_nano
        desk.restricted = standing.desk_restricted(desk)
        for each in every:
            each.closed = standing.closed(each)
            each.restricted = standing.restricted(each)
            each.paced = standing.paced(each)

    def pass_time(self, now_ns: int) -> None:
        """Forget messages that are older than a minute."""
        expire(self._messages, now_ns - _MINUTE_NS)
        self.facts.recent_messages = len(self._messages)
