"""Why an order does not go out and what helps, for the prompt that explains a denial. Not the checks themselves."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CODES"]

CODES: Mapping[str, tuple[str, str]] = {
    "approved": ("Every check passed.", "Nothing needs to be done."),
    "kill_switch": ("The kill switch is engaged.", "Only a person clears it, with `outcry resume`. Stop sending."),
    "wrong_client": ("The order is another client's or run's.", "Ask the servers of that client's desk."),
    "clock_mismatch": ("The market moved on while the order was judged.", "Look at the prices again, then try again."),
    "order_id_not_derived": ("The order's id is not derived as it must be.", "Report it: a server's fault."),
    "order_id_reused": ("The client_order_id was that of another order.", "Give a new client_order_id."),
    "unknown_symbol": ("The feed does not know the symbol.", "list_symbols shows what there is."),
    "not_tradable": ("The instrument can be watched, not traded.", "Choose a tradable symbol (list_symbols)."),
    "symbol_not_allowed": ("This client may not trade the symbol.", "get_risk_limits lists what it may."),
    "currency": ("The instrument is not quoted in the account's currency.", "Choose another symbol."),
    "quantity": ("The quantity is not positive, off the lot grid or too large.", "Round it, or ask for less."),
    "limit_price": ("The limit price is missing, unasked for or off the tick grid.", "Round it to the tick."),
    "no_price": ("There is no price to judge by.", "Wait for the symbol's first bar or quote."),
    "stale_price": ("The last price is too old to judge by.", "Wait for a new one (get_latest_quote)."),
    "crossed_price": ("The last quote's bid is above its ask.", "Wait for the next quote."),
    "price_collar": ("The limit price is too far from the last price.", "Move it inside the collar."),
    "order_notional": ("One order is worth more than one may be.", "Ask for less."),
    "position_limit": ("The symbol's worst case is above what may be held.", "Ask for less, or cancel or reduce."),
    "gross_limit": ("Gross exposure could go above its limit.", "Reduce or cancel something first."),
    "buying_power": ("Gross exposure could go above the equity.", "Reduce or cancel something first."),
    "equity_unknown": ("A held symbol has no price, so equity is unknown.", "Wait for its price; reductions pass."),
    "daily_loss": ("The day's loss is at its limit.", "Only orders that reduce a position pass until the day ends."),
    "order_rate": ("Too many orders in a minute.", "Slow down."),
    "open_orders": ("Too many orders are working.", "Cancel some, or wait for fills."),
    "duplicate": ("An order of the same content was approved a moment ago.", "See get_orders; wait, or change it."),
    "check_failed": ("A check raised an error; the gate stays closed.", "A person must look at the gate's log."),
    "journal_unavailable": ("The verdict could not be written down.", "A person must look at the disk."),
    "feed_unavailable": ("The gate could not learn prices or fills.", "Try again when the feed is back."),
}
"""Code → what it means, what to do."""
