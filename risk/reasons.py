"""Why the gate says no: every code with one sentence. Not the checks themselves: those are in ``risk.checks``."""

from __future__ import annotations

__all__ = ["APPROVED", "REASONS"]

APPROVED = "approved"

REASONS: dict[str, str] = {
    APPROVED: "Every check passed.",
    "kill_switch": "The kill switch is engaged: nothing passes until a person resumes.",
    "wrong_client": "The intent is another client's or another run's.",
    "clock_mismatch": "The request's time is not the gate's.",
    "order_id_not_derived": "The client order id is not derived from client, run, cycle and intent.",
    "order_id_reused": "The client order id was used for another order.",
    "unknown_symbol": "The feed does not know the symbol.",
    "not_tradable": "The instrument cannot be traded.",
    "symbol_not_allowed": "The symbol is not among those this client may trade.",
    "currency": "The instrument is quoted in another currency than the account's.",
    "quantity": "The quantity is not above zero, off the lot grid or above the limit.",
    "limit_price": "The limit price is missing, unasked for, negative or off the tick grid.",
    "no_price": "There is no price to judge by.",
    "stale_price": "The last price is too old to judge by.",
    "crossed_price": "The last quote's bid is above its ask.",
    "price_collar": "The limit price is too far from the reference price.",
    "order_notional": "The order is worth more than one order may be.",
    "position_limit": "The worst case over working orders is above what one symbol may hold.",
    "gross_limit": "The worst case over working orders is above the gross exposure limit.",
    "buying_power": "The worst case over working orders is above the equity.",
    "equity_unknown": "A held symbol has no price, so the equity is not known.",
    "daily_loss": "The day's loss is at its limit: only reductions pass.",
    "order_rate": "Too many orders in a minute.",
    "open_orders": "Too many orders are working.",
    "duplicate": "An order of the same content was approved a moment ago.",
    "check_failed": "A check raised an error: closed.",
    "journal_unavailable": "The verdict could not be written down: closed.",
    "feed_unavailable": "The gate could not learn prices or fills: closed.",
}
"""Code → sentence."""
