"""A small run whose every number is known: a day on disk and an event log, both written by the real modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from agents.trace import RecordKind, Trace
from bus.clock import NS
from bus.fixed import to_nano
from bus.messages import (
    Account,
    Analysis,
    AnalystAsk,
    BookSettled,
    ClockTick,
    Decision,
    Executed,
    ExecutionAsk,
    Fill,
    Instrument,
    Message,
    ModelCall,
    OrderEvent,
    OrderEventKind,
    OrderIntent,
    OrderStatus,
    Position,
    RiskAsk,
    SentimentAsk,
    SentimentScores,
    Settled,
    Side,
    Signals,
    StageAnswer,
    StageAsk,
    StageRequest,
    StageResult,
    Stance,
    StrategyAsk,
    Ticket,
    TicketedOrder,
    TraderAsk,
    Verdict,
    Verdicts,
)
from feed.format import Manifest, write_day
from outcry.summary import RunMeta

MINUTE = 60 * NS
OPEN_NS = 1_381_152_600 * NS
"""2013-10-07 13:30 UTC, 09:30 in New York."""
START = to_nano(100_000)
HOSTILE = "<script src=https://evil.example/x.js></script>\"'&\x1b[2J"


def at(minute: int) -> int:
    return OPEN_NS + minute * MINUTE


def made_day(
    folder: Path, symbol: str = "AAA", minutes: int = 240, kind: Literal["recorded", "synthetic"] = "synthetic"
) -> Path:
    rows: list[list[Any]] = []
    for minute in range(minutes):
        price = 100 + (minute % 40) * 0.25 - (minute % 7) * 0.125
        rows.append(
            [
                symbol,
                at(minute),
                at(minute + 1),
                at(minute + 1),
                price,
                price + 0.5,
                price - 0.5,
                price + 0.25,
                1e4,
                "regular",
            ]
        )
    manifest = Manifest(
        1, "made-2013-10-07", "2013-10-07", kind, "XNYS", "America/New_York", 60, (symbol,), "made", "CC0"
    )
    instrument = Instrument(symbol, "equity", "USD", to_nano("0.01"), to_nano(1))
    return write_day(folder, manifest, [instrument], {"bars": rows})


def meta(run_dir: Path, **changes: Any) -> RunMeta:
    values: dict[str, Any] = {
        "run_id": "run-0123456789ab",
        "day": "made-2013-10-07",
        "kind": "synthetic",
        "mode": "replay",
        "model": "scripted",
        "start_equity_nano": START,
        "bars": 240,
        "wall_seconds": 3.25,
        "first_decision_seconds": 1.5,
        "stages": {"feed": 11, "risk": 12},
        "run_dir": run_dir,
        "restarts": 1,
    }
    return RunMeta(**{**values, **changes})


def intent(cycle: int, index: int, side: Side, qty: int, symbol: str = "AAA", reason: str = "trend up") -> OrderIntent:
    return OrderIntent(
        f"oo-{cycle}-{index}", "main", "run-0123456789ab", cycle, index, symbol, side, "market", "day",
        to_nano(qty), 0, at(cycle * 10), "trend", reason,
    )  # fmt: skip


def account(minute: int, equity: str, fees: str, positions: tuple[Position, ...] = ()) -> Account:
    return Account("main", "replay", at(minute), to_nano("90000"), to_nano(equity), to_nano(fees), positions)


class MadeRun:
    """Writes an event log an instant at a time."""

    def __init__(self, run_dir: Path) -> None:
        run_dir.mkdir(parents=True, exist_ok=True)
        self.trace = Trace(run_dir / "trace.sqlite")
        self.minute = 0
        self.event_seq = 0
        self.account = account(0, "100000", "0")

    def event(
        self, kind: OrderEventKind, status: OrderStatus, order: OrderIntent, reason: str = "", fill: Fill | None = None
    ) -> OrderEvent:
        self.event_seq += 1
        return OrderEvent(
            self.event_seq, order.client_order_id, order.symbol, order.side, kind, status, at(self.minute),
            order.qty_nano, fill.qty_nano if fill else 0, reason, fill,
        )  # fmt: skip

    def fill(self, order: OrderIntent, price: str, fee: str) -> OrderEvent:
        done = Fill(
            f"f-{order.client_order_id}", order.client_order_id, order.symbol, order.side, order.qty_nano,
            to_nano(price), to_nano(fee), at(self.minute - 1),
        )  # fmt: skip
        return self.event("fill", "filled", order, fill=done)

    def instant(
        self,
        minute: int,
        equity: str,
        fees: str = "0",
        events: tuple[OrderEvent, ...] = (),
        positions: tuple[Position, ...] = (),
        cycle: list[tuple[RecordKind, str, Message]] | None = None,
    ) -> None:
        self.account = account(minute, equity, fees, positions)
        book = BookSettled(at(minute), to_nano(equity), 0, 0, 0, False)
        records: list[tuple[RecordKind, str, Message]] = [
            ("clock", "feed", ClockTick(at(minute), minute, 240, False)),
            ("settled", "execution", Settled(at(minute), events, self.account)),
            ("book", "risk", book),
            *(cycle or []),
        ]
        self.trace.commit(at(minute), records)

    def stage(
        self, name: str, cycle: int, ask: StageAsk, answer: StageAnswer, degraded: str = ""
    ) -> list[tuple[RecordKind, str, Message]]:
        now_ns = at(self.minute)
        return [
            ("ask", name, StageRequest("run-0123456789ab", "main", cycle, now_ns, ask)),
            ("answer", name, StageResult(name, cycle, now_ns, answer, degraded)),
        ]

    def cycle(
        self,
        number: int,
        wanted: tuple[OrderIntent, ...],
        dropped: tuple[str, ...] = (),
        denied: dict[str, tuple[str, str]] | None = None,
        call: ModelCall | None = None,
        held: str = "",
    ) -> list[tuple[RecordKind, str, Message]]:
        """Return a cycle's records; ``denied`` is client order id → (code, the gate's message)."""
        refused = denied or {}
        symbols = ("AAA",)
        stances = (Stance("AAA", "neutral", 0, ""),)
        calls = (call,) if call else ()
        records = self.stage("analyst", number, AnalystAsk(symbols, self.account), Analysis(stances, calls), held)
        records += self.stage("strategy", number, StrategyAsk(symbols), Signals(()))
        ask = TraderAsk(symbols, self.account, stances, ())
        records += self.stage("trader", number, ask, Decision(wanted, calls), held)
        if not wanted:
            return records
        kept = tuple(order for order in wanted if order.client_order_id not in dropped)
        records += self.stage("sentiment", number, SentimentAsk(wanted), SentimentScores(kept, dropped, ()))
        if not kept:
            return records
        verdicts = tuple(self.verdict(order, *refused.get(order.client_order_id, ("approved", "ok"))) for order in kept)
        orders = tuple(
            TicketedOrder(order, Ticket("t", "main", "d", "v1", at(self.minute), at(self.minute + 1), "k", b"s"))
            for order in kept
            if order.client_order_id not in refused
        )
        records += self.stage("risk", number, RiskAsk(kept), Verdicts(verdicts, orders))
        if orders:
            events = tuple(self.event("sent", "in_flight", order.intent) for order in orders)
            records += self.stage("execution", number, ExecutionAsk(orders), Executed(events))
        return records

    def verdict(self, order: OrderIntent, code: str, message: str) -> Verdict:
        return Verdict(order.client_order_id, order.symbol, code == "approved", code, message, "v1", at(self.minute))


def small_run(run_dir: Path, symbol: str = "AAA", message: str = "position 900 would pass the limit of 500") -> str:
    """Write the run that the tests count by hand, and return its trace hash.

    Three cycles: one buy approved and one denied; one sell approved and one dropped; one held. Two fills.
    Equity 100,000 → 100,500 (peak) → 99,495 (trough: 1,005, exactly 1 %) → 100,250.125.
    """
    run = MadeRun(run_dir)
    buy, big = intent(1, 0, "buy", 10, symbol), intent(1, 1, "buy", 900, symbol)
    sell, other = intent(2, 0, "sell", 4, symbol, reason=message), intent(2, 1, "sell", 1, symbol)
    ask = ModelCall("scripted", "digest", "{}", "", 12, 3)
    run.minute = 10
    run.instant(10, "100000", cycle=run.cycle(1, (buy, big), denied={"oo-1-1": ("max_position", message)}, call=ask))
    run.minute = 11
    held = (Position(symbol, to_nano(10), to_nano("101.5"), to_nano(102), 0),)
    run.instant(11, "100500", "1.005", (run.fill(buy, "101.5", "1.005"),), held)
    run.minute = 20
    run.instant(20, "99495", "1.005", (), held, cycle=run.cycle(2, (sell, other), dropped=("oo-2-1",), call=ask))
    run.minute = 21
    left = (Position(symbol, to_nano(6), to_nano("101.5"), to_nano("101.25"), to_nano("-3.5")),)
    run.instant(21, "100250.125", "1.5055", (run.fill(sell, "100.625", "0.5005"),), left)
    run.minute = 30
    down = ModelCall("scripted", "digest", "", "down", 0, 0)
    run.instant(30, "100250.125", "1.5055", (), left, cycle=run.cycle(3, (), call=down, held="model_down"))
    chain = run.trace.chain
    run.trace.close()
    return chain
