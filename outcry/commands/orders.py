"""``outcry orders``: the orders of a client as execution knows them, of a running desk or of one that has ended.

Not a way to send or cancel one: orders come through the gate, and cancels from ``outcry kill`` or an MCP client.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bus.clock import iso
from bus.fixed import from_nano
from bus.messages import GetOrders, Orders, OrderState
from outcry.ask import ask, gateway_for, is_live, run_dir_of

__all__ = ["add", "run"]

_USUAL, _MOST = 50, 500


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("order_id", nargs="*", metavar="ORDER_ID", help="only these; without one, all")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run's folder; without it the newest live one")
    parser.add_argument("--client", default="", metavar="NAME", help="whose; the desk's own client without it")
    parser.add_argument("--status", choices=("open", "closed", "all"), default="all", help="which; all without it")
    parser.add_argument("--limit", type=int, default=_USUAL, metavar="N", help=f"how many, newest first; {_USUAL}")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def as_record(order: OrderState) -> dict[str, Any]:
    """Return an order in plain units."""
    intent = order.intent
    record: dict[str, Any] = {
        "client_order_id": intent.client_order_id,
        "symbol": intent.symbol,
        "side": intent.side,
        "type": intent.order_type,
        "time_in_force": intent.time_in_force,
        "order_class": intent.order_class,
        "qty": f"{from_nano(intent.qty_nano):f}",
        "filled_qty": f"{from_nano(order.filled_nano):f}",
        "status": order.status,
        "avg_price": f"{from_nano(order.avg_price_nano):f}",
        "fees": f"{from_nano(order.fees_nano):f}",
        "strategy": intent.strategy,
        "sent": iso(order.sent_ns),
        "updated": iso(order.updated_ns),
        "reason": order.reason,
    }
    prices = {
        "limit_price": intent.limit_price_nano,
        "stop_price": intent.stop_price_nano,
        "trail": intent.trail_nano,
        "take_profit": intent.take_profit_nano,
        "stop_loss": intent.stop_loss_nano,
    }
    record |= {name: f"{from_nano(nano):f}" for name, nano in prices.items() if nano}
    record |= {name: value for name, value in (("replaces", intent.replaces), ("parent", intent.parent_id)) if value}
    return record


def _line(record: dict[str, Any]) -> str:
    prices = " ".join(
        f"{name.removesuffix('_price')} {record[name]}"
        for name in ("limit_price", "stop_price", "trail", "take_profit", "stop_loss")
        if name in record
    )
    links = " ".join(f"{name} {record[name]}" for name in ("replaces", "parent") if name in record)
    filled = f"{record['filled_qty']} of {record['qty']}"
    at = f" at {record['avg_price']}" if record["avg_price"] != "0" else ""
    words = f"{record['side']} {record['symbol']} {record['type']} {prices} {record['time_in_force']} {links}".split()
    return f"{record['updated']}  {record['client_order_id']}  {' '.join(words)}: {record['status']}, {filled}{at}"


def run(given: argparse.Namespace) -> int:
    """Show the orders of a client.

    Raises:
        OutcryError: There is no such run or client, or it cannot be asked.
    """
    run_dir = run_dir_of(given.run_dir)
    client, gateway = gateway_for(run_dir, given.client)
    limit = max(1, min(given.limit, _MOST))
    question = GetOrders(given.status, (), tuple(given.order_id), limit)
    if is_live(run_dir):
        page = ask(run_dir, gateway, question, Orders)
    else:
        from outcry.books import ended_books

        page = ended_books(run_dir, gateway).orders(question)
    records = [as_record(order) for order in page.orders]
    if given.json:
        told = {"client": client, "run_dir": str(run_dir), "now": iso(max(page.now_ns, 0)), "total": page.total}
        print(json.dumps(told | {"orders": records}))
        return 0
    print(f"{client}: {len(records):,} of {page.total:,} orders at {iso(max(page.now_ns, 0))}, newest first")
    for record in records:
        print(_line(record))
    return 0
