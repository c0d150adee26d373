"""What a gateway is told when it starts, in exact integers. Not a place for limits: those are the gate's."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["PPM", "FeeSchedule", "FillModelSpec", "GatewaySpec"]

PPM = 1_000_000
"""Parts per million in one; a basis point is 100 of them."""


class FeeSchedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the paper broker charges, per order over all its fills, in the account currency.

    Equities pay per share with a minimum per order and a maximum share of the notional (the maximum wins); crypto, FX
    and CFD pay a share of the notional; futures pay per contract.
    """

    equity_per_share_nano: int = 5_000_000
    equity_min_nano: int = 1_000_000_000
    equity_max_ppm: int = 10_000
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


class GatewaySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One client's gateway.

    Attributes:
        client: Whose orders; tickets for anybody else are refused.
        run_id: The run; intents of another run are refused.
        mode: ``replay`` (recorded day) or ``paper`` (live market); there is no live broker yet.
        database: The journal file; it is made when absent.
        public_key_file: Where the gate publishes the key that tickets are verified with.
        start_cash_nano: Cash before the first fill.
        fees: What the paper broker charges.
        fill_model: How the paper broker fills.
        currency: The account currency; instruments quoted in another are rejected.
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
