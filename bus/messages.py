"""The one vocabulary: every message that crosses a process, frozen and tagged.

Not a model of any vendor's or broker's fields: those are translated at the edge. Names ending in ``_ns`` are UTC
nanoseconds, in ``_nano`` billionths (see ``bus.fixed``), in ``_s`` seconds. Encoded as array-like msgpack, so fields
are only ever added at the end and ``SCHEMA_VERSION`` rises when an old reader could misread.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

__all__ = [
    "SCHEMA_VERSION",
    "Account",
    "Advance",
    "Analysis",
    "AnalystAsk",
    "Bar",
    "Bars",
    "BookSettled",
    "CalendarEvent",
    "CalendarEvents",
    "CancelAll",
    "ClockTick",
    "DayInfo",
    "Decision",
    "DescribeDay",
    "ErrorReply",
    "EventsSince",
    "Executed",
    "ExecutionAsk",
    "Fill",
    "GetAccount",
    "GetRiskState",
    "Heartbeat",
    "Instrument",
    "Kill",
    "Message",
    "ModelCall",
    "NewsItem",
    "NewsItems",
    "Ok",
    "OrderEvent",
    "OrderEventKind",
    "OrderEvents",
    "OrderIntent",
    "OrderStatus",
    "OrderType",
    "Ping",
    "Position",
    "Progress",
    "QueryBars",
    "QueryCalendar",
    "QueryNews",
    "QuerySnapshot",
    "Quote",
    "Resume",
    "RiskAsk",
    "RiskState",
    "RunDone",
    "SentimentAsk",
    "SentimentScores",
    "SettleBook",
    "SettleOrders",
    "Settled",
    "Side",
    "Signal",
    "Signals",
    "Snapshot",
    "StageAnswer",
    "StageAsk",
    "StageRequest",
    "StageResult",
    "Stance",
    "StrategyAsk",
    "SymbolScore",
    "Tick",
    "TickAt",
    "Ticket",
    "TicketedOrder",
    "TimeInForce",
    "Trade",
    "TraderAsk",
    "Verdict",
    "Verdicts",
]

SCHEMA_VERSION = 1
"""The version of this vocabulary; the first byte of every encoded message."""

Side: TypeAlias = Literal["buy", "sell"]
OrderType: TypeAlias = Literal["market", "limit"]
TimeInForce: TypeAlias = Literal["day", "ioc"]
OrderStatus: TypeAlias = Literal[
    "intent",
    "in_flight",
    "unknown",
    "accepted",
    "partially_filled",
    "filled",
    "canceled",
    "expired",
    "rejected",
]
OrderEventKind: TypeAlias = Literal["sent", "unknown", "accepted", "fill", "canceled", "expired", "rejected"]


class Struct(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages: frozen, tagged with the class name, encoded as an array."""


# --- market -----------------------------------------------------------------------------------------------------------


class Bar(Struct, frozen=True):
    """An OHLC bar. It is complete at ``event_time_ns`` and may be shown from ``available_time_ns``.

    Prices are as traded, in billionths; ``volume_nano`` is 0 where the venue reports none.
    """

    symbol: str
    open_time_ns: int
    event_time_ns: int
    available_time_ns: int
    open_nano: int
    high_nano: int
    low_nano: int
    close_nano: int
    volume_nano: int
    session: str = ""


class Quote(Struct, frozen=True):
    """Best bid and ask over an interval: at its start (``*_open``) and at its end. Sizes are 0 where unknown."""

    symbol: str
    open_time_ns: int
    event_time_ns: int
    available_time_ns: int
    bid_open_nano: int
    ask_open_nano: int
    bid_nano: int
    ask_nano: int
    bid_size_nano: int = 0
    ask_size_nano: int = 0


class Trade(Struct, frozen=True):
    """One trade print."""

    symbol: str
    event_time_ns: int
    available_time_ns: int
    price_nano: int
    qty_nano: int


class NewsItem(Struct, frozen=True):
    """A headline or post. Its text comes from outside: data, never instructions (law 13)."""

    news_id: str
    symbols: tuple[str, ...]
    event_time_ns: int
    available_time_ns: int
    headline: str
    source: str
    body: str = ""


class CalendarEvent(Struct, frozen=True):
    """A scheduled release. ``actual`` is empty until it is available."""

    event_id: str
    event_time_ns: int
    available_time_ns: int
    name: str
    country: str
    importance: str
    forecast: str = ""
    actual: str = ""


