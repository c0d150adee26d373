"""What a gateway is told when it starts, in exact integers. Not a place for limits: those are the gate's."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["PPM", "BrokerSpec", "FeeSchedule", "FillModelSpec", "GatewaySpec"]

PPM = 1_000_000
"""Parts per million in one; a basis point is 100 of them."""


class FeeSchedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the paper broker charges, per order over all its fills, in the account currency.

    Equities pay per share with a minimum per order and a maximum share of the notional (the maximum wins); crypto, FX
    and CFD pay a share of the notional; futures pay per contract. A share that is sold short pays a lending fee a year
    of 360 days on what its sale brought, for each night until it is bought back, charged with that purchase.
    """

    equity_per_share_nano: int = 5_000_000
    equity_min_nano: int = 1_000_000_000
    equity_max_ppm: int = 10_000
    equity_borrow_ppm_year: int = 3_000
    crypto_ppm: int = 1_000
    fx_ppm: int = 20
    cfd_ppm: int = 20
    future_per_contract_nano: int = 2_250_000_000


class FillModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How pessimistic a paper fill is.

    Attributes:
        latency_ns: From the decision to the venue; an order meets no bar that opened before it arrived.
        half_spread_ppm: Half the spread assumed where no quote of the bar's interval is known (100 = 1 basis point).
        slippage_ppm: Added against every fill that takes the market (50 = half a basis point).
        participation_ppm: The share of a bar's volume that one client's orders may take (25,000 = 2.5 %).
    """

    latency_ns: int = 500_000_000
    half_spread_ppm: int = 100
    slippage_ppm: int = 50
    participation_ppm: int = 25_000


class BrokerSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which broker, and where it is. Never a key: those are in a file that the gateway alone reads.

    Attributes:
        kind: ``paper``, ``alpaca``, ``ccxt`` or ``fix``.
        keys_file: A TOML file with this client's keys, readable by its owner only; empty for paper.
        url: Another address than the vendor's own, for REST or as ``tcp://host:port`` for FIX.
        stream_url: Another address of the event stream.
        exchange: For ``ccxt``, the exchange's id.
        sender_comp_id: For ``fix``, who we are.
        target_comp_id: For ``fix``, who they are.
        store: A folder for what the broker's session must keep over restarts (FIX sequence numbers).
        sandbox: The vendor's own paper or test service instead of real money.
        timeout_s: Seconds that one question may take.
    """

    kind: Literal["paper", "alpaca", "ccxt", "fix"] = "paper"
    keys_file: str = ""
    url: str = ""
    stream_url: str = ""
    exchange: str = ""
    sender_comp_id: str = ""
    target_comp_id: str = ""
    store: str = ""
    sandbox: bool = True
    timeout_s: float = 10.0


class GatewaySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One client's gateway.

    Attributes:
        client: Whose orders; tickets for anybody else are refused.
        run_id: The run; intents of another run are refused.
        mode: ``replay`` (recorded day), ``paper`` (live market, no real money) or ``live``.
        database: The journal file; it is made when absent.
        public_key_file: Where the gate publishes the key that tickets are verified with.
        start_cash_nano: Cash before the first fill.
        fees: What the paper broker charges.
        fill_model: How the paper broker fills.
        currency: The account currency; instruments quoted in another are rejected.
        limits_version: What the gate judges this client by; a ticket of another version is refused. Empty takes any.
        broker: Who executes; see ``BrokerSpec``.
        cancel_on_disconnect_s: Seconds without a sign of life from the desk after which everything that works is
            canceled; 0 is never. Wall time: only where the market is live.
        reconcile_every_s: Seconds between two comparisons with the broker; 0 is at the start only.
    """

    client: str
    run_id: str
    mode: Literal["replay", "paper", "live"]
    database: str
    public_key_file: str
    start_cash_nano: int
    fees: FeeSchedule = FeeSchedule()
    fill_model: FillModelSpec = FillModelSpec()
    currency: str = "USD"
    limits_version: str = ""
    broker: BrokerSpec = BrokerSpec()
    cancel_on_disconnect_s: float = 0.0
    reconcile_every_s: float = 0.0
