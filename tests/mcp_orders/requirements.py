"""What the order tools promise; each id is carried by a test."""

from __future__ import annotations

REQUIREMENTS: dict[str, str] = {
    "orders:life": "An order is placed, fills as the market goes on, is a position and is closed, on both eras.",
    "orders:stated": "Every account and order answer states mode, client and the desk's time, in both forms.",
    "orders:denial": "A denial of the gate is an error with its code and what is allowed, and sends nothing.",
    "orders:same-key": "The same key and content is the same order; the same key and other content is refused.",
    "orders:blind-retry": "The same call at the same instant is the same order.",
    "orders:unsupported": "What the broker does not take is refused by name with what is supported, nothing sent.",
    "orders:numbers": "Numbers are exact, as text or number; off the grid they are refused with the nearest allowed.",
    "orders:notional": "A notional comes to whole lots at the latest price, rounded down.",
    "orders:kinds": "Stops, trails, times in force and groups go out exactly as asked, and legs are shown.",
    "orders:worst-kinds": "What a person confirms is worth what the gate reserves at most, whatever its type.",
    "orders:replace": "A replacement is an order with an id of its own, judged like any, in the old one's place.",
    "orders:preview": "A preview is the gate's verdict and changes nothing.",
    "orders:confirm": "A large order goes out only when a person confirmed exactly it, on both eras.",
    "orders:confirm-unable": "A client that cannot ask a person gets a refusal that says so.",
    "orders:unknown": "Without an answer an order is UNKNOWN: it may be placed, is looked at, not sent again.",
    "orders:clock-race": "An order that the market overtook is judged again at the gate's new time, with its id.",
    "orders:cancel": "Orders are canceled one or all; what cannot be is refused by name; again changes nothing.",
    "orders:close": "Closing takes back what is held and not already being closed, all or a part.",
    "orders:kill": "The kill switch refuses every later order, cancels what works, and no tool clears it.",
    "orders:risk": "The gate's limits and state are told with what is used.",
    "orders:pages": "Following the cursor of orders visits every order once although new ones come.",
    "orders:resources": "Orders, positions and the gate are resources; who follows is told of changes, on both eras.",
    "orders:prompts": "The prompts name the account and explain every code of the gate and a denied order.",
    "orders:completion": "Order ids, states and codes are completed.",
    "orders:definitions": "The definitions keep to their size, with scopes and true annotations for every tool.",
    "orders:hostile": "Whatever is sent: an answer or an error that teaches, no traceback and no change of state.",
}