class Instrument(Struct, frozen=True):
    """What can be traded and in which steps.

    ``tick_nano`` and ``lot_nano`` are the price and quantity grids; ``multiplier`` is units per contract;
    ``has_volume`` is false where the venue reports none (FX, CFD, indices).
    """

    symbol: str
    kind: Literal["equity", "fx", "crypto", "future", "cfd", "index"]
    currency: str
    tick_nano: int
    lot_nano: int
    multiplier: int = 1
    has_volume: bool = True
    tradable: bool = True


class DayInfo(Struct, frozen=True):
    """A recorded day as the feed serves it. ``seal`` is the digest of its manifest."""

    day_id: str
    kind: Literal["recorded", "synthetic"]
    seal: str
    calendar: str
    timezone: str
    bar_s: int
    first_ns: int
    last_ns: int
    instants: int
    bars: int
    instruments: tuple[Instrument, ...]
    traded: tuple[str, ...]


class ClockTick(Struct, frozen=True):
    """The clock has moved to ``now_ns``, instant ``index`` of ``total`` (counted from 0); ``done`` is the last one."""

    now_ns: int
    index: int
    total: int
    done: bool


class Tick(Struct, frozen=True):
    """Everything that became available at one instant, sorted by symbol."""

    clock: ClockTick
    bars: tuple[Bar, ...] = ()
    quotes: tuple[Quote, ...] = ()
    news: tuple[NewsItem, ...] = ()
    calendar: tuple[CalendarEvent, ...] = ()


# --- feed questions ---------------------------------------------------------------------------------------------------


class Advance(Struct, frozen=True):
    """Move the clock to the first instant after ``after_ns`` (answer: ``Tick``). Asked again, it answers the same."""

    after_ns: int


class TickAt(Struct, frozen=True):
    """Ask for the tick of an instant that is not after the clock (answer: ``Tick``)."""

    now_ns: int


class DescribeDay(Struct, frozen=True):
    """Ask which day is served (answer: ``DayInfo``)."""


class QueryBars(Struct, frozen=True):
    """Ask for the last ``limit`` bars of a symbol available at ``as_of_ns`` (answer: ``Bars``)."""

    symbol: str
    limit: int
    as_of_ns: int


class QueryNews(Struct, frozen=True):
    """Ask for the last ``limit`` news items available in ``(since_ns, as_of_ns]``; no symbols means all."""

    symbols: tuple[str, ...]
    since_ns: int
    as_of_ns: int
    limit: int = 50


class QueryCalendar(Struct, frozen=True):
    """Ask for scheduled releases known at ``as_of_ns`` that fall in ``(from_ns, to_ns]``."""

    as_of_ns: int
    from_ns: int
    to_ns: int


class QuerySnapshot(Struct, frozen=True):
    """Ask for the latest bar and quote of each symbol at ``as_of_ns`` (answer: ``Snapshot``); no symbols means all."""

    symbols: tuple[str, ...]
    as_of_ns: int


class Bars(Struct, frozen=True):
    """Bars of one symbol, oldest first."""

    symbol: str
    bars: tuple[Bar, ...]


class NewsItems(Struct, frozen=True):
    """News, oldest first."""

    items: tuple[NewsItem, ...]


class CalendarEvents(Struct, frozen=True):
    """Scheduled releases, earliest first."""

    events: tuple[CalendarEvent, ...]


class Snapshot(Struct, frozen=True):
    """The latest bars and quotes at ``now_ns``, by symbol; a symbol that has none yet is absent."""

    now_ns: int
    bars: tuple[Bar, ...]
    quotes: tuple[Quote, ...]


# --- orders -----------------------------------------------------------------------------------------------------------


class OrderIntent(Struct, frozen=True):
    """What a trader wants. ``qty_nano`` is positive; ``limit_price_nano`` is 0 for a market order.

    ``client_order_id`` is derived from (client, run, cycle, index): the same intent is the same order (law 6).
    """

    client_order_id: str
    client: str
    run_id: str
    cycle: int
    index: int
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    qty_nano: int
    limit_price_nano: int
    decided_ns: int
    strategy: str
    reason: str = ""


class Verdict(Struct, frozen=True):
    """The gate's answer to one intent. ``code`` is ``approved`` or the reason of the denial."""

    client_order_id: str
    symbol: str
    approved: bool
    code: str
    message: str
    limits_version: str
    now_ns: int


class Ticket(Struct, frozen=True):
    """The gate's signature over one order: Ed25519 over all other fields and the exact order bytes (law 1).

    ``key_id`` and ``signature`` differ between two runs of the same day; nothing else does.
    """

    ticket_id: str
    client: str
    order_digest: str
    limits_version: str
    issued_ns: int
    expires_ns: int
    key_id: str
    signature: bytes


class TicketedOrder(Struct, frozen=True):
    """An intent that the gate approved, with the ticket that proves it."""

    intent: OrderIntent
    ticket: Ticket


