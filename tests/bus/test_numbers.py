"""Fixed-point numbers, derived ids, the clock's text, and the benchmark's arithmetic."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench._measure import interleaved, percentile, pinned, result
from bench.bus import run
from bus.clock import iso
from bus.errors import BadNumberError
from bus.fixed import SCALE, from_nano, notional_nano, round_to_step, to_nano
from bus.ids import client_order_id, derived_id, digest, seeded

NANO = st.integers(-(2**63) + 1, 2**63 - 1)
PART = st.one_of(st.text(), st.integers(), st.binary())


@pytest.mark.requirement("bus:fixed")
@given(NANO)
def test_billionths_survive_the_way_through_decimal_and_text(nano: int) -> None:
    assert to_nano(from_nano(nano)) == nano
    assert to_nano(format(from_nano(nano), "f")) == nano


@pytest.mark.requirement("bus:fixed")
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=12))
def test_a_number_is_rounded_to_the_nearest_billionth(value: Decimal) -> None:
    assert abs(Decimal(to_nano(value)) - value * SCALE) <= Decimal("0.5")


@pytest.mark.requirement("bus:fixed")
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "ten", "", float("nan"), float("inf"), 2**63, "1e400"])
def test_what_is_not_a_finite_number_that_fits_is_refused(value: str | float) -> None:
    with pytest.raises(BadNumberError):
        to_nano(value)


@pytest.mark.requirement("bus:fixed")
def test_a_binary_float_means_its_shortest_text() -> None:
    assert to_nano(0.1) == 100_000_000
    assert to_nano(0.1 + 0.2) == 300_000_000


@pytest.mark.requirement("bus:fixed")
@given(st.integers(0, 10**15), st.integers(-(10**15), 10**15), st.integers(1, 100))
def test_a_notional_is_never_understated_and_at_most_one_billionth_over(price: int, qty: int, units: int) -> None:
    notional = notional_nano(price, qty, units)
    assert 0 <= abs(notional) * SCALE - price * abs(qty) * units < SCALE
    assert notional_nano(price, -qty, units) == -notional


@pytest.mark.requirement("bus:fixed")
@given(NANO, st.integers(1, 10**12))
def test_rounding_to_a_step_never_moves_away_from_zero(value: int, step: int) -> None:
    rounded = round_to_step(value, step)
    assert rounded % step == 0
    assert 0 <= abs(value) - abs(rounded) < step
    assert rounded * value >= 0


@pytest.mark.requirement("bus:ids")
@given(st.lists(PART, max_size=4), st.lists(PART, max_size=4))
def test_two_lists_of_parts_have_one_digest_only_when_they_say_the_same(
    one: list[str | bytes | int], other: list[str | bytes | int]
) -> None:
    def raw(parts: list[str | bytes | int]) -> list[bytes]:
        return [part if isinstance(part, bytes) else str(part).encode() for part in parts]

    assert (digest(*one) == digest(*other)) == (raw(one) == raw(other))


@pytest.mark.requirement("bus:ids")
@given(st.text(), st.text(), st.integers(0), st.integers(0))
def test_a_client_order_id_is_a_function_of_what_was_meant(client: str, run_id: str, cycle: int, index: int) -> None:
    order = client_order_id(client, run_id, cycle, index)
    assert order == client_order_id(client, run_id, cycle, index)
    assert len(order) == 23
    assert order != client_order_id(client, run_id, cycle, index + 1)
    assert derived_id("x", client, cycle) == derived_id("x", client, cycle)


@pytest.mark.requirement("bus:ids")
def test_an_id_is_the_same_in_every_process_and_release() -> None:
    assert digest("a", b"b", 3) == "47960e0ded433b2c258900ea55406c9c"
    assert seeded("a", 1).random() == seeded("a", 1).random()
    assert seeded("a", 1).random() != seeded("a", 2).random()


@pytest.mark.requirement("bus:ids")
@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01 00:00:00Z"),
        (1_381_152_660_000_000_000, "2013-10-07 13:31:00Z"),
        (1_500_000_000, "1970-01-01 00:00:01.5Z"),
        (1, "1970-01-01 00:00:00.000000001Z"),
    ],
)
def test_a_time_is_written_in_utc_with_fractions_only_where_there_are_any(ns: int, text: str) -> None:
    assert iso(ns) == text


@pytest.mark.requirement("bus:bench")
@given(st.lists(st.floats(0, 1e9), min_size=1), st.floats(0, 1))
def test_a_percentile_is_the_smallest_sample_that_covers_its_share(samples: list[float], share: float) -> None:
    found = percentile(samples, share)
    assert sum(sample <= found for sample in samples) >= share * len(samples) * (1 - 1e-12)
    assert sum(sample < found for sample in samples) <= share * len(samples)


@pytest.mark.requirement("bus:bench")
def test_a_result_is_the_ratio_of_the_medians() -> None:
    with pytest.raises(ValueError, match="at least one round"):
        percentile([], 0.5)
    measured = result("x", "µs", [1.0, 2.0, 3.0], [2.0, 3.0, 100.0])
    assert (measured.floor, measured.ours, measured.ratio, measured.p99) == (2.0, 3.0, 1.5, 100.0)


@pytest.mark.requirement("bus:bench")
def test_the_two_sides_are_measured_in_turn() -> None:
    calls: list[str] = []
    with pinned():
        floor, ours = interleaved(lambda: calls.append("f"), lambda: calls.append("o"), rounds=20, block=5)
    assert "".join(calls[40:]) == ("fffff" + "ooooo") * 4
    assert len(floor) == len(ours) == 20


@pytest.mark.slow
@pytest.mark.requirement("bus:bench")
def test_the_bus_benchmark_measures_four_paths() -> None:
    results = run(quick=True)
    assert [found.unit for found in results] == ["µs"] * 4
    assert all(found.floor > 0 and found.ours > 0 and found.p99 >= found.ours for found in results)


@pytest.mark.requirement("bus:fixed")
@pytest.mark.parametrize("text", ["1e21", "1e990", "1e999990", "1e999999", "-1e999999", "9" * 40])
def test_a_number_of_any_size_is_refused_at_once(text: str) -> None:
    with pytest.raises(BadNumberError, match="out of range"):
        to_nano(text)
