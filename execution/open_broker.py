"""From a gateway's spec to its broker: which adapter, with whose keys, and what it takes.

Not where it is decided that real money may be traded: that needs a person's two keys, before the desk starts. Adapters
are imported when they are chosen; keys are read here, in the gateway's process, and go nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from bus.errors import ConfigError
from bus.messages import Instrument
from execution.broker import Broker, Offered
from execution.engine import BrokerFactory
from execution.keys import Keys, read_keys
from execution.paper import PAPER_OFFERS, PaperBroker
from execution.spec import GatewaySpec

__all__ = ["open_broker"]

_Open: TypeAlias = Callable[[GatewaySpec, dict[str, Instrument], Keys], Broker]


def open_broker(spec: GatewaySpec) -> tuple[BrokerFactory, Offered]:
    """Return what makes the broker of a gateway, and what that broker takes.

    Raises:
        ConfigError: Mode and broker do not fit, or the keys file cannot be used, or an extra is missing.
    """
    _check(spec)
    if spec.broker.kind == "paper":
        return PaperBroker, PAPER_OFFERS
    opening, offers = _adapter(spec)
    keys = read_keys(spec.broker.keys_file)

    def make(spec: GatewaySpec, instruments: dict[str, Instrument]) -> Broker:
        return opening(spec, instruments, keys)

    return make, offers


def _adapter(spec: GatewaySpec) -> tuple[_Open, Offered]:
    match spec.broker.kind:
        case "alpaca":
            from execution.alpaca import OFFERS, open_alpaca

            return open_alpaca, OFFERS
        case "fix":
            from execution.fix import OFFERS as FIX_OFFERS
            from execution.fix import open_fix

            return open_fix, FIX_OFFERS
        case _:
            from execution.ccxt_broker import offers, open_ccxt

            return open_ccxt, offers(spec.broker.exchange)


def _check(spec: GatewaySpec) -> None:
    """Refuse a mode that its broker cannot be in."""
    kind, mode, broker = spec.broker.kind, spec.mode, spec.broker
    if kind == "paper":
        if mode == "live":
            raise ConfigError(
                "mode 'live' needs a real broker, broker.kind is 'paper'; with 'paper' allowed are 'replay' and 'paper'"
            )
        return
    if mode == "replay":
        raise ConfigError(
            f"mode 'replay' is a recorded day and broker.kind is {kind!r}, which trades now; allowed is 'paper'"
        )
    if broker.sandbox == (mode == "live"):
        raise ConfigError(
            f"mode {mode!r} with broker.sandbox = {str(broker.sandbox).lower()} contradict each other; mode 'paper' "
            "goes with the vendor's sandbox, mode 'live' with sandbox = false, which is real money"
        )
    if not broker.keys_file:
        raise ConfigError(
            f"broker.kind {kind!r} needs broker.keys_file: a TOML file with this client's keys that only its owner "
            "can read"
        )
