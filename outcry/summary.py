"""The figures of a finished run: ``summary.json``, the closing table on the terminal and ``events.parquet``.

Not a judge of whether the agents are any good: it counts what the event log says and states the conventions behind it.

Money in ``summary.json`` is a JSON number of the account currency, rounded half to even at the sixth decimal place:
exact for every amount below a milliard. ``max_drawdown`` is a fraction of the peak (0.0125 is 1.25 %).
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from agents.trace import read_trace
from bus.fixed import SCALE, from_nano
from execution.spec import FeeSchedule, FillModelSpec
from outcry._facts import Facts, gather

__all__ = [
    "RunMeta",
    "Summary",
    "build_summary",
    "closing_table",
    "conventions",
    "export_events",
    "money_text",
    "summary_of",
    "write_summary",
]


def conventions(model: FillModelSpec | None = None, fees: FeeSchedule | None = None) -> tuple[str, ...]:
    """Return how fills, fees and equity are reckoned, in sentences for people.

    Args:
        model: The run's fill model; None for the default.
        fees: The run's fees; None for the default.
    """
    model, fees = model or FillModelSpec(), fees or FeeSchedule()
    return (
        f"An order arrives {model.latency_ns / 1_000_000:g} ms after the decision and is filled at the open of the "
        "next bar, the first that opens at or after it arrived; never inside the bar that led to it.",
        f"A buy takes the ask and a sell the bid of that open; where no quote is known, half a spread of "
        f"{_ppm(model.half_spread_ppm)} is assumed. Slippage of {_ppm(model.slippage_ppm)} comes on top, and the "
        "price is rounded to the tick against the order.",
        "A limit order is filled only when the price trades through its limit; a touch is not enough.",
        f"One bar fills at most {_ppm(model.participation_ppm)} of its volume, where the venue reports a volume; the "
        "rest waits for the next bar.",
        f"Fees: equities {from_nano(fees.equity_per_share_nano):f} a share, at least "
        f"{from_nano(fees.equity_min_nano):f} an order and at most {_ppm(fees.equity_max_ppm)} of its value; crypto "
        f"{_ppm(fees.crypto_ppm)}, FX {_ppm(fees.fx_ppm)}, CFD {_ppm(fees.cfd_ppm)} of the value; futures "
        f"{from_nano(fees.future_per_contract_nano):f} a contract. They are part of the equity.",
        "The equity is marked at the last close: what is still held has not been sold, and selling it would cost more.",
        "The drawdown is the largest fall from a peak of the equity, looked at after every instant.",
    )


def _ppm(value: int) -> str:
    return f"{value / 10_000:g} %"


@dataclass(frozen=True)
class RunMeta:
    """What is known of a run besides its event log.

    Attributes:
        run_id: The derived id of the run.
        day: The id of the recorded day.
        kind: ``recorded`` or ``synthetic``.
        mode: ``replay``, ``paper`` or ``live``.
        model: The model's name.
        start_equity_nano: The equity before the first instant, billionths.
        bars: How many bars the feed served.
        wall_seconds: How long the run took, real seconds.
        first_decision_seconds: From the start of the command to the first decision, real seconds; None without one.
        stages: Stage name → process id.
        run_dir: The folder of the run.
        restarts: How many times a stage was started again.
        day_path: The folder of the day, for the report's charts; None leaves the candles out.
        currency: What money is counted in.
        outcome: Empty when the day ended, else why it stopped (``interrupted``).
        conventions: How fills, fees and equity are reckoned.
    """

    run_id: str
    day: str
    kind: str
    mode: str
    model: str
    start_equity_nano: int
    bars: int
    wall_seconds: float
    first_decision_seconds: float | None
    stages: dict[str, int]
    run_dir: Path
    restarts: int = 0
    day_path: Path | None = None
    currency: str = "USD"
    outcome: str = ""
    conventions: tuple[str, ...] = field(default_factory=conventions)


@dataclass(frozen=True)
class Summary:
    """The figures of one run; amounts in billionths."""

    meta: RunMeta
    cycles: int
    intents: int
    approved: int
    denied: dict[str, int]
    dropped: int
    orders: int
    fills: int
    fees_nano: int
    end_equity_nano: int
    max_drawdown: Decimal
    max_drawdown_nano: int
    model_calls: int
    degraded: dict[str, int]
    trace_hash: str

    def as_json(self) -> dict[str, Any]:
        """Return what ``outcry run --json`` prints: money as numbers, see the module."""
        meta = self.meta
        return {
            "run_id": meta.run_id,
            "day": meta.day,
            "kind": meta.kind,
            "mode": meta.mode,
            "model": meta.model,
            "bars": meta.bars,
            "cycles": self.cycles,
            "intents": self.intents,
            "approved": self.approved,
            "denied": dict(self.denied),
            "dropped": self.dropped,
            "orders": self.orders,
            "fills": self.fills,
            "fees": _number(self.fees_nano),
            "start_equity": _number(meta.start_equity_nano),
            "end_equity": _number(self.end_equity_nano),
            "max_drawdown": float(self.max_drawdown),
            "max_drawdown_money": _number(self.max_drawdown_nano),
            "currency": meta.currency,
            "model_calls": self.model_calls,
            "degraded": dict(self.degraded),
            "restarts": meta.restarts,
            "wall_seconds": round(meta.wall_seconds, 3),
            "first_decision_seconds": (
                None if meta.first_decision_seconds is None else round(meta.first_decision_seconds, 3)
            ),
            "stages": dict(meta.stages),
            "outcome": meta.outcome or "done",
            "conventions": list(meta.conventions),
            "trace_hash": self.trace_hash,
            "run_dir": str(meta.run_dir),
        }


def _number(nano: int) -> float:
    return float(round(Decimal(nano) / SCALE, 6))


def money_text(nano: int, places: int = 2) -> str:
    """Return billionths as ``100,012.35``, rounded half to even."""
    return f"{round(from_nano(nano), places):,.{places}f}"


def _counted(reasons: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(reasons).items()))


def summary_of(facts: Facts, meta: RunMeta) -> Summary:
    """Return the figures of facts that are at hand already."""
    drawdown = facts.drawdown(meta.start_equity_nano)
    fraction = Decimal(drawdown.fraction.numerator) / Decimal(drawdown.fraction.denominator)
    degraded: Counter[str] = Counter()
    for (_, reason), count in facts.degraded.items():
        degraded[reason] += count
    return Summary(
        meta=meta,
        cycles=facts.cycles,
        intents=len(facts.intents),
        approved=sum(1 for verdict in facts.verdicts if verdict.approved),
        denied=_counted(verdict.code for verdict in facts.verdicts if not verdict.approved),
        dropped=facts.dropped,
        orders=len(facts.sent),
        fills=len(facts.fills),
        fees_nano=facts.account.fees_nano if facts.account else 0,
        end_equity_nano=facts.account.equity_nano if facts.account else meta.start_equity_nano,
        max_drawdown=round(fraction, 9),
        max_drawdown_nano=drawdown.money_nano,
        model_calls=len(facts.calls),
        degraded=dict(sorted(degraded.items())),
        trace_hash=facts.trace_hash,
    )


def build_summary(run_dir: Path, meta: RunMeta) -> Summary:
    """Return the figures of a run from its event log.

    Args:
        run_dir: The folder of the run; it holds ``trace.sqlite``.
        meta: What the log does not say.

    Raises:
        JournalError: The log is missing or its chain is broken.
    """
    return summary_of(gather(run_dir), meta)


def write_summary(run_dir: Path, summary: Summary) -> Path:
    """Write ``summary.json`` and return its path."""
    path = run_dir / "summary.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(summary.as_json()), indent=2) + b"\n")
    return path


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items(), key=lambda item: -item[1]))


def closing_table(summary: Summary) -> str:
    """Return the figures as plain text for a terminal, with units."""
    meta = summary.meta
    change = summary.end_equity_nano - meta.start_equity_nano
    percent = Decimal(change * 100) / meta.start_equity_nano if meta.start_equity_nano else Decimal(0)
    denied = sum(summary.denied.values())
    first = meta.first_decision_seconds
    dropped = f" ({summary.dropped:,} dropped by sentiment)" if summary.dropped else ""
    why = f" ({_reasons(summary.denied)})" if denied else ""
    until = "" if first is None else f" (first decision after {first:.1f} s)"
    fallen = f"{summary.max_drawdown * 100:.2f} % ({money_text(summary.max_drawdown_nano)} {meta.currency})"
    label = "  *** SYNTHETIC DATA: not a market ***" if meta.kind == "synthetic" else ""
    rows: list[tuple[str, str]] = [
        ("day", f"{meta.day} ({meta.kind}){label}"),
        ("run", f"{meta.run_id}, {meta.mode}, model {meta.model}"),
        ("outcome", meta.outcome or "the day ended"),
        ("bars", f"{meta.bars:,}"),
        ("cycles", f"{summary.cycles:,}"),
        ("intents", f"{summary.intents:,}{dropped}"),
        ("approved", f"{summary.approved:,}"),
        ("denied", f"{denied:,}{why}"),
        ("orders sent", f"{summary.orders:,}"),
        ("fills", f"{summary.fills:,}"),
        ("fees", f"{money_text(summary.fees_nano)} {meta.currency}"),
        ("start equity", f"{money_text(meta.start_equity_nano)} {meta.currency}"),
        ("end equity", f"{money_text(summary.end_equity_nano)} {meta.currency} ({percent:+.2f} %)"),
        ("max drawdown", fallen),
        ("model calls", f"{summary.model_calls:,}"),
        ("held answers", _reasons(summary.degraded) or "none"),
        ("restarts", f"{meta.restarts:,}"),
        ("wall time", f"{meta.wall_seconds:,.1f} s{until}"),
        ("trace", summary.trace_hash),
        ("folder", str(meta.run_dir)),
    ]  # fmt: skip
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {_plain_text(value)}" for name, value in rows)


def _plain_text(text: str) -> str:
    """Drop what could move a terminal's cursor: names of days and models come from outside."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _named(value: object) -> object:
    """Return a message as plain data with field names, so that a query can say ``body->>'$.account.equity_nano'``."""
    match value:
        case msgspec.Struct():
            names = value.__struct_fields__
            return {"type": type(value).__name__, **{name: _named(getattr(value, name)) for name in names}}
        case tuple() | list():
            return [_named(item) for item in value]  # pyright: ignore[reportUnknownVariableType] - any sequence of data
        case bytes():
            return value.hex()
        case _:
            return value


