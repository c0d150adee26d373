"""What the gate process is told. Not a secret among it: the gate makes its own key."""

from __future__ import annotations

import msgspec

from risk.limits import Limits

__all__ = ["GateSpec"]


class GateSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gate judges by.

    Attributes:
        client: Whose orders.
        run_id: The run whose intents are judged.
        mode: ``replay``, ``paper`` or ``live``.
        limits: The client's limits.
        database: The gate's journal.
        public_key_file: Where the public half of its key is published.
        start_cash_nano: Cash before the first fill.
        currency: The account currency; instruments quoted in another are refused.
    """

    client: str
    run_id: str
    mode: str
    limits: Limits
    database: str
    public_key_file: str
    start_cash_nano: int
    currency: str = "USD"
