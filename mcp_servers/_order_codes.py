"""Why an order does not go out and what helps, for the prompt that explains a denial. Not the checks themselves."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CODES"]

_WAIT_DAY = "Wait for the next day, or a person raises the limit before it."
_LESS = "Ask for less, or cancel or reduce something first."
_REDUCE = "Only orders that reduce a position pass."

CODES: Mapping[str, tuple[str, str]] = {
    "approved": ("Every check passed.", "Nothing needs to be done."),
    # Whose and when.
    "wrong_client": ("The order is another client's or run's.", "Ask the servers of that client's desk."),
    "clock_mismatch": ("The market moved on while the order was judged.", "Look at the prices again, then try again."),
    "order_id_not_derived": ("The order's id is not derived as it must be.", "Report it: a server's fault."),
    "order_id_reused": ("The client_order_id was that of another order.", "Give a new client_order_id."),
    "kill_switch": ("The kill switch is engaged.", "Only a person clears it, with `outcry resume`. Stop sending."),
    "reducing": ("The desk, client or strategy may only reduce.", f"{_REDUCE} A person lifts it."),
    # The instrument.
    "session_closed": ("The venue is closed.", "Wait for its session (get_market_calendar)."),
    "unknown_symbol": ("The feed does not know the symbol.", "list_symbols shows what there is."),
    "not_tradable": ("The instrument can be watched, not traded.", "Choose a tradable symbol (list_symbols)."),
    "symbol_not_allowed": ("This client may not trade the symbol.", "get_risk_limits lists what it may."),
    "currency": ("The instrument is not quoted in the account's currency.", "Choose another symbol."),
    "venue": ("This client may not trade at the instrument's venue.", "Choose a symbol of another venue."),
    "halted": ("Trading in the symbol is halted.", "Wait, or choose another symbol."),
    # The order's form.
    "order_type": ("This client may not use the order type.", "get_risk_limits lists what it may."),
    "time_in_force": ("This client may not use the time in force.", "get_risk_limits lists what it may."),
    "order_class": ("This client may not use the order class.", "get_risk_limits lists what it may."),
    "order_form": ("The order has something that its kind does not have.", "Give only what its type and class need."),
    "quantity": ("The quantity is not positive, off the lot grid or too large.", "Round it, or ask for less."),
    "venue_quantity": ("The quantity is not one that the venue takes.", "Keep to the venue's least and most."),
    "limit_price": ("The limit price is missing, unasked for or off the tick grid.", "Round it to the tick."),
    "stop_price": (
        "The stop is missing, unasked for, off the grid or would trigger at once.",
        "Above the price to buy, below it to sell, on the tick.",
    ),
    "trail": ("The trail is missing, given twice or off the grid.", "Give one of trail_price and trail_percent."),
    "expiry": ("The order expires before now, or has an expiry without gtd.", "Give a later expires_at with gtd."),
    "legs": (
        "A leg's price is missing, off the grid or on the wrong side of the entry.",
        "The profit is beyond the entry, the stop on its other side.",
    ),
    # Prices and worth.
    "no_price": ("There is no price to judge by.", "Wait for the symbol's first bar or quote."),
    "stale_price": ("The last price is too old to judge by.", "Wait for a new one (get_latest_quote)."),
    "crossed_price": ("The last quote's bid is above its ask.", "Wait for the next quote."),
    "price_collar": ("A price of the order is too far from the last price.", "Move it inside the collar."),
    "order_notional": ("One order is worth more than one may be.", "Ask for less."),
    "order_too_small": ("One order is worth less than one must be.", "Ask for more."),
    "venue_notional": ("The order is worth less than the venue takes.", "Ask for more."),
    # Loss.
    "reduce_only": ("The order could open or flip a position.", "Ask for no more than is held and not being closed."),
    "equity_unknown": ("A held symbol has no price, so equity is unknown.", "Wait for its price; reductions pass."),
    "daily_loss": ("The day's loss is at its limit.", "Only orders that reduce a position pass until the day ends."),
    "rolling_loss": ("The loss of the last while is at its limit.", _REDUCE),
    "drawdown": ("The loss from the best equity is at its limit.", f"{_REDUCE} A person decides what then."),
    "desk_daily_loss": ("The day's loss of all clients is at its limit.", f"{_REDUCE} The day must end."),
    # Shorts and the desk's own orders.
    "short_sale": ("The position could go below zero, and must not.", "Sell no more than is held and not being sold."),
    "short_available": ("More would be short than can be borrowed.", "Ask for less."),
    "self_trade": ("It could trade with a working order of the same desk.", "Cancel that one first (get_orders)."),
    # What could be held.
    "position_limit": ("The symbol's worst case is above what may be held.", "Ask for less, or cancel or reduce."),
    "gross_limit": ("Gross exposure could go above its limit.", "Reduce or cancel something first."),
    "buying_power": ("Exposure could go above what the equity is margin for.", "Reduce or cancel something first."),
    "leverage": ("Exposure could go above the leverage allowed.", "Reduce or cancel something first."),
    "concentration": ("One symbol would be too large a share of the equity.", _LESS),
    "net_limit": ("Net exposure could go above its limit.", _LESS),
    "desk_gross_limit": ("Gross exposure of all clients could go above its limit.", _LESS),
    "desk_net_limit": ("Net exposure of all clients could go above its limit.", _LESS),
    # What a strategy was deployed for.
    "strategy_symbol": ("The strategy was not deployed for the symbol.", "Keep to its symbols."),
    "strategy_venue": ("The strategy was not deployed for the venue.", "Keep to its venues."),
    "strategy_notional": ("One order of the strategy is worth more than one may be.", "Ask for less."),
    "strategy_symbols": ("The strategy would be in too many symbols.", "Close one of them first."),
    "strategy_position": ("The strategy could hold too much of the symbol.", _LESS),
    "strategy_orders_per_day": ("The strategy has given all its orders of the day.", _WAIT_DAY),
    "strategy_open_orders": ("Too many orders of the strategy are working.", "Cancel some, or wait for fills."),
    # Replacing.
    "replace_unknown": ("The order to replace is not known or works no more.", "See get_order; place a new one."),
    "replace_leg": ("The order to replace belongs to a group.", "Cancel it with cancel_order instead."),
    "replace_differs": ("The replacement is of another symbol, side or class.", "cancel_order, then place_order."),
    # How many.
    "order_rate": ("Too many orders in a minute.", "Slow down."),
    "message_rate": ("Too many orders, changes and cancels in a minute.", "Slow down; cancels still pass."),
    "desk_message_rate": ("Too many messages of all clients in a minute.", "Slow down; cancels still pass."),
    "orders_per_day": ("The client has given all its orders of the day.", _WAIT_DAY),
    "cancels_per_day": ("The client has canceled too often today.", f"No new orders. {_WAIT_DAY}"),
    "symbol_orders_per_day": ("The client has given all its orders of the day in the symbol.", _WAIT_DAY),
    "open_orders": ("Too many orders are working.", "Cancel some, or wait for fills."),
    "desk_open_orders": ("Too many orders of all clients are working.", "Cancel some, or wait for fills."),
    "duplicate": ("An order of the same content was approved a moment ago.", "See get_orders; wait, or change it."),
    "repeated_executions": (
        "The strategy did the very same too often and was halted.",
        "Only a person resumes it, with `outcry resume`. Stop sending.",
    ),
    # The gate itself.
    "check_failed": ("A check raised an error; the gate stays closed.", "A person must look at the gate's log."),
    "journal_unavailable": ("The verdict could not be written down.", "A person must look at the disk."),
    "feed_unavailable": ("The gate could not learn prices or fills.", "Try again when the feed is back."),
}
"""Code → what it means, what to do."""
