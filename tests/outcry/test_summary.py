"""The figures of a run that was counted by hand."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import duckdb
import pytest
from msgspec.structs import replace

from bus.errors import JournalError
from bus.fixed import to_nano
from execution.spec import FeeSchedule, FillModelSpec
from outcry._facts import Facts, gather
from outcry.summary import build_summary, closing_table, conventions, export_events, write_summary
from tests.outcry.made_run import START, MadeRun, intent, meta, small_run

KEYS = {
    "run_id", "day", "kind", "mode", "model", "bars", "cycles", "intents", "approved", "denied", "orders", "fills",
    "fees", "start_equity", "end_equity", "max_drawdown", "model_calls", "wall_seconds", "first_decision_seconds",
    "stages", "trace_hash", "run_dir", "dropped", "degraded", "restarts", "conventions", "max_drawdown_money",
    "currency", "outcome",
}  # fmt: skip


@pytest.mark.requirement("summary:figures")
def test_every_figure_is_what_the_event_log_says(tmp_path: Path) -> None:
    chain = small_run(tmp_path)
    told = build_summary(tmp_path, meta(tmp_path)).as_json()
    assert set(told) == KEYS
    counted = {
        "bars": 240, "cycles": 3, "intents": 4, "approved": 2, "denied": {"max_position": 1}, "dropped": 1,
        "orders": 2, "fills": 2, "fees": 1.5055, "start_equity": 100_000.0, "end_equity": 100_250.125,
        "max_drawdown": 0.01, "max_drawdown_money": 1005.0, "model_calls": 6, "degraded": {"model_down": 2},
        "restarts": 1, "trace_hash": chain, "first_decision_seconds": 1.5, "stages": {"feed": 11, "risk": 12},
        "outcome": "done",
    }  # fmt: skip
    assert {key: told[key] for key in counted} == counted
    assert told["intents"] == told["approved"] + sum(told["denied"].values()) + told["dropped"]


@pytest.mark.requirement("summary:figures")
def test_an_event_that_is_told_twice_is_counted_once(tmp_path: Path) -> None:
    run = MadeRun(tmp_path)
    run.minute = 5
    buy = intent(1, 0, "buy", 1)
    sent, done = run.event("sent", "in_flight", buy), run.fill(buy, "100", "1")
    run.instant(5, "100000", events=(sent, done))
    run.instant(6, "100000", events=(sent, done))
    run.trace.close()
    told = build_summary(tmp_path, meta(tmp_path))
    assert (told.orders, told.fills) == (1, 1)


@pytest.mark.requirement("summary:figures")
def test_a_run_without_an_instant_ends_where_it_started(tmp_path: Path) -> None:
    MadeRun(tmp_path).trace.close()
    told = build_summary(tmp_path, meta(tmp_path, outcome="interrupted", first_decision_seconds=None)).as_json()
    assert told["end_equity"] == told["start_equity"] == 100_000
    assert (told["cycles"], told["max_drawdown"], told["trace_hash"]) == (0, 0, "0" * 64)
    assert (told["outcome"], told["first_decision_seconds"]) == ("interrupted", None)


@pytest.mark.requirement("summary:drawdown")
@pytest.mark.parametrize(
    ("equity", "fraction", "money"),
    [
        (["100000", "100001"], "0", "0"),
        (["99000"], "1/100", "1000"),
        (["110000", "99000", "200000", "190000"], "1/10", "11000"),
        (["101000", "100000", "100990", "99990"], "1/100", "1010"),
    ],
)
def test_the_drawdown_is_the_deepest_fall_from_a_peak(equity: list[str], fraction: str, money: str) -> None:
    facts = Facts(equity=[(index, to_nano(value)) for index, value in enumerate(equity)])
    found = facts.drawdown(START)
    assert str(found.fraction) == fraction
    assert found.money_nano == to_nano(money)


@pytest.mark.requirement("summary:altered")
def test_an_event_log_that_was_altered_gives_no_figures(tmp_path: Path) -> None:
    small_run(tmp_path)
    db = sqlite3.connect(tmp_path / "trace.sqlite")
    db.execute("UPDATE records SET now_ns = now_ns + 1 WHERE seq = 9")
    db.commit()
    db.close()
    with pytest.raises(JournalError, match="record 9"):
        build_summary(tmp_path, meta(tmp_path))


@pytest.mark.requirement("summary:file")
def test_the_summary_file_is_the_printed_object(tmp_path: Path) -> None:
    small_run(tmp_path)
    summary = build_summary(tmp_path, meta(tmp_path))
    path = write_summary(tmp_path, summary)
    assert json.loads(path.read_text(encoding="utf-8")) == summary.as_json()


@pytest.mark.requirement("summary:table")
def test_the_closing_table_has_units_separators_and_the_synthetic_label(tmp_path: Path) -> None:
    small_run(tmp_path)
    told = closing_table(build_summary(tmp_path, meta(tmp_path)))
    assert "SYNTHETIC DATA" in told
    assert "100,250.12 USD (+0.25 %)" in told
    assert "1.00 % (1,005.00 USD)" in told
    assert "1 (max_position 1)" in told
    recorded = closing_table(build_summary(tmp_path, meta(tmp_path, kind="recorded")))
    assert "SYNTHETIC" not in recorded


@pytest.mark.requirement("summary:table")
def test_a_name_cannot_move_the_cursor_of_the_terminal(tmp_path: Path) -> None:
    small_run(tmp_path)
    assert "\x1b" not in closing_table(build_summary(tmp_path, meta(tmp_path, day="a\x1b[2Jb", model="m\rn")))


@pytest.mark.requirement("summary:events")
def test_the_exported_events_are_the_log_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    chain = small_run(tmp_path)
    path = export_events(tmp_path)
    first = path.read_bytes()
    with duckdb.connect() as db:
        columns = [row[0] for row in db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()]
        query = "SELECT count(*), min(seq), max(seq), last(chain ORDER BY seq) FROM read_parquet(?)"
        count, low, high, last = db.execute(query, [str(path)]).fetchall()[0]
        query = (
            "SELECT max(body->>'$.account.equity_nano'), any_value(body->>'$.type') "
            "FROM read_parquet(?) WHERE kind = 'settled' AND seq = high"
        ).replace("high", "(SELECT max(seq) FROM read_parquet(?) WHERE kind = 'settled')")
        equity, kind = db.execute(query, [str(path), str(path)]).fetchall()[0]
    assert columns == ["seq", "now_ns", "kind", "source", "body", "chain"]
    assert (count, low, high, last) == (high, 1, count, chain)
    assert (int(equity), kind) == (to_nano("100250.125"), "Settled")
    assert export_events(tmp_path).read_bytes() == first
    assert not list(tmp_path.glob(".export-*"))


@pytest.mark.requirement("summary:conventions")
def test_the_conventions_carry_the_numbers_of_the_run() -> None:
    told = " ".join(conventions(FillModelSpec(latency_ns=20_000_000, participation_ppm=70_000), FeeSchedule(fx_ppm=30)))
    for sentence in ("20 ms", "next bar", "spread of 0.01 %", "Slippage of 0.005 %", "7 % of its volume", "FX 0.003 %",
                     "0.005 a share", "last close"):  # fmt: skip
        assert sentence in told, sentence


@pytest.mark.requirement("summary:figures")
def test_refusals_outside_the_sequence_are_each_counted(tmp_path: Path) -> None:
    run = MadeRun(tmp_path)
    run.minute = 5
    refused = replace(run.event("rejected", "rejected", intent(1, 0, "buy", 1), "ticket: expired"), seq=0)
    run.instant(5, "100000", events=(refused, refused))
    run.trace.close()
    facts = gather(tmp_path)
    assert facts.rejected == {"rejected: ticket: expired": 2}
