"""The judge against a slow one that was written apart from it, with fractions, from the notes and not from the code."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.fixed import SCALE
from bus.messages import OrderIntent, Side
from tests.risk.core import Core, limits

CASH = 100_000
PRICE = {"ACME": Fraction(100), "NICK": Fraction(100), "GOLD": Fraction(1_000)}
TIMES = {"ACME": 1, "NICK": 1, "GOLD": 10}
TICK = {"ACME": Fraction(1, 100), "NICK": Fraction(5, 100), "GOLD": Fraction(1, 10)}
BOUNDS = st.sampled_from([500, 1_000, 1_010, 2_000, 5_000, 10_000, 10_500, 20_000, 50_000])


class Slow:
    """Positions and working orders as lists, everything added up anew for every question."""

    def __init__(self, own: dict[str, Fraction]) -> None:
        self.own = own
        self.held = dict.fromkeys(PRICE, Fraction(0))
        self.working: list[tuple[str, str, Fraction, Fraction | None]] = []
        self.seen: list[tuple[Any, ...]] = []

    def sides(self, symbol: str, extra: tuple[str, str, Fraction, Fraction | None] | None) -> tuple[Fraction, Fraction]:
        """The position if all buys fill, and the negative one if all sells do."""
        orders = [*self.working, *([extra] if extra else [])]
        buys = sum((o[2] for o in orders if o[0] == symbol and o[1] == "buy"), Fraction(0))
        sells = sum((o[2] for o in orders if o[0] == symbol and o[1] == "sell"), Fraction(0))
        return self.held[symbol] + buys, sells - self.held[symbol]

    def verdict(self, symbol: str, side: str, qty: Fraction, limit: Fraction) -> str:
        own, reference = self.own, PRICE[symbol]
        order = symbol, side, qty, limit or None
        if qty <= 0 or qty.denominator != 1:
            return "quantity"
        if limit and (limit < 0 or (limit / TICK[symbol]).denominator != 1):
            return "limit_price"
        if limit and abs(limit - reference) > reference * own["collar"]:
            return "price_collar"
        price = max(limit, reference) if limit else reference * (1 + own["collar"])
        unit = price * TIMES[symbol]
        if unit * qty > own["order"]:
            return "order_notional"
        up, down = self.sides(symbol, order)
        reduces = (up if side == "buy" else down) <= 0
        others = [o for o in self.working if o[0] == symbol and o[1] != side]
        for _, _, _, theirs in others:
            if not limit or theirs is None or (limit >= theirs if side == "buy" else limit <= theirs):
                return "self_trade"
        return self.again(order) if reduces else self.money(order, unit, up, down)

    def money(
        self, order: tuple[str, str, Fraction, Fraction | None], unit: Fraction, up: Fraction, down: Fraction
    ) -> str:
        own, (symbol, side, _, _) = self.own, order
        worst, gross, net = unit * max(up, down), Fraction(0), Fraction(0)
        for each in PRICE:
            a, b = self.sides(each, None)
            if each != symbol:
                gross += max(a, b) * PRICE[each] * TIMES[each]
                net += (a if side == "buy" else b) * PRICE[each] * TIMES[each]
        if worst > own["position"]:
            return "position_limit"
        gross += worst
        if gross > own["gross"]:
            return "gross_limit"
        if gross > CASH:
            return "buying_power"
        if net + unit * (up if side == "buy" else down) > own["net"]:
            return "net_limit"
        return self.again(order)

    def again(self, order: tuple[Any, ...]) -> str:
        return "duplicate" if order in self.seen else "approved"


@pytest.mark.requirement("gate:reference")
@settings(max_examples=250, deadline=None)
@given(
    st.fixed_dictionaries({"order": BOUNDS, "position": BOUNDS, "gross": BOUNDS, "net": BOUNDS}),
    st.sampled_from([100, 500]),
    st.lists(
        st.tuples(
            st.sampled_from(sorted(PRICE)),
            st.sampled_from(["buy", "sell"]),
            st.one_of(st.integers(1, 60), st.sampled_from([Fraction(1, 2), Fraction(-3), Fraction(0)])),
            st.sampled_from([0, 0, -100, -99, 1, 2, 99, 100, 101, 499, 500, 501, 33, 3]),
            st.sampled_from(["fill", "keep", "keep", "cancel"]),
        ),
        max_size=12,
    ),
)
def test_the_verdict_is_the_one_of_a_slow_judge_that_was_written_apart(
    bounds: dict[str, int], collar: int, steps: list[tuple[str, Side, int | Fraction, int, str]]
) -> None:
    core = Core(
        limits(
            max_order_notional_nano=bounds["order"] * SCALE, max_position_notional_nano=bounds["position"] * SCALE,
            max_gross_nano=bounds["gross"] * SCALE, max_net_nano=bounds["net"] * SCALE, collar_bps=collar,
        )
    )  # fmt: skip
    slow = Slow({**{key: Fraction(value) for key, value in bounds.items()}, "collar": Fraction(collar, 10_000)})
    for symbol, side, qty, bps, then in steps:
        limit = PRICE[symbol] * (10_000 + bps) / 10_000 if bps else Fraction(0)
        intent: OrderIntent = core.intent(
            symbol, side, qty_nano=int(qty * SCALE), limit_price_nano=int(limit * SCALE),
            order_type="limit" if limit else "market",
        )  # fmt: skip
        expected = slow.verdict(symbol, side, Fraction(qty), limit)
        assert core.code(intent) == expected
        if expected != "approved":
            continue
        core.approve(intent)
        order = symbol, side, Fraction(qty), limit or None
        slow.seen.append(order)
        slow.working.append(order)
        if then == "keep":
            continue
        slow.working.remove(order)
        if then == "cancel":
            core.tell(intent, "canceled")
            continue
        slow.held[symbol] += qty if side == "buy" else -qty
        core.fill(intent, PRICE[symbol].numerator)
