"""What a verdict was computed from, as a flat table that can be written down, and the verdict computed from it again.

Not a snapshot of the whole gate: only what this one order was judged by, beside the limits, which the journal has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import TypeAlias, cast

import msgspec

from bus.messages import OrderIntent, Side
from risk._terms import deployed_of
from risk.book import Holding, Reservation
from risk.checks import judge
from risk.facts import Deployed, DeskFacts, Facts, InUse, Resting, Terms, Twin, content
from risk.spec import ClientSpec, GateSpec

__all__ = ["Inputs", "inputs_of", "recompute"]

Inputs: TypeAlias = dict[str, int | str | bool | None]

_FACTS = (
    "now_ns",
    "closed",
    "restricted",
    "paced",
    "state",
    "equity_nano",
    "day_start_nano",
    "recent_peak_nano",
    "peak_nano",
    "halted",
    "margin_nano",
    "leverage_nano",
    "concentration_nano",
    "gross_nano",
    "up_nano",
    "down_nano",
    "recent_orders",
    "recent_messages",
    "orders_today",
    "cancels_today",
    "open_orders",
)
_DESK = (
    "state",
    "restricted",
    "gross_nano",
    "up_nano",
    "down_nano",
    "day_loss_nano",
    "halted",
    "recent_messages",
    "open_orders",
)
_HOLDING = tuple(field.name for field in msgspec.structs.fields(Holding))
_RESTING = tuple(field.name for field in msgspec.structs.fields(Resting))
_TERMS = tuple(field.name for field in msgspec.structs.fields(Terms) if field.name not in {"held", "resting"})
_IN_USE = tuple(field.name for field in msgspec.structs.fields(InUse))


def inputs_of(intent: OrderIntent, cycle: int, facts: Facts) -> Inputs:
    """Return what an intent is judged by at this moment: names with a dot are of the part before it.

    Args:
        intent: What is judged.
        cycle: The cycle of its request.
        facts: What it is judged by, before it counts itself.
    """
    inputs: Inputs = {"cycle": cycle}
    inputs.update(_OF_FACTS.read(facts))
    inputs.update(_OF_DESK.read(facts.desk))
    terms = facts.terms.get(intent.symbol)
    if terms is not None:
        inputs.update(_OF_TERMS.read(terms))
        inputs.update(_OF_HOLDING.read(terms.held))
        inputs.update(_OF_RESTING.read(terms.resting))
    deployed = facts.strategies.get(intent.strategy)
    if deployed is not None and deployed.limited is not False:
        inputs["strategy.state"] = deployed.state
        inputs["strategy.orders_today"] = deployed.orders_today
        inputs["strategy.open_orders"] = deployed.open_orders
        inputs["strategy.other_symbols"] = sum(symbol != intent.symbol for symbol in deployed.used)
        inputs.update(_OF_USE.read(deployed.used.get(intent.symbol) or InUse()))
    twin = facts.twins.get(content(intent))
    if twin is not None:
        since_ns = facts.now_ns - facts.limits.repeat_window_ns
        inputs["twin.last_ns"] = twin.last_ns
        inputs["twin.repeats"] = sum(ns > since_ns for ns in twin.by_strategy.get(intent.strategy, ()))
    old = facts.working.get(intent.replaces) if intent.replaces else None
    if old is not None:
        inputs |= {
            "replaces.symbol": old.symbol,
            "replaces.side": old.side,
            "replaces.remaining_nano": old.remaining_nano,
            "replaces.price_nano": old.price_nano,
            "replaces.leg": intent.replaces in facts.legs,
        }
    return inputs


class _Columns:
    """Attributes of one kind of object that are written down together, read in one call."""

    def __init__(self, prefix: str, names: tuple[str, ...]) -> None:
        """Know the names, and under which prefix they are written."""
        self._keys = tuple(prefix + name for name in names)
        self._values: Callable[[object], tuple[int | str | bool | None, ...]] = attrgetter(*names)

    def read(self, source: object) -> Iterator[tuple[str, int | str | bool | None]]:
        """Return each with its name; what is not known is None."""
        return zip(self._keys, self._values(source), strict=True)


_OF_FACTS, _OF_DESK = _Columns("", _FACTS), _Columns("desk.", _DESK)
_OF_TERMS, _OF_HOLDING, _OF_RESTING = (
    _Columns("symbol.", _TERMS),
    _Columns("held.", _HOLDING),
    _Columns("resting.", _RESTING),
)
_OF_USE = _Columns("used.", _IN_USE)


def recompute(spec: GateSpec, client: str, intent: OrderIntent, inputs: Inputs) -> str:
    """Return the code that the inputs of a verdict lead to.

    Args:
        spec: The gate that gave it.
        client: The client it was judged as.
        intent: What was judged.
        inputs: From ``inputs_of``.

    Raises:
        KeyError: The gate has no such client, or an input is missing.
    """
    found = next((each for each in spec.clients if each.client == client), None)
    if found is None:
        raise KeyError(f"the gate has no client {client!r}; it has {', '.join(each.client for each in spec.clients)}")
    facts = Facts(client, spec.run_id, spec.currency, found.limits, DeskFacts(spec.desk), found.start_cash_nano)
    _take(inputs, "", facts, _FACTS)
    _take(inputs, "desk.", facts.desk, _DESK)
    if "symbol.barred" in inputs:
        terms = Terms(Holding(), Resting())
        _take(inputs, "symbol.", terms, _TERMS)
        _take(inputs, "held.", terms.held, _HOLDING)
        _take(inputs, "resting.", terms.resting, _RESTING)
        facts.terms[intent.symbol] = terms
    if "strategy.state" in inputs:
        facts.strategies[intent.strategy] = _strategy(found, intent, inputs)
    if "twin.last_ns" in inputs:
        last_ns, repeats = _whole(inputs, "twin.last_ns"), _whole(inputs, "twin.repeats")
        facts.twins[content(intent)] = Twin(last_ns, {intent.strategy: [facts.now_ns] * repeats})
    if "replaces.symbol" in inputs:
        side = cast("Side", inputs["replaces.side"])
        remaining, price = _whole(inputs, "replaces.remaining_nano"), _whole(inputs, "replaces.price_nano")
        facts.working = {intent.replaces: Reservation(str(inputs["replaces.symbol"]), side, remaining, price, 0)}
        facts.legs = {intent.replaces} if inputs["replaces.leg"] else set()
    return judge(intent, _whole(inputs, "cycle"), facts)


def _strategy(client: ClientSpec, intent: OrderIntent, inputs: Inputs) -> Deployed:
    deployed = deployed_of(client.limits, client.strategies.get(intent.strategy))
    deployed.limited = True
    deployed.state = str(inputs["strategy.state"])
    deployed.orders_today = _whole(inputs, "strategy.orders_today")
    deployed.open_orders = _whole(inputs, "strategy.open_orders")
    used = InUse()
    _take(inputs, "used.", used, _IN_USE)
    deployed.used = {f"other symbol {n}": InUse(1) for n in range(_whole(inputs, "strategy.other_symbols"))}
    deployed.used[intent.symbol] = used
    return deployed


def _take(inputs: Inputs, prefix: str, target: object, names: tuple[str, ...]) -> None:
    for name in names:
        setattr(target, name, inputs[prefix + name])


def _whole(inputs: Inputs, name: str) -> int:
    return cast("int", inputs[name])