class Fill(Struct, frozen=True):
    """One execution. ``qty_nano`` is positive; ``fee_nano`` is what was charged, in the account currency."""

    fill_id: str
    client_order_id: str
    symbol: str
    side: Side
    qty_nano: int
    price_nano: int
    fee_nano: int
    time_ns: int
    liquidity: str = "taker"


class OrderEvent(Struct, frozen=True):
    """One journaled step in an order's life. ``seq`` counts the client's events from 1 without gaps."""

    seq: int
    client_order_id: str
    symbol: str
    side: Side
    kind: OrderEventKind
    status: OrderStatus
    time_ns: int
    qty_nano: int
    filled_nano: int
    reason: str = ""
    fill: Fill | None = None


class Position(Struct, frozen=True):
    """A holding. ``qty_nano`` is signed; ``avg_price_nano`` is the average cost; ``mark_nano`` the last close."""

    symbol: str
    qty_nano: int
    avg_price_nano: int
    mark_nano: int
    realized_nano: int


class Account(Struct, frozen=True):
    """A client's account as execution knows it. ``equity_nano`` is cash plus positions at their marks."""

    client: str
    mode: Literal["replay", "paper", "live"]
    now_ns: int
    cash_nano: int
    equity_nano: int
    fees_nano: int
    positions: tuple[Position, ...] = ()


# --- execution questions ----------------------------------------------------------------------------------------------


class SettleOrders(Struct, frozen=True):
    """Let the broker work its orders against the market at ``now_ns`` (answer: ``Settled``). Asked again, the same."""

    now_ns: int


class Settled(Struct, frozen=True):
    """The order events of an instant and the account after them."""

    now_ns: int
    events: tuple[OrderEvent, ...]
    account: Account


class EventsSince(Struct, frozen=True):
    """Ask for order events with ``seq`` greater than this one (answer: ``OrderEvents``)."""

    seq: int


class OrderEvents(Struct, frozen=True):
    """Order events in sequence. ``last_seq`` is the newest there is."""

    events: tuple[OrderEvent, ...]
    last_seq: int


class GetAccount(Struct, frozen=True):
    """Ask for the account at ``now_ns``, marked to the feed (answer: ``Account``)."""

    now_ns: int


class CancelAll(Struct, frozen=True):
    """Cancel every working order; only with a ticket of the gate's over the digest of ``cancel_all``."""

    now_ns: int
    reason: str
    ticket: Ticket


# --- gate questions ---------------------------------------------------------------------------------------------------


class SettleBook(Struct, frozen=True):
    """Let the gate take in fills and prices up to ``now_ns`` (answer: ``BookSettled``). Asked again, the same."""

    now_ns: int


class BookSettled(Struct, frozen=True):
    """The gate's own book after an instant: what it would judge the next order by."""

    now_ns: int
    equity_nano: int
    gross_nano: int
    reserved_nano: int
    daily_loss_nano: int
    killed: bool


class GetRiskState(Struct, frozen=True):
    """Ask for the gate's state (answer: ``RiskState``)."""


class Kill(Struct, frozen=True):
    """Engage the kill switch: refuse everything and cancel what works (answer: ``RiskState``)."""

    reason: str
    by: str


class Resume(Struct, frozen=True):
    """Clear the kill switch; a person's act, from the command line only (answer: ``RiskState``)."""

    by: str


class RiskState(Struct, frozen=True):
    """The gate's state for people."""

    killed: bool
    kill_reason: str
    now_ns: int
    limits_version: str
    approved: int
    denied: int
    equity_nano: int
    gross_nano: int
    key_id: str


# --- stages -----------------------------------------------------------------------------------------------------------


class ModelCall(Struct, frozen=True):
    """One question to a model, with its answer, for the trace. ``error`` is empty or the reason it failed."""

    model: str
    prompt_digest: str
    answer: str
    error: str
    prompt_tokens: int
    answer_tokens: int


class Stance(Struct, frozen=True):
    """An analyst's view of one symbol; confidence in whole percent."""

    symbol: str
    bias: Literal["bullish", "bearish", "neutral"]
    confidence_pct: int
    reason: str


class Signal(Struct, frozen=True):
    """A strategy's view of one symbol: -1, 0 or +1, with a strength in whole percent and the strategy's name."""

    symbol: str
    direction: int
    strength_pct: int
    strategy: str


class SymbolScore(Struct, frozen=True):
    """Sentiment of the recent news of one symbol, -100 to +100, over ``items`` items."""

    symbol: str
    score_pct: int
    items: int


class AnalystAsk(Struct, frozen=True):
    """Form a view of these symbols."""

    symbols: tuple[str, ...]
    account: Account


