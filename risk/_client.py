"""One client of a desk: its book, counters, losses and terms, changed only as things happen. See ``risk.state``.

Not a judge (``risk.checks``): it keeps the facts that one reads.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from typing import TYPE_CHECKING, Literal, TypeAlias

from bus.clock import NS
from bus.messages import OrderEvent, OrderIntent, Side, Snapshot, TradingState
from risk import standing
from risk._carried import Approval, Carried, Known, expire
from risk._losses import Losses
from risk._terms import deployed_of, price_terms, terms_of
from risk.book import Book
from risk.checks import judge, priced_at
from risk.facts import Deployed, Facts, InUse, Terms, Twin, content
from risk.spec import ClientSpec, GateSpec

if TYPE_CHECKING:
    from risk.state import DeskState

__all__ = ["ClientState", "MessageKind"]

MessageKind: TypeAlias = Literal["submit", "replace", "cancel"]
_MINUTE_NS = 60 * NS
_MANY = 4096
_LEGS = "/legs"
_ENTRIES = frozenset({"bracket", "oto"})
"""Classes whose legs come once the entry is over: until they are there, what it filled is promised to them."""


class ClientState:
    """One client: its book, counters, losses and terms.

    Attributes:
        facts: What its orders are judged by.
        book: What it holds and has promised.
        last_seq: The last order event that was taken in.
    """

    def __init__(self, spec: ClientSpec, gate: GateSpec, desk: DeskState) -> None:
        """Start flat. ``DeskState`` makes these.

        Args:
            spec: The client.
            gate: The gate.
            desk: All clients.
        """
        self._spec = spec
        self._desk = desk
        self.book = Book(desk.instruments, spec.start_cash_nano)
        self.losses = Losses(spec.start_cash_nano, spec.limits.rolling_window_ns)
        self.facts = Facts(spec.client, gate.run_id, gate.currency, spec.limits, desk.facts, spec.start_cash_nano)
        self.facts.working = self.book.reserved
        self.last_seq = 0
        self.allowed: frozenset[str] = frozenset()
        self._barred: dict[str, str] = {}
        self._known: dict[str, Known] = {}
        self._owners: dict[str, tuple[str, str]] = {}
        self._placed: dict[tuple[str, str], set[str]] = {}
        self._promised: dict[str, tuple[str, Side, int]] = {}
        self._covered: set[str] = set()
        self._times: deque[int] = deque()
        self._messages: deque[int] = deque()
        self._approvals: list[Approval] = []
        self._new_strategies: set[str] = set()
        self._carried_ns = -1
        self._carried_seq = 0
        self._opening = True
        self._unused = deployed_of(spec.limits, None)
        for strategy, limits in spec.strategies.items():
            self.facts.strategies[strategy] = deployed_of(spec.limits, limits)

    # --- judging --------------------------------------------------------------------------------------------------

    def judge(self, intent: OrderIntent, cycle: int) -> str:
        """Return ``approved`` or the code of a denial; nothing is changed by it."""
        return judge(intent, cycle, self.facts)

    def priced_at(self, intent: OrderIntent) -> int:
        """Return what a unit of an approved order is worth at most: what it is reserved at."""
        price = priced_at(intent, self.facts.terms[intent.symbol])
        old = self.book.reserved.get(intent.replaces) if intent.replaces else None
        return price if old is None else max(price, old.price_nano)

    def approved(self, intent: OrderIntent, price_nano: int, now_ns: int, expires_ns: int) -> None:
        """Let an approved order count: reserved, known, in every rate and count (its message too).

        Args:
            intent: The order.
            price_nano: From ``priced_at``.
            now_ns: When it was approved.
            expires_ns: Until when its ticket is good.
        """
        key, book = intent.client_order_id, self.book
        group = key + _LEGS if intent.order_class == "oco" else ""
        old = book.reserved.get(intent.replaces) if intent.replaces else None
        old_group = old.group if old is not None else ""
        if old is not None:
            group = old.group or intent.replaces
            book.regroup(intent.replaces, group)
        book.reserve(intent, price_nano, expires_ns, group)
        self._known[key] = Known(intent.strategy, intent.order_class in _ENTRIES)
        self._owners[key] = intent.strategy, intent.symbol
        self._desk.resting.approved(self._spec.client, intent)
        if intent.order_class == "oco":
            self.facts.legs.add(key)
        counted = now_ns >= self._carried_ns
        self._count(intent, int(counted))
        insort(self._times, now_ns)
        self.message("replace" if intent.replaces else "submit", now_ns)
        same = content(intent)
        twin = self.facts.twins.get(same)
        undo = Approval(key, same, twin.last_ns if twin is not None else None, intent.replaces, old_group, counted)
        self._approvals.append(undo)
        if twin is None:
            twin = self.facts.twins[same] = Twin(now_ns, {})
        twin.last_ns = now_ns
        twin.by_strategy.setdefault(intent.strategy, []).append(now_ns)
        self.facts.recent_orders += 1
        self._use(key)
        self._refresh()

    def withdraw(self, intent: OrderIntent) -> None:
        """Take an approval of this instant back: everything is as if it had never been.

        Raises:
            KeyError: It was not approved at this instant.
        """
        key = intent.client_order_id
        at = next((n for n, undo in enumerate(self._approvals) if undo.client_order_id == key), None)
        if at is None:
            raise KeyError(f"{key} was not approved at this instant, so it cannot be taken back")
        undo = self._approvals.pop(at)
        later = next((each for each in self._approvals[at:] if each.content == undo.content), None)
        twin = self.facts.twins[undo.content]
        times = twin.by_strategy[intent.strategy]
        times.pop()
        if not times:
            del twin.by_strategy[intent.strategy]
        if later is not None:
            later.twin_before_ns = undo.twin_before_ns
        elif undo.twin_before_ns is None:
            del self.facts.twins[undo.content]
        else:
            twin.last_ns = undo.twin_before_ns
        self.facts.recent_orders -= 1
        self._messages.pop()
        self.facts.recent_messages -= 1
        self._desk.unmessaged()
        self._times.pop()
        self._count(intent, -int(undo.counted))
        self.facts.legs.discard(key)
        self._desk.resting.ended(self._spec.client, key)
        self._desk.resting.forget(self._spec.client, key)
        self.book.unreserve(key)
        if undo.old_id:
            self.book.regroup(undo.old_id, undo.old_group)
        self._use(key)
        del self._owners[key], self._known[key]
        if intent.strategy in self._new_strategies and self._deployed(intent.strategy) == self._unused:
            del self.facts.strategies[intent.strategy]
            self._new_strategies.discard(intent.strategy)
        self._refresh()

    # --- what happens ---------------------------------------------------------------------------------------------

    def message(self, kind: MessageKind, now_ns: int) -> None:
        """Count a message to the broker that no approval stands for: a cancel. Cancels are never refused."""
        insort(self._messages, now_ns)
        self.facts.recent_messages += 1
        self._desk.messaged(now_ns)
        if kind == "cancel":
            self.facts.cancels_today += int(now_ns >= self._carried_ns)
            self._desk.refresh()

    def apply(self, event: OrderEvent) -> None:
        """Take in one order event of execution's, in sequence.

        Raises:
            SchemaError: A fill that cannot be.
        """
        key, symbol, book = event.client_order_id, event.symbol, self.book
        before = book.position(symbol)
        book.apply(event)
        self.last_seq = event.seq
        if event.kind == "cash":
            # What an account opens with is no loss, whatever the desk was told it would be; a later withdrawal is one.
            if event.seq > self._carried_seq and (event.cash_nano > 0 or self._opening):
                self.losses.deposit(event.cash_nano)
            self._opening = False
            self.facts.equity_nano = book.equity_nano
            self._refresh()
            return
        self._opening = self._opening and event.origin == "synthetic"
        if event.origin == "leg":
            self.facts.legs.add(key)
            entry = event.group.removesuffix(_LEGS)
            parent = self._known.get(entry)
            if parent is not None:
                self._owners.setdefault(key, (parent.strategy, symbol))
                self._covered.add(entry)
                self._promise(entry, symbol, event.side, 0)
        elif key in self._known and self._known[key].awaits_legs and key not in self._covered:
            self._promise(key, symbol, "sell" if event.side == "buy" else "buy", event.filled_nano)
        works = key in book.reserved
        self._desk.resting.happened(self._spec.client, event, works=works)
        owner = self._owners.get(key)
        if owner is not None:
            used = self._deployed(owner[0]).used
            used.setdefault(symbol, InUse()).position_nano += book.position(symbol) - before
            self._use(key)
        self._refresh()

    def _promise(self, entry: str, symbol: str, side: Side, nano: int) -> None:
        """Set what the legs of an entry are going to take, until they are there themselves."""
        if nano or entry in self._promised:
            self.book.promise(entry, symbol, side, nano)
            self._promised[entry] = (symbol, side, nano)
            if nano == 0:
                del self._promised[entry]
            self._use(entry)

    def _forget_promises(self) -> None:
        """At an instant that the gateway has come to, an entry that is over has its legs, or gets none any more."""
        for entry, (symbol, side, _) in list(self._promised.items()):
            if entry not in self.book.reserved:
                self._promise(entry, symbol, side, 0)

    def release(self, client_order_id: str) -> None:
        """Release an order that was never sent and never can be: its ticket is over, by execution's own clock."""
        held = self.book.reserved.get(client_order_id)
        if held is None:
            return
        self.book.release(client_order_id)
        self._desk.resting.ended(self._spec.client, client_order_id)
        if client_order_id in self._owners:
            self._use(client_order_id)
        self._refresh()

    def strategy_of(self, client_order_id: str) -> str | None:
        """Return which strategy's an order is; None for one that was not judged here."""
        owner = self._owners.get(client_order_id)
        return None if owner is None else owner[0]

    def describe(self, traded: frozenset[str]) -> None:
        """Make the terms of every symbol anew; counts of the day stay."""
        spec, instruments, before = self._spec, self._desk.instruments, self.facts.terms
        self.allowed = frozenset(spec.limits.symbols) or traded
        fresh: dict[str, Terms] = {}
        for symbol, instrument in instruments.items():
            terms = terms_of(
                instrument,
                spec,
                self.allowed,
                self.facts.currency,
                self.book.holding(symbol),
                self._desk.resting.best(symbol),
            )
            self._barred[symbol] = terms.barred
            if symbol in before:
                terms.orders_today = before[symbol].orders_today
            fresh[symbol] = terms
        self.facts.terms = fresh
        self._price(frozenset())

    def roll_day(self, start_nano: int) -> None:
        """Begin a day: losses and counts start anew. Before ``mark`` at the day's first instant.

        Args:
            start_nano: The equity that the day's loss is counted from: the last one of the day before.
        """
        self.losses.day_start_nano = start_nano
        facts = self.facts
        facts.halted = self._desk.facts.halted = False
        facts.orders_today = facts.cancels_today = 0
        for terms in facts.terms.values():
            terms.orders_today = 0
        for deployed in facts.strategies.values():
            deployed.orders_today = 0
        self._refresh()

    def mark(self, snapshot: Snapshot, *, session_open: bool) -> None:
        """Take in the prices of an instant, and let time pass to it.

        Args:
            snapshot: The newest bars and quotes of the traded and the held symbols.
            session_open: Whether the venue's session is open at this instant; nothing passes while it is not.
        """
        now_ns, facts, limits = snapshot.now_ns, self.facts, self._spec.limits
        self._approvals.clear()
        self._new_strategies.clear()
        self._forget_promises()
        facts.now_ns, facts.session_open = now_ns, session_open
        self.book.mark(snapshot)
        self._price(frozenset(snapshot.halted))
        expire(self._times, now_ns - _MINUTE_NS)
        expire(self._messages, now_ns - _MINUTE_NS)
        facts.recent_orders, facts.recent_messages = len(self._times), len(self._messages)
        self._desk.pass_time(now_ns)
        if len(facts.twins) > _MANY:
            oldest = now_ns - max(limits.duplicate_window_ns, limits.repeat_window_ns)
            facts.twins = {key: twin for key, twin in facts.twins.items() if twin.last_ns > oldest}
        equity = facts.equity_nano = self.book.equity_nano
        if equity is not None:
            self.losses.mark(now_ns, equity)
            facts.halted = facts.halted or self.losses.day_start_nano - equity >= limits.max_daily_loss_nano
        facts.prepare_ids()
        self._refresh(marked=True)

    # --- restarting -----------------------------------------------------------------------------------------------

    def carry(self) -> Carried:
        """Return what has to be written with this instant; approvals that come after it are not in it."""
        facts = self.facts
        return Carried(
            facts.now_ns,
            self.last_seq,
            self.losses.day_start_nano,
            self.losses.peak_nano,
            facts.halted,
            self._desk.facts.halted,
            self.losses.carried(),
            facts.orders_today,
            facts.cancels_today,
            {symbol: terms.orders_today for symbol, terms in facts.terms.items() if terms.orders_today},
            {name: each.orders_today for name, each in facts.strategies.items() if each.orders_today},
        )

    def restore(self, carried: Carried) -> None:
        """Go on from an instant: after ``describe``, before the journal's approvals and execution's events."""
        facts = self.facts
        self._carried_ns, self._carried_seq = carried.now_ns, carried.last_seq
        self.losses.restore(carried.day_start_nano, carried.peak_nano, carried.best)
        facts.halted = carried.halted
        self._desk.facts.halted = self._desk.facts.halted or carried.desk_halted
        facts.orders_today, facts.cancels_today = carried.orders_today, carried.cancels_today
        for symbol, count in carried.orders_by_symbol.items():
            if symbol in facts.terms:
                facts.terms[symbol].orders_today = count
        for strategy, count in carried.orders_by_strategy.items():
            self._deployed(strategy).orders_today = count
        self._refresh()

    # --- bookkeeping ------------------------------------------------------------------------------------------------

    def set_strategy(self, strategy: str, state: TradingState) -> None:
        """Set the state of one strategy; ``DeskState.set_trading`` is what calls it."""
        deployed = self._deployed(strategy)
        deployed.state = state
        deployed.limited = state != "active" or strategy in self._spec.strategies

    def _deployed(self, strategy: str) -> Deployed:
        found = self.facts.strategies.get(strategy)
        if found is None:
            found = self.facts.strategies[strategy] = deployed_of(self._spec.limits, None)
            self._new_strategies.add(strategy)
        return found

    def _count(self, intent: OrderIntent, by: int) -> None:
        self.facts.orders_today += by
        terms = self.facts.terms.get(intent.symbol)
        if terms is not None:
            terms.orders_today += by
        self._deployed(intent.strategy).orders_today += by

    def _use(self, client_order_id: str) -> None:
        """Count anew what works of an order's strategy in its symbol; of a group, the largest counts."""
        reserved, owner = self.book.reserved, self._owners[client_order_id]
        strategy, symbol = owner
        deployed, placed = self._deployed(strategy), self._placed.setdefault(owner, set())
        deployed.open_orders -= len(placed)
        if client_order_id in reserved:
            placed.add(client_order_id)
        else:
            placed.discard(client_order_id)
        deployed.open_orders += len(placed)
        buys = sells = 0
        most: dict[tuple[str, str], int] = {}
        for key in placed:
            held = reserved[key]
            if held.group:
                group = held.side, held.group
                most[group] = max(most.get(group, 0), held.remaining_nano)
            elif held.side == "buy":
                buys += held.remaining_nano
            else:
                sells += held.remaining_nano
        for entry, (of, side, nano) in self._promised.items():
            if of == symbol and self._owners.get(entry) == owner:
                group = side, entry + _LEGS
                most[group] = max(most.get(group, 0), nano)
        for (side, _), nano in most.items():
            if side == "buy":
                buys += nano
            else:
                sells += nano
        used = deployed.used.setdefault(symbol, InUse())
        used.buys_nano, used.sells_nano = buys, sells
        if not (used.position_nano or buys or sells):
            del deployed.used[symbol]
        if not placed:
            del self._placed[owner]

    def _price(self, halted: frozenset[str]) -> None:
        for symbol, terms in self.facts.terms.items():
            if self._barred[symbol] == "":
                terms.barred = "halted" if symbol in halted else ""
                price_terms(terms, self.book.prices.get(symbol))

    def _refresh(self, *, marked: bool = False) -> None:
        facts, book = self.facts, self.book
        facts.gross_nano, facts.up_nano, facts.down_nano = book.gross_nano, book.up_nano, book.down_nano
        facts.open_orders = len(book.reserved)
        facts.day_start_nano, facts.peak_nano = self.losses.day_start_nano, self.losses.peak_nano
        facts.recent_peak_nano = self.losses.recent_peak_nano
        facts.margin_nano, facts.leverage_nano, facts.concentration_nano = standing.powers(facts)
        self._desk.refresh(marked=marked)