def export_events(run_dir: Path) -> Path:
    """Write the event log as ``events.parquet``: ``seq, now_ns, kind, source, body, chain``, and return its path.

    ``body`` is JSON text with the message's type and field names. The same log gives the same bytes.

    Raises:
        JournalError: The log is missing or its chain is broken.
    """
    import duckdb

    encode = msgspec.json.encode
    path = run_dir / "events.parquet"
    with tempfile.TemporaryDirectory(dir=run_dir, prefix=".export-") as folder:
        lines, made = Path(folder) / "events.ndjson", Path(folder) / "events.parquet"
        with lines.open("wb") as file:
            for record in read_trace(run_dir / "trace.sqlite"):
                row: dict[str, object] = {
                    "seq": record.seq,
                    "now_ns": record.now_ns,
                    "kind": record.kind,
                    "source": record.source,
                    "body": encode(_named(record.message)).decode(),
                    "chain": record.chain,
                }
                file.write(encode(row) + b"\n")
        db = duckdb.connect(config={"threads": 1})
        try:
            db.execute(_COPY.format(made=str(made).replace("'", "''")), [str(lines)])
        finally:
            db.close()
        made.replace(path)
    return path


_COPY = """
COPY (
  SELECT seq, now_ns, kind, source, body, chain FROM read_json(
    ?, format = 'newline_delimited',
    columns = {{seq: 'BIGINT', now_ns: 'BIGINT', kind: 'VARCHAR', source: 'VARCHAR', body: 'VARCHAR', chain: 'VARCHAR'}}
  ) ORDER BY seq
) TO '{made}' (FORMAT parquet, COMPRESSION zstd)
"""