class StrategyAsk(Struct, frozen=True):
    """Compute signals for these symbols."""

    symbols: tuple[str, ...]


class TraderAsk(Struct, frozen=True):
    """Turn views and signals into order intents."""

    symbols: tuple[str, ...]
    account: Account
    stances: tuple[Stance, ...]
    signals: tuple[Signal, ...]


class SentimentAsk(Struct, frozen=True):
    """Weigh the intents against the news; an intent that the news contradicts is dropped."""

    intents: tuple[OrderIntent, ...]


class RiskAsk(Struct, frozen=True):
    """Judge the intents."""

    intents: tuple[OrderIntent, ...]


class ExecutionAsk(Struct, frozen=True):
    """Send the approved orders."""

    orders: tuple[TicketedOrder, ...]


StageAsk: TypeAlias = AnalystAsk | StrategyAsk | TraderAsk | SentimentAsk | RiskAsk | ExecutionAsk


class Analysis(Struct, frozen=True):
    """The analyst's answer."""

    stances: tuple[Stance, ...]
    calls: tuple[ModelCall, ...] = ()


class Signals(Struct, frozen=True):
    """The strategy's answer."""

    signals: tuple[Signal, ...]


class Decision(Struct, frozen=True):
    """The trader's answer: what it wants to do."""

    intents: tuple[OrderIntent, ...]
    calls: tuple[ModelCall, ...] = ()


class SentimentScores(Struct, frozen=True):
    """The sentiment's answer: the intents that pass, the ids of those dropped, and the scores."""

    intents: tuple[OrderIntent, ...]
    dropped: tuple[str, ...]
    scores: tuple[SymbolScore, ...]


class Verdicts(Struct, frozen=True):
    """The gate's answer: a verdict for each intent, in order, and a ticketed order for each approved one."""

    verdicts: tuple[Verdict, ...]
    orders: tuple[TicketedOrder, ...]


class Executed(Struct, frozen=True):
    """Execution's answer: the events that sending caused."""

    events: tuple[OrderEvent, ...]


StageAnswer: TypeAlias = Analysis | Signals | Decision | SentimentScores | Verdicts | Executed


class StageRequest(Struct, frozen=True):
    """A question of the graph's to a stage at a simulated time. Asked again, a stage must answer the same."""

    run_id: str
    client: str
    cycle: int
    now_ns: int
    ask: StageAsk


class StageResult(Struct, frozen=True):
    """A stage's answer. ``degraded`` is empty, or says why the stage held (for example ``model_down``)."""

    stage: str
    cycle: int
    now_ns: int
    answer: StageAnswer
    degraded: str = ""


# --- operations -------------------------------------------------------------------------------------------------------


class Ping(Struct, frozen=True):
    """Are you there (answer: ``Ok``)."""


class Ok(Struct, frozen=True):
    """Done. ``detail`` is for people."""

    detail: str = ""


class ErrorReply(Struct, frozen=True):
    """A service's refusal: a code, and one text that says what was wrong, what is allowed and what to do next."""

    code: str
    message: str


class Heartbeat(Struct, frozen=True):
    """A stage is alive. ``busy_ns`` is how long its present request has taken, 0 when idle."""

    stage: str
    pid: int
    seq: int
    state: Literal["starting", "ready", "stopping", "failed"]
    busy_ns: int = 0
    detail: str = ""


class Progress(Struct, frozen=True):
    """How far a run has come, for the person who watches."""

    clock: ClockTick
    cycles: int
    intents: int
    fills: int
    denied: int
    equity_nano: int


class RunDone(Struct, frozen=True):
    """The orchestrator has come to the end of the day. ``error`` is empty or says why it stopped."""

    cycles: int
    trace_hash: str
    error: str = ""


Message: TypeAlias = (
    Bar
    | Quote
    | Trade
    | NewsItem
    | CalendarEvent
    | Instrument
    | DayInfo
    | ClockTick
    | Tick
    | Advance
    | TickAt
    | DescribeDay
    | QueryBars
    | QueryNews
    | QueryCalendar
    | QuerySnapshot
    | Bars
    | NewsItems
    | CalendarEvents
    | Snapshot
    | OrderIntent
    | Verdict
    | Ticket
    | TicketedOrder
    | Fill
    | OrderEvent
    | Position
    | Account
    | SettleOrders
    | Settled
    | EventsSince
    | OrderEvents
    | GetAccount
    | CancelAll
    | SettleBook
    | BookSettled
    | GetRiskState
    | Kill
    | Resume
    | RiskState
    | StageRequest
    | StageResult
    | Ping
    | Ok
    | ErrorReply
    | Heartbeat
    | Progress
    | RunDone
)
"""Anything that may stand alone on the bus."""
