"""nautilus_trader's risk engine, set up to judge the same order: a peer beside the gate, where it is installed.

Not a floor and not a dependency: it is compiled (Cython), has 15 of the controls, and reserves nothing. Its execution
engine is a list, so that only its check is timed. ``make nautilus`` installs it into a folder of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["check", "is_installed"]

_ENOUGH = "1000000/00:00:01"
_CEILING = 20_000


def is_installed() -> bool:
    """Whether this interpreter has it."""
    return find_spec("nautilus_trader") is not None


def _from(module: str, name: str) -> Any:
    return getattr(import_module(f"nautilus_trader.{module}"), name)


def check() -> Callable[[], object]:
    """Return a call that has its engine judge a limit order of 10 shares at 100, and raises when that is denied.

    Raises:
        ImportError: It is not installed.
    """
    clock, cache = _from("common.component", "TestClock")(), _from("cache.cache", "Cache")(database=None)
    trader = _from("model.identifiers", "TraderId")("TRADER-001")
    strategy = _from("model.identifiers", "StrategyId")("S-1")
    bus = _from("common.component", "MessageBus")(trader_id=trader, clock=clock)
    portfolio = _from("portfolio.portfolio", "Portfolio")(msgbus=bus, cache=cache, clock=clock)
    share = _from("test_kit.providers", "TestInstrumentProvider").equity(symbol="AAPL", venue="XNAS")
    cache.add_instrument(share)
    price, size = _from("model.objects", "Price"), _from("model.objects", "Quantity")
    number = _from("model.identifiers", "AccountId")("XNAS-001")
    funded = _from("test_kit.stubs.events", "TestEventStubs").cash_account_state(account_id=number)
    cache.add_account(_from("accounting.factory", "AccountFactory").create(funded))
    portfolio.update_account(funded)
    at, many = price.from_str("100.00"), size.from_int(100)
    cache.add_quote_tick(_from("model.data", "QuoteTick")(share.id, at, at, many, many, 0, 0))
    settings = _from("risk.config", "RiskEngineConfig")(
        max_order_submit_rate=_ENOUGH,
        max_order_modify_rate=_ENOUGH,
        max_notional_per_order={share.id.value: _CEILING},
    )
    engine = _from("risk.engine", "RiskEngine")(
        portfolio=portfolio, msgbus=bus, cache=cache, clock=clock, config=settings
    )
    passed: list[object] = []
    denied: list[object] = []
    bus.register(endpoint="ExecEngine.execute", handler=passed.append)
    bus.register(endpoint="ExecEngine.process", handler=denied.append)
    orders = _from("common.factories", "OrderFactory")(trader_id=trader, strategy_id=strategy, clock=clock)
    order = orders.limit(share.id, _from("model.enums", "OrderSide").BUY, size.from_int(10), at)
    command = _from("execution.messages", "SubmitOrder")(
        trader_id=trader,
        strategy_id=strategy,
        position_id=None,
        order=order,
        command_id=_from("core.uuid", "UUID4")(),
        ts_init=0,
    )

    def judge() -> None:
        engine.execute(command)
        if denied or not passed:
            raise RuntimeError(f"what is measured must be an approval, not {denied}: mend the benchmark")
        passed.clear()

    return judge
