"""Every verdict is computed again from the journal alone, and told in words."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.errors import ConfigError, JournalError
from bus.messages import RiskAsk, StageRequest
from risk.explain import Explained, explain, recomputed
from risk.limits import StrategyLimits, SymbolLimits, default_limits
from tests.risk.desk import CASH_NANO, RUN, Desk

replace = msgspec.structs.replace


def journal(desk: Desk) -> Path:
    return Path(desk.spec.database)


def rows(desk: Desk) -> list[Explained]:
    return list(recomputed(journal(desk)))


def eventful(desk: Desk) -> None:
    """Have the gate give many different verdicts."""
    desk.buy(150, "100")
    desk.advance()
    desk.judge(
        desk.intent(qty=60), desk.intent(qty=90), desk.intent(side="sell", qty=190, index=2),
        desk.intent(index=3, qty=1), desk.intent(index=4, qty=1), desk.intent(limit="94", index=5),
        desk.intent("NICK", limit="100.03", index=6), desk.intent("NONE", index=7), desk.intent("DEAD", index=8),
        desk.intent("EURO", index=9), desk.intent("HIDE", index=10), desk.intent(qty=0, index=11),
        desk.intent("NICK", limit="99", index=12), desk.intent("NICK", "sell", 1, "98", index=13),
        desk.intent("NICK", order_type="stop", index=14), desk.intent("NICK", reduce_only=True, index=15),
    )  # fmt: skip
    for n, answer in enumerate(desk.judge(desk.intent("GOLD", limit="1290", qty=1, index=20)).orders):
        desk.execution.send(answer, desk.feed.now_ns)
        desk.judge(
            desk.intent("GOLD", limit="1291", qty=1, index=21 + n, replaces=answer.intent.client_order_id),
            desk.intent("GOLD", limit="1291", qty=1, index=22 + n, replaces="oo-none"),
        )
    desk.advance(ACME="85")
    desk.judge(desk.intent(qty=2), desk.intent(side="sell", qty=3, index=1))
    desk.kill("", "test", "reducing")
    desk.judge(desk.intent("NICK", index=2))
    desk.kill()
    desk.judge(desk.intent(index=3))
    desk.ask(StageRequest(RUN, "mallory", desk.cycle, desk.feed.now_ns, RiskAsk((desk.intent(index=4),))))


@pytest.mark.requirement("risk:journal:recompute")
@pytest.mark.parametrize("limited", [False, True])
def test_every_verdict_is_computed_again_from_the_journal(tmp_path: Path, limited: bool) -> None:
    strategies = {"test": StrategyLimits(max_symbols=3, max_open_orders=9)} if limited else {}
    symbols = {"ACME": SymbolLimits(collar_bps=450)} if limited else {}
    desk = Desk(tmp_path, strategies=strategies, symbols=symbols)
    desk.settle()
    eventful(desk)
    told = rows(desk)
    codes = {each.verdict.code for each in told}
    assert len(codes) >= 14, sorted(codes)
    assert [each.recomputed for each in told if each.inputs and each.verdict.code != "order_id_reused"] == [
        each.verdict.code for each in told if each.inputs and each.verdict.code != "order_id_reused"
    ]
    assert all(each.agrees for each in told)
    assert sum(bool(each.recomputed) for each in told) >= len(told) - 3


@pytest.mark.requirement("risk:explain")
def test_an_explanation_has_every_verdict_on_the_order_and_what_it_came_from_in_words(desk: Desk) -> None:
    intent = desk.intent(qty=150)
    desk.judge(intent)
    desk.judge(replace(intent, qty_nano=1))
    desk.kill()
    desk.judge(intent)
    told = explain(journal(desk), intent.client_order_id)
    assert told.client_order_id == intent.client_order_id
    assert [each.verdict.code for each in told.verdicts] == ["approved", "order_id_reused", "kill_switch"]
    first = told.verdicts[0]
    assert first.recomputed == "approved"
    assert first.client == "alice"
    assert first.intent == intent
    assert all(each.meaning for each in told.verdicts)
    said = {each.words: each.value for each in first.inputs}
    assert said["equity"] == "100,000"
    assert said["symbol: reference"] == "100"
    assert said["now"].startswith("2013-")
    assert said["halted"] == "no"


@pytest.mark.requirement("risk:explain")
def test_an_explanation_is_given_while_the_gate_runs_and_when_it_does_not(desk: Desk) -> None:
    intent = desk.intent()
    desk.judge(intent)
    running = explain(journal(desk), intent.client_order_id)
    desk.gate.close()
    assert explain(journal(desk), intent.client_order_id) == running


@pytest.mark.requirement("risk:explain")
def test_verdicts_under_earlier_limits_are_computed_again_with_those(desk: Desk) -> None:
    desk.judge(desk.intent(qty=150))
    client = desk.spec.clients[0]
    tighter = replace(client.limits, max_order_qty_nano=100 * 10**9)
    desk.spec = replace(desk.spec, clients=(replace(client, limits=tighter),))
    desk.gate.close()
    desk.start()
    desk.settle()
    desk.judge(desk.intent("NICK", qty=150, index=1))
    told = rows(desk)
    assert [each.recomputed for each in told] == ["approved", "quantity"]
    assert told[0].verdict.limits_version != told[1].verdict.limits_version


@pytest.mark.requirement("risk:explain")
def test_a_verdict_that_does_not_follow_from_its_inputs_is_told_apart(desk: Desk) -> None:
    desk.judge(desk.intent(qty=150))
    entry = next(iter(desk.gate._journal.read()))  # pyright: ignore[reportPrivateUsage] # to write a lie with its own digest
    lie = replace(entry, inputs=entry.inputs | {"symbol.reference_nano": 0, "symbol.priced": "no_price"}, final=False)
    desk.gate._journal.write([lie])  # pyright: ignore[reportPrivateUsage] # as above
    told = rows(desk)
    assert [(each.recomputed, each.agrees) for each in told] == [("approved", True), ("no_price", False)]


@pytest.mark.requirement("risk:explain")
def test_what_is_not_there_or_damaged_is_refused_with_what_to_do(desk: Desk) -> None:
    desk.judge(desk.intent())
    with pytest.raises(ConfigError, match="outcry orders"):
        explain(journal(desk), "oo-none")
    with pytest.raises(ConfigError, match="name a run"):
        explain(desk.folder / "none.sqlite", "oo-none")
    with closing(sqlite3.connect(journal(desk))) as db:
        db.execute("UPDATE verdicts SET record = zeroblob(100)")
        db.commit()
    with pytest.raises(JournalError, match="damaged"):
        explain(journal(desk), desk.intent().client_order_id)
    (desk.folder / "other.sqlite").write_bytes(b"nothing of the kind" * 500)
    with pytest.raises(JournalError, match="cannot be read"):
        explain(desk.folder / "other.sqlite", "oo-none")


@pytest.mark.requirement("risk:journal:recompute")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    orders=st.lists(
        st.tuples(
            st.sampled_from(["ACME", "NICK", "EURO", "GOLD", "NOPE"]),
            st.sampled_from(["buy", "sell"]),
            st.integers(-1, 260),
            st.sampled_from(["0", "95", "99", "100", "104.95", "105.05"]),
            st.sampled_from(["one", "two"]),
            st.integers(0, 90),
        ),
        min_size=1,
        max_size=25,
    )
)
def test_whatever_was_asked_its_verdict_follows_from_its_inputs(
    tmp_path_factory: pytest.TempPathFactory, orders: list[tuple[str, str, int, str, str, int]]
) -> None:
    limits = replace(default_limits(CASH_NANO), max_open_orders=6, max_repeats=3, max_orders_per_minute=8)
    desk = Desk(tmp_path_factory.mktemp("gate"), limits, strategies={"one": StrategyLimits(max_symbols=2)})
    desk.settle()
    for n, (symbol, side, qty, limit, strategy, seconds) in enumerate(orders):
        answer = desk.judge(desk.intent(symbol, side, qty, limit, index=n, strategy=strategy))  # pyright: ignore[reportArgumentType] # texts
        for order in answer.orders:
            desk.execution.send(order, desk.feed.now_ns)
            if n % 2:
                desk.execution.step(order.intent.client_order_id, "fill", "filled", desk.feed.now_ns, qty, "100", "1")
        if seconds > 60:
            desk.advance(seconds * 10**9)
    told = rows(desk)
    assert [each.recomputed for each in told] == [each.verdict.code for each in told]
    desk.close()
    Desk.made.remove(desk)
