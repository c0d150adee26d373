"""What the gate process is told. Not a secret among it: the gate makes its own keys."""

from __future__ import annotations

import msgspec

from risk.limits import DeskLimits, Limits, StrategyLimits, SymbolLimits

__all__ = ["ClientSpec", "GateSpec"]


class ClientSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One client of the desk.

    Attributes:
        client: Whose orders.
        limits: What the client may do; no looser than the ceilings.
        symbols: Tighter limits of single symbols.
        strategies: The deployment limits of single strategies; one that is not named has the client's limits alone.
        start_cash_nano: Cash before the first fill.
        execution: The name of the client's gateway in the directory.
    """

    client: str
    limits: Limits
    symbols: dict[str, SymbolLimits] = {}
    strategies: dict[str, StrategyLimits] = {}
    start_cash_nano: int = 0
    execution: str = "execution"


class GateSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gate judges by.

    Attributes:
        run_id: The run whose intents are judged.
        mode: ``replay``, ``paper`` or ``live``.
        clients: Every client of the desk; the first one is the desk's own.
        desk: The limits of all clients together.
        database: The gate's journal.
        public_key_file: Where the public half of its key is published.
        resume_key_file: Where the key is put that proves that a person resumes; readable by its owner only.
        currency: The account currency; instruments quoted in another are refused.
    """

    run_id: str
    mode: str
    clients: tuple[ClientSpec, ...]
    desk: DeskLimits
    database: str
    public_key_file: str
    resume_key_file: str = ""
    currency: str = "USD"
