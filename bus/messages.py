"""The one vocabulary: every message that crosses a process, frozen and tagged.

Not a model of any vendor's or broker's fields: those are translated at the edge. Names ending in ``_ns`` are UTC
nanoseconds, in ``_nano`` billionths (see ``bus.fixed``), in ``_s`` seconds. Encoded as array-like msgpack, so fields
are only ever added at the end and ``SCHEMA_VERSION`` rises when an old reader could misread.
"""

from __future__ import annotations

from typing import TypeAlias

from bus._market_messages import (
    Advance,
    Bar,
    Bars,
    CalendarEvent,
    CalendarEvents,
    Chart,
    ChartSet,
    ClockTick,
    DayInfo,
    DescribeDay,
    FeedClock,
    FeedStats,
    GetClock,
    GetFeedStats,
    Instrument,
    Instruments,
    NewsItem,
    NewsItems,
    NewsPage,
    QueryBars,
    QueryCalendar,
    QueryChart,
    QueryInstruments,
    QueryNews,
    QuerySessions,
    QuerySnapshot,
    Quote,
    SearchNews,
    Session,
    Sessions,
    Snapshot,
    Tick,
    TickAt,
    Timeframe,
    Trade,
    UnwatchCharts,
    WatchCharts,
)
from bus._operation_messages import (
    ErrorReply,
    Heartbeat,
    Ok,
    Ping,
    Progress,
    RunDone,
)
from bus._order_messages import (
    Account,
    BookSettled,
    CancelAll,
    EventsSince,
    Fill,
    GetAccount,
    GetRiskState,
    Kill,
    KillLine,
    OrderClass,
    OrderEvent,
    OrderEventKind,
    OrderEvents,
    OrderIntent,
    OrderStatus,
    OrderType,
    Origin,
    Position,
    Resume,
    RiskState,
    SettleBook,
    Settled,
    SettleOrders,
    Side,
    Ticket,
    TicketedOrder,
    TimeInForce,
    TradingState,
    Verdict,
)
from bus._order_questions import (
    AskCancel,
    AskReconcile,
    Canceled,
    CancelOrder,
    CancelRefusal,
    Capabilities,
    ClearHalt,
    Difference,
    GetCapabilities,
    GetLimits,
    GetOrders,
    LimitLine,
    Orders,
    OrderState,
    PreviewOrders,
    Reconciliation,
    RiskLimits,
)
from bus._stage_messages import (
    Analysis,
    AnalystAsk,
    Decision,
    Executed,
    ExecutionAsk,
    ModelCall,
    RiskAsk,
    SentimentAsk,
    SentimentScores,
    Signal,
    Signals,
    StageAnswer,
    StageAsk,
    StageRequest,
    StageResult,
    Stance,
    StrategyAsk,
    SymbolScore,
    TraderAsk,
    Verdicts,
)

__all__ = [
    "SCHEMA_VERSION",
    "Account",
    "Advance",
    "Analysis",
    "AnalystAsk",
    "AskCancel",
    "TradingState",
    "Reconciliation",
    "Origin",
    "OrderClass",
    "KillLine",
    "Difference",
    "ClearHalt",
    "AskReconcile",
    "Bar",
    "Bars",
    "BookSettled",
    "CalendarEvent",
    "CalendarEvents",
    "CancelAll",
    "CancelOrder",
    "CancelRefusal",
    "Canceled",
    "Capabilities",
    "Chart",
    "ChartSet",
    "ClockTick",
    "DayInfo",
    "Decision",
    "DescribeDay",
    "ErrorReply",
    "EventsSince",
    "Executed",
    "ExecutionAsk",
    "FeedClock",
    "FeedStats",
    "Fill",
    "GetAccount",
    "GetCapabilities",
    "GetClock",
    "GetFeedStats",
    "GetLimits",
    "GetOrders",
    "GetRiskState",
    "Heartbeat",
    "Instrument",
    "Instruments",
    "Kill",
    "LimitLine",
    "Message",
    "ModelCall",
    "NewsItem",
    "NewsItems",
    "NewsPage",
    "Ok",
    "OrderEvent",
    "OrderEventKind",
    "OrderEvents",
    "OrderIntent",
    "OrderState",
    "OrderStatus",
    "OrderType",
    "Orders",
    "Ping",
    "Position",
    "PreviewOrders",
    "Progress",
    "QueryBars",
    "QueryCalendar",
    "QueryChart",
    "QueryInstruments",
    "QueryNews",
    "QuerySessions",
    "QuerySnapshot",
    "Quote",
    "Resume",
    "RiskAsk",
    "RiskLimits",
    "RiskState",
    "RunDone",
    "SearchNews",
    "SentimentAsk",
    "SentimentScores",
    "Session",
    "Sessions",
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
    "Timeframe",
    "Trade",
    "TraderAsk",
    "UnwatchCharts",
    "Verdict",
    "Verdicts",
    "WatchCharts",
]

SCHEMA_VERSION = 1
"""The version of this vocabulary; the first byte of every encoded message."""

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
    | GetClock
    | FeedClock
    | QueryInstruments
    | Instruments
    | QueryChart
    | ChartSet
    | WatchCharts
    | UnwatchCharts
    | SearchNews
    | NewsPage
    | QuerySessions
    | Sessions
    | GetFeedStats
    | FeedStats
    | GetCapabilities
    | Capabilities
    | GetOrders
    | Orders
    | CancelOrder
    | AskCancel
    | AskReconcile
    | Reconciliation
    | ClearHalt
    | Canceled
    | PreviewOrders
    | GetLimits
    | RiskLimits
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
