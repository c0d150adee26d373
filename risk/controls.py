"""Every control with what it allows, the rule that asks for it and the requirement its tests carry. A table, no code.

Not the controls (``risk.checks``): ``docs/controls.md`` is made from this. Articles are named where a rule asks for the
control; an empty source is good practice that no rule we have read asks for.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CONTROLS", "Control"]


class Control(NamedTuple):
    """One reason code.

    Attributes:
        name: The control.
        allowed: What passes it.
        source: Regulation and article, several parted by semicolons.
        requirement: The id that its tests carry.
    """

    name: str
    allowed: str
    source: str
    requirement: str


_A15 = "RTS 6 art. 15"
_A8 = "RTS 6 art. 8"
_MAR = "SEC 15c3-5"
_SGX = "SGX 2.2"

CONTROLS: dict[str, Control] = {
    "wrong_client": Control("Client", "Intents of this desk's clients and run.", f"{_MAR}(c)(2)", "gate:wrong-client"),
    "clock_mismatch": Control(
        "Clock", "Intents decided at the gate's instant, in its cycle.", "", "gate:clock-mismatch"
    ),
    "order_id_not_derived": Control(
        "Derived order id",
        "Ids derived from client, run, cycle and index.",
        "FIX OrdRejReason 6",
        "gate:order-id-not-derived",
    ),
    "order_id_reused": Control(
        "Single use of an order id",
        "One content an id; the same again gets its verdict.",
        f"{_MAR} (duplicative); FIX OrdRejReason 6",
        "risk:identity",
    ),
    "kill_switch": Control(
        "Kill switch",
        "Nothing of a halted desk, client or strategy.",
        "RTS 6 art. 12",
        "gate:kill-switch",
    ),
    "reducing": Control(
        "Trading state",
        "While reducing, orders that shrink a position with all that works.",
        "",
        "gate:reducing",
    ),
    "session_closed": Control("Session", "Orders while the venue's session is open.", "", "gate:session-closed"),
    "unknown_symbol": Control(
        "Known symbol", "Symbols that the feed serves.", f"{_MAR} (restricted); {_SGX}(d)", "gate:unknown-symbol"
    ),
    "not_tradable": Control(
        "Tradable instrument", "Instruments that can be traded.", f"{_MAR} (restricted); {_SGX}(d)", "gate:not-tradable"
    ),
    "symbol_not_allowed": Control(
        "Allow-list of symbols", "Symbols on the client's list.", f"{_MAR}(c)(2); {_SGX}(d)", "gate:symbol-not-allowed"
    ),
    "currency": Control("Currency", "Instruments in the account currency.", "", "gate:currency"),
    "venue": Control("Allow-list of venues", "Venues on the client's list.", f"{_MAR}(c)(2)", "gate:venue"),
    "halted": Control("Halt", "Symbols that neither venue nor client has halted.", "", "gate:halted"),
    "order_type": Control("Order types", "Types on the client's list.", f"{_MAR}(c)(2)", "gate:order-type"),
    "time_in_force": Control("Times in force", "Those on the client's list.", f"{_MAR}(c)(2)", "gate:time-in-force"),
    "order_class": Control("Order classes", "Those on the client's list.", f"{_MAR}(c)(2)", "gate:order-class"),
    "order_form": Control("Form", "Buy or sell, plain numbers, no field of another kind.", "", "gate:order-form"),
    "quantity": Control(
        "Order quantity", "Above zero, whole lots, at most the limit.", f"{_A15}(1)(c)", "gate:quantity"
    ),
    "venue_quantity": Control("Venue's quantity", "What the venue takes.", f"{_A15}(1)(c)", "gate:venue-quantity"),
    "limit_price": Control(
        "Limit price", "Above zero on the tick grid where the type has one.", "", "gate:limit-price"
    ),
    "stop_price": Control("Stop price", "On the tick grid, on the far side of the last price.", "", "gate:stop-price"),
    "trail": Control("Trail", "A trail in price or in basis points.", "", "gate:trail"),
    "expiry": Control("Expiry", "A gtd order that ends after now; none for others.", "", "gate:expiry"),
    "legs": Control("Legs", "Take-profit beyond the entry, stop-loss on its other side.", "", "gate:legs"),
    "no_price": Control("Reference price", "Symbols with a price.", f"{_MAR} (erroneous)", "gate:no-price"),
    "stale_price": Control(
        "Age of the price", "A price as old as the limit at most.", f"{_MAR} (erroneous)", "gate:stale-price"
    ),
    "crossed_price": Control(
        "Crossed quote", "A quote whose bid is not above its ask.", f"{_MAR} (erroneous)", "gate:crossed-price"
    ),
    "price_collar": Control(
        "Price collar",
        "Limits, stops, trails and legs near the reference.",
        f"{_A15}(1)(a); {_MAR}; SGX 2.3",
        "gate:price-collar",
    ),
    "order_notional": Control(
        "Order value",
        "At most the limit, market orders at the collar's far end.",
        f"{_A15}(1)(b); {_SGX}(c)",
        "gate:order-notional",
    ),
    "order_too_small": Control(
        "Least order value", "At least the limit, unless it reduces.", "", "gate:order-too-small"
    ),
    "venue_notional": Control("Venue's least value", "What the venue takes.", "", "gate:venue-notional"),
    "reduce_only": Control("Reduce only", "Orders that say so and only reduce.", "", "gate:reduce-only"),
    "equity_unknown": Control(
        "Known equity", "Every held symbol has a price, or it reduces.", f"{_MAR} (credit)", "gate:equity-unknown"
    ),
    "daily_loss": Control("Daily loss", "A loss below the limit, or it reduces.", "", "gate:daily-loss"),
    "rolling_loss": Control("Rolling loss", "A loss below the limit, or it reduces.", "", "gate:rolling-loss"),
    "drawdown": Control("Drawdown", "A loss below the limit, or it reduces.", "", "gate:drawdown"),
    "desk_daily_loss": Control(
        "Daily loss of the desk",
        "A loss of all clients below the limit, or it reduces.",
        "",
        "gate:desk-daily-loss",
    ),
    "short_sale": Control("Short sale", "Short positions where client and symbol have them.", "", "gate:short-sale"),
    "short_available": Control(
        "Short availability", "Short positions that can be borrowed.", "", "gate:short-available"
    ),
    "self_trade": Control(
        "Self-trade prevention",
        "Orders that cannot meet an order of the same desk.",
        "",
        "gate:self-trade",
    ),
    "position_limit": Control(
        "Position", "A worst case of one symbol within the limit.", f"{_A8}(c); {_SGX}(b)", "gate:position-limit"
    ),
    "gross_limit": Control(
        "Gross exposure", "A worst case within the limit.", f"{_MAR} (credit); {_SGX}(a)", "gate:gross-limit"
    ),
    "buying_power": Control(
        "Buying power and margin",
        "A worst case that the equity is margin for.",
        f"{_MAR} (credit)",
        "gate:buying-power",
    ),
    "leverage": Control(
        "Leverage", "A worst case within the multiple of the equity.", f"{_MAR} (credit)", "gate:leverage"
    ),
    "concentration": Control(
        "Concentration", "A worst case of one symbol within its share.", f"{_A8}(c); {_SGX}(b)", "gate:concentration"
    ),
    "net_limit": Control(
        "Net exposure", "A worst case within the limit.", f"{_MAR} (credit); {_SGX}(a)", "gate:net-limit"
    ),
    "desk_gross_limit": Control(
        "Gross exposure of the desk",
        "A worst case of all clients within the limit.",
        f"{_MAR} (aggregate); {_SGX}(a)",
        "gate:desk-gross-limit",
    ),
    "desk_net_limit": Control(
        "Net exposure of the desk",
        "A worst case of all clients within the limit.",
        f"{_MAR} (aggregate); {_SGX}(a)",
        "gate:desk-net-limit",
    ),
    "strategy_symbol": Control(
        "Strategy: symbols", "Symbols that it was deployed for.", f"{_A8}(a)", "gate:strategy-symbol"
    ),
    "strategy_venue": Control(
        "Strategy: venues", "Venues that it was deployed for.", f"{_A8}(d)", "gate:strategy-venue"
    ),
    "strategy_notional": Control("Strategy: order value", "At most its limit.", f"{_A8}(b)", "gate:strategy-notional"),
    "strategy_symbols": Control(
        "Strategy: number of symbols", "At most its limit at once.", f"{_A8}(a)", "gate:strategy-symbols"
    ),
    "strategy_position": Control(
        "Strategy: position", "A worst case of its own within its limit.", f"{_A8}(c)", "gate:strategy-position"
    ),
    "strategy_orders_per_day": Control(
        "Strategy: orders a day", "At most its limit.", f"{_A8}(b)", "gate:strategy-orders-per-day"
    ),
    "strategy_open_orders": Control(
        "Strategy: open orders", "At most its limit.", f"{_A8}(b)", "gate:strategy-open-orders"
    ),
    "replace_unknown": Control("Replace: known order", "Orders that work.", "", "gate:replace-unknown"),
    "replace_leg": Control("Replace: no group", "Orders that are of no group.", "", "gate:replace-leg"),
    "replace_differs": Control("Replace: same order", "The same symbol and side, simple.", "", "gate:replace-differs"),
    "order_rate": Control(
        "Order rate", "Orders in sixty seconds within the limit.", f"{_A15}(1)(d)", "gate:order-rate"
    ),
    "message_rate": Control(
        "Message rate", "Orders, replacements and cancels within the limit.", f"{_A15}(1)(d)", "gate:message-rate"
    ),
    "desk_message_rate": Control(
        "Message rate of the desk", "Those of all clients within the limit.", f"{_A15}(1)(d)", "gate:desk-message-rate"
    ),
    "orders_per_day": Control("Orders a day", "At most the limit.", f"{_A15}(1)(d)", "gate:orders-per-day"),
    "cancels_per_day": Control(
        "Cancels a day", "At most the limit; cancels themselves always.", f"{_A15}(1)(d)", "gate:cancels-per-day"
    ),
    "symbol_orders_per_day": Control(
        "Orders a day in a symbol", "At most the limit.", f"{_A15}(1)(d)", "gate:symbol-orders-per-day"
    ),
    "open_orders": Control("Open orders", "Working orders within the limit.", "", "gate:open-orders"),
    "desk_open_orders": Control(
        "Open orders of the desk", "Those of all clients within the limit.", "", "gate:desk-open-orders"
    ),
    "duplicate": Control(
        "Duplicate content",
        "Content that was not approved within the window.",
        f"{_MAR} (duplicative)",
        "gate:duplicate",
    ),
    "repeated_executions": Control(
        "Repeated-execution throttle",
        "The very same within the limit; beyond, a person resumes.",
        f"{_A15}(3)",
        "gate:repeated-executions",
    ),
    "check_failed": Control(
        "Fail closed: a check", "Nothing when a check raises.", f"{_MAR} (direct and exclusive control)", "gate:garbage"
    ),
    "journal_unavailable": Control(
        "Fail closed: the journal",
        "Nothing when a verdict cannot be written.",
        f"{_MAR} (direct and exclusive control)",
        "risk:journal:closed",
    ),
    "feed_unavailable": Control(
        "Fail closed: the feed",
        "Nothing when prices or fills cannot be learned.",
        f"{_MAR} (direct and exclusive control)",
        "risk:book:events",
    ),
}
"""Reason code → control; every code but ``approved``."""
