"""Every control at its boundary, and every order that another gate let through."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.clock import NS
from bus.fixed import SCALE, to_nano
from bus.messages import OrderIntent, Verdicts
from risk.controls import CONTROLS
from risk.limits import Limits, default_limits
from risk.reasons import APPROVED, REASONS
from risk.words import explained
from tests.risk.core import Core
from tests.risk.desk import CASH_NANO, MINUTE_NS, Desk, verdicts


def limited(folder: Path, **tighter: object) -> Desk:
    limits: Limits = msgspec.structs.replace(default_limits(CASH_NANO), **tighter)
    desk = Desk(folder, limits)
    desk.settle()
    return desk


@pytest.mark.requirement("risk:check:boundary")
@pytest.mark.parametrize(
    ("good", "bad", "code"),
    [
        ({"qty": 1}, {"qty": 0}, "quantity"),
        ({"qty": 1}, {"qty": -1}, "quantity"),
        ({"qty": 2}, {"qty": "1.5"}, "quantity"),
        ({"limit": "100.01"}, {"limit": "100.005"}, "limit_price"),
        ({"limit": "99"}, {"order_type": "limit"}, "limit_price"),
        ({"limit": "99"}, {"limit": "-99"}, "limit_price"),
        ({}, {"limit": "99", "order_type": "market"}, "limit_price"),
        ({"limit": "105"}, {"limit": "105.01"}, "price_collar"),
        ({"limit": "95"}, {"limit": "94.99"}, "price_collar"),
        ({"limit": "95", "side": "sell"}, {"limit": "94.99", "side": "sell"}, "price_collar"),
        ({"qty": 190}, {"qty": 191}, "order_notional"),
        ({"qty": 200, "limit": "100"}, {"qty": 201, "limit": "100"}, "order_notional"),
        ({"qty": 200, "limit": "99"}, {"qty": 201, "limit": "99"}, "order_notional"),
        ({}, {"symbol": "NONE"}, "unknown_symbol"),
        ({}, {"symbol": "DEAD"}, "not_tradable"),
        ({}, {"symbol": "HIDE"}, "symbol_not_allowed"),
        ({}, {"symbol": "EURO"}, "currency"),
        ({"symbol": "GOLD", "qty": 1}, {"symbol": "GOLD", "qty": 2}, "order_notional"),
        ({}, {"client": "mallory"}, "wrong_client"),
        ({}, {"run_id": "run-2"}, "wrong_client"),
        ({}, {"cycle": 2}, "clock_mismatch"),
        ({}, {"decided_ns": 1}, "clock_mismatch"),
        ({}, {"client_order_id": "oo-forged"}, "order_id_not_derived"),
    ],
)
def test_an_order_at_the_boundary_passes_and_the_one_beyond_is_denied(
    desk: Desk, good: dict[str, object], bad: dict[str, object], code: str
) -> None:
    if good.get("symbol") == "GOLD":
        desk.advance(GOLD="1500")
    assert desk.code(desk.intent(**bad, index=1)) == code  # pyright: ignore[reportArgumentType] - table of keywords
    assert desk.code(desk.intent(**good, index=2)) == "approved"  # pyright: ignore[reportArgumentType] - as above


@pytest.mark.requirement("risk:check:boundary")
def test_the_quantity_limit_is_inclusive(tmp_path: Path) -> None:
    desk = limited(tmp_path, max_order_qty_nano=10 * SCALE)
    assert desk.code(desk.intent(qty=11, index=1)) == "quantity"
    assert desk.code(desk.intent(qty=10, index=2)) == "approved"


@pytest.mark.requirement("risk:check:boundary")
def test_only_listed_symbols_pass_when_there_is_a_list(tmp_path: Path) -> None:
    desk = limited(tmp_path, symbols=("NICK", "TYPO"))
    assert desk.code(desk.intent("ACME")) == "symbol_not_allowed"
    assert desk.code(desk.intent("NICK", index=1)) == "approved"


@pytest.mark.requirement("risk:check:boundary")
def test_the_position_limit_counts_what_is_held_and_what_works(desk: Desk) -> None:
    desk.buy(100, "100")
    desk.advance()
    first, fits, beyond = (desk.intent(qty=q, limit="100", index=n) for n, q in enumerate((100, 50, 51)))
    assert desk.code(first) == "approved"
    assert desk.code(beyond) == "position_limit"
    assert desk.code(fits) == "approved"


@pytest.mark.requirement("risk:check:boundary")
def test_gross_exposure_adds_up_over_symbols_and_sides(tmp_path: Path) -> None:
    desk = limited(tmp_path, max_gross_nano=30_000 * SCALE)
    assert desk.code(desk.intent("ACME", "buy", 200, "100")) == "approved"
    assert desk.code(desk.intent("NICK", "sell", 101, "100", index=1)) == "gross_limit"
    assert desk.code(desk.intent("NICK", "sell", 100, "100", index=2)) == "approved"


@pytest.mark.requirement("risk:check:boundary")
def test_buying_power_is_the_equity(tmp_path: Path) -> None:
    desk = limited(
        tmp_path,
        max_gross_nano=10 * CASH_NANO,
        max_position_notional_nano=2 * CASH_NANO,
        max_order_notional_nano=2 * CASH_NANO,
    )
    assert desk.code(desk.intent(qty=1001, limit="100", index=1)) == "buying_power"
    assert desk.code(desk.intent(qty=1000, limit="100", index=2)) == "approved"


@pytest.mark.requirement("risk:check:boundary")
def test_the_rate_counts_approvals_of_sixty_seconds_of_the_feeds_clock(tmp_path: Path) -> None:
    desk = limited(tmp_path, max_orders_per_minute=2)
    assert desk.code(desk.intent(qty=0, index=9)) == "quantity"
    assert [v.code for v in desk.judge(*(desk.intent(qty=n + 1, index=n) for n in range(3))).verdicts] == [
        "approved", "approved", "order_rate",
    ]  # fmt: skip
    desk.advance(MINUTE_NS - 1)
    assert desk.code(desk.intent(qty=9)) == "order_rate"
    desk.advance(1)
    assert desk.code(desk.intent(qty=9)) == "approved"


@pytest.mark.requirement("risk:check:boundary")
def test_open_orders_are_counted_until_they_end(tmp_path: Path) -> None:
    desk = limited(tmp_path, max_open_orders=1)
    answer = desk.judge(desk.intent(qty=1), desk.intent(qty=2, index=1))
    assert [v.code for v in answer.verdicts] == ["approved", "open_orders"]
    desk.execution.send(answer.orders[0], desk.feed.now_ns)
    desk.execution.step(answer.orders[0].intent.client_order_id, "canceled", "canceled", desk.feed.now_ns)
    desk.advance()
    assert desk.code(desk.intent(qty=2)) == "approved"


@pytest.mark.requirement("risk:check:boundary")
def test_the_same_content_is_a_duplicate_inside_the_window_only(desk: Desk) -> None:
    assert [v.code for v in desk.judge(desk.intent(), desk.intent(index=1)).verdicts] == ["approved", "duplicate"]
    desk.advance(MINUTE_NS - 1)
    assert desk.code(desk.intent()) == "duplicate"
    desk.advance(1)
    assert desk.code(desk.intent()) == "approved"


@pytest.mark.requirement("risk:check:input")
def test_a_price_may_be_as_old_as_the_limit_and_no_older(desk: Desk) -> None:
    limit_ns = desk.limits.max_price_age_ns
    desk.feed.bar("ACME", "100", desk.feed.now_ns)
    desk.feed.now_ns += limit_ns
    desk.settle()
    assert desk.code(desk.intent()) == "approved"
    desk.feed.now_ns += 1
    desk.cycle += 1
    desk.settle()
    assert desk.code(desk.intent()) == "stale_price"


@pytest.mark.requirement("risk:check:input")
@pytest.mark.parametrize(
    ("bid", "ask", "code"),
    [
        ("99", "101", "approved"),
        ("100", "100", "approved"),
        ("101", "99", "crossed_price"),
        ("0", "101", "approved"),  # one side only says nothing: the bar is the reference
        ("101", "0", "approved"),
        ("50", "52", "price_collar"),  # the quote is newer than the bar, and 100 is far from it
    ],
)
def test_a_quote_is_the_reference_when_it_has_two_sides_and_is_not_crossed(
    desk: Desk, bid: str, ask: str, code: str
) -> None:
    desk.feed.now_ns += MINUTE_NS
    desk.feed.quote("ACME", bid, ask)
    desk.cycle += 1
    desk.settle()
    assert desk.code(desk.intent(limit="100")) == code


@pytest.mark.requirement("risk:check:input")
@pytest.mark.parametrize(("price", "code"), [(None, "no_price"), ("0", "no_price"), ("-5", "no_price")])
def test_no_price_is_a_denial(desk: Desk, price: str | None, code: str) -> None:
    del desk.feed.bars["ACME"]
    if price is not None:
        desk.feed.bar("ACME", price)
    desk.advance()
    assert desk.code(desk.intent()) == code


@pytest.mark.requirement("risk:check:input")
def test_a_price_from_after_the_clock_is_no_price(desk: Desk) -> None:
    desk.feed.now_ns += MINUTE_NS
    desk.feed.bar("ACME", "100", desk.feed.now_ns + 1)
    desk.cycle += 1
    desk.settle()
    assert desk.code(desk.intent()) == "stale_price"


@pytest.mark.requirement("risk:check:input")
def test_a_held_symbol_without_a_price_stops_everything_but_getting_out(desk: Desk) -> None:
    desk.buy(50, "100")
    desk.advance()
    del desk.feed.bars["ACME"]
    desk.advance()
    assert desk.code(desk.intent("NICK")) == "equity_unknown"
    assert desk.code(desk.intent("ACME", "sell", index=1)) == "no_price"


# --- what got past others (notes on risk, section 1b) -----------------------------------------------------------------


@pytest.mark.requirement("risk:check:peers")
def test_orders_over_the_notional_limit_are_denied_for_every_kind_of_order(desk: Desk) -> None:
    for index, side in enumerate(("buy", "sell")):
        assert desk.code(desk.intent(side=side, qty=1000, index=index)) == "order_notional"
        assert desk.code(desk.intent(side=side, qty=1000, limit="100", index=index + 2)) == "order_notional"


@pytest.mark.requirement("risk:check:peers")
def test_before_the_gate_knows_an_account_and_a_clock_nothing_passes(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.code(desk.intent()) == "clock_mismatch"


@pytest.mark.requirement("risk:check:peers")
def test_a_market_order_without_market_data_is_denied(desk: Desk) -> None:
    desk.feed.bars.clear()
    desk.advance()
    assert desk.code(desk.intent(qty=1_000)) == "no_price"


@pytest.mark.requirement("risk:check:peers")
def test_a_tick_of_five_cents_refuses_a_price_of_ten_and_three_cents(desk: Desk) -> None:
    desk.advance(NICK="10")
    assert desk.code(desk.intent("NICK", limit="10.03")) == "limit_price"
    assert desk.code(desk.intent("NICK", limit="10.05", index=1)) == "approved"


@pytest.mark.requirement("risk:check:peers")
def test_a_price_a_hundred_times_the_market_is_outside_the_collar(desk: Desk) -> None:
    assert desk.code(desk.intent(qty=1, limit="10000")) == "price_collar"


@pytest.mark.requirement("risk:loss:halt")
@pytest.mark.requirement("risk:check:peers")
def test_after_the_daily_loss_only_reductions_pass_and_a_flip_is_none(desk: Desk) -> None:
    desk.buy(150, "100")
    desk.advance()
    desk.advance(ACME="86.67")
    assert desk.code(desk.intent("NICK", qty=1)) == "approved"
    halted = desk.advance(ACME="86.66")
    assert halted.daily_loss_nano == to_nano("2001")
    assert desk.code(desk.intent("NICK", index=1)) == "daily_loss"  # a flat book: an opening order
    assert desk.code(desk.intent("ACME", "buy", 1, index=2)) == "daily_loss"
    assert desk.code(desk.intent("ACME", "sell", 151, index=3)) == "daily_loss"  # a flip
    assert desk.code(desk.intent("ACME", "sell", 100, index=4)) == "approved"
    assert desk.code(desk.intent("ACME", "sell", 51, index=5)) == "daily_loss"  # with what works: a flip
    assert desk.code(desk.intent("ACME", "sell", 50, index=6)) == "approved"


@pytest.mark.requirement("risk:loss:halt")
def test_the_loss_limit_itself_halts_and_a_cent_less_does_not(desk: Desk) -> None:
    desk.buy(100, "100")
    desk.advance()
    assert desk.advance(ACME="80.01").daily_loss_nano == to_nano("1999")
    assert desk.code(desk.intent("NICK")) == "approved"
    assert desk.advance(ACME="80").daily_loss_nano == desk.limits.max_daily_loss_nano
    assert desk.code(desk.intent("NICK", qty=11)) == "daily_loss"


@pytest.mark.requirement("risk:loss:halt")
def test_a_halt_outlasts_a_recovery_and_a_restart_and_ends_with_the_day(desk: Desk) -> None:
    desk.buy(150, "100")
    desk.advance()
    desk.advance(ACME="80")
    desk.advance(ACME="100")
    assert desk.code(desk.intent("NICK")) == "daily_loss"
    desk.start()
    desk.advance()
    assert desk.code(desk.intent("NICK")) == "daily_loss"
    desk.feed.day_id = "day-2"
    desk.advance(86_400 * NS)
    assert desk.code(desk.intent("NICK")) == "approved"


@pytest.mark.requirement("risk:loss:halt")
def test_on_daily_bars_each_date_is_a_day(desk: Desk) -> None:
    desk.feed.bar_s = 86_400
    desk.advance(86_400 * NS)
    desk.buy(150, "100")
    desk.advance(86_400 * NS)
    desk.advance(86_400 * NS, ACME="90")
    assert desk.advance(86_400 * NS, ACME="80").daily_loss_nano == 1_500 * SCALE


# --- how it says no ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("risk:check:teaches")
def test_a_denial_names_the_value_and_the_next_step(desk: Desk) -> None:
    (verdict,) = desk.judge(desk.intent(qty=191)).verdicts
    assert verdict.message == "the order is worth up to 20,055 USD; at most 20,000: ask for less"


@pytest.mark.requirement("risk:check:teaches")
@pytest.mark.requirement("gate:controls")
def test_every_code_that_the_source_gives_has_a_sentence_a_control_and_words() -> None:
    folder = Path(__file__).parents[2] / "risk"
    names = ("checks", "standing", "_special", "_terms", "judging")
    source = "".join((folder / f"{name}.py").read_text(encoding="utf-8") for name in names)
    assert set(CONTROLS) == set(REASONS) - {APPROVED}
    core = Core()
    for code, sentence in REASONS.items():
        assert f'"{code}"' in source or code == "approved", f"nothing gives {code}"
        assert sentence.endswith(".")
        assert len(explained(code, core.intent(), core.client.facts)) > 20
    requirements = (Path(__file__).parent / "requirements.py").read_text(encoding="utf-8")
    for control in CONTROLS.values():
        assert control.requirement.startswith("gate:") or f'"{control.requirement}"' in requirements


@pytest.mark.requirement("risk:check:teaches")
def test_words_are_found_whatever_an_intent_carries() -> None:
    core = Core()
    for code in REASONS:
        for broken in (core.intent("NONE"), core.intent(side="odd"), core.intent(qty_nano=None)):  # pyright: ignore[reportArgumentType] - broken on purpose
            assert len(explained(code, broken, core.client.facts)) > 20


INT = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-1000 * SCALE, 1000 * SCALE)


@pytest.mark.requirement("risk:check:hostile")
@settings(max_examples=200, deadline=None)
@given(
    symbol=st.one_of(st.sampled_from(["ACME", "NICK", "GOLD", ""]), st.text(max_size=50)),
    qty=st.one_of(INT, SMALL, st.integers(0, 300).map(lambda n: n * SCALE)),
    limit=st.one_of(st.just(0), INT, SMALL),
    kind=st.sampled_from(["market", "limit"]),
    side=st.sampled_from(["buy", "sell"]),
    cycle=st.one_of(st.just(1), INT),
    index=INT,
    decided=st.one_of(st.none(), INT),
    order_id=st.one_of(st.none(), st.text(max_size=30)),
    reason=st.text(max_size=30),
)
def test_whatever_an_intent_says_the_answer_is_a_verdict(
    tmp_path_factory: pytest.TempPathFactory, symbol: str, qty: int, limit: int, kind: str, side: str, cycle: int,
    index: int, decided: int | None, order_id: str | None, reason: str,
) -> None:  # fmt: skip
    desk = Desk(tmp_path_factory.mktemp("gate"))
    desk.settle()
    desk.cycle = cycle
    intent = desk.intent(index=index)
    changes: dict[str, object] = {
        "symbol": symbol, "qty_nano": qty, "limit_price_nano": limit, "order_type": kind, "side": side,
        "reason": reason,
    }  # fmt: skip
    changes |= {} if decided is None else {"decided_ns": decided}
    changes |= {} if order_id is None else {"client_order_id": order_id}
    made: OrderIntent = msgspec.structs.replace(intent, **changes)
    answer: Verdicts = verdicts(desk.ask(desk.request(made)))
    assert len(answer.verdicts) == 1
    assert answer.verdicts[0].code in REASONS
    assert answer.verdicts[0].code not in {"check_failed", "journal_unavailable", "feed_unavailable"}
    assert len(answer.orders) == int(answer.verdicts[0].approved)
