"""``outcry positions``: what a client holds and owns as execution knows it. Not a valuation of a run that has ended."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bus.clock import iso
from bus.fixed import from_nano
from bus.messages import Account, GetAccount
from outcry.ask import ask, gateway_for, is_live, run_dir_of

__all__ = ["add", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run's folder; without it the newest live one")
    parser.add_argument("--client", default="", metavar="NAME", help="whose; the desk's own client without it")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _money(nano: int) -> str:
    return f"{from_nano(nano):,.2f}"


def run(given: argparse.Namespace) -> int:
    """Show the account of a client.

    Raises:
        OutcryError: There is no such run or client, or it cannot be asked.
    """
    run_dir = run_dir_of(given.run_dir)
    client, gateway = gateway_for(run_dir, given.client)
    live = is_live(run_dir)
    if live:
        account = ask(run_dir, gateway, GetAccount(0), Account)
    else:
        from outcry.books import ended_books

        account = ended_books(run_dir, gateway).account()
    told: dict[str, Any] = {
        "client": client,
        "run_dir": str(run_dir),
        "mode": account.mode,
        "now": iso(max(account.now_ns, 0)),
        "marked": live,
        "halted": account.halted,
        "cash": f"{from_nano(account.cash_nano):f}",
        "fees": f"{from_nano(account.fees_nano):f}",
        "equity": f"{from_nano(account.equity_nano):f}" if live else "",
        "positions": [
            {
                "symbol": held.symbol,
                "qty": f"{from_nano(held.qty_nano):f}",
                "avg_price": f"{from_nano(held.avg_price_nano):f}",
                "mark": f"{from_nano(held.mark_nano):f}" if live else "",
                "realized": f"{from_nano(held.realized_nano):f}",
            }
            for held in account.positions
        ],
    }
    if given.json:
        print(json.dumps(told))
        return 0
    equity = f", equity {_money(account.equity_nano)}" if live else " (the run has ended: nothing is marked)"
    print(f"{client}, {account.mode}, at {told['now']}: cash {_money(account.cash_nano)}{equity}")
    if account.halted:
        print(f"HALTED, nothing new is sent: {account.halted}")
    for held in account.positions:
        mark = f", mark {from_nano(held.mark_nano):f}" if live else ""
        print(
            f"  {held.symbol:<12}{from_nano(held.qty_nano):>16f} at {from_nano(held.avg_price_nano):f}{mark}, "
            f"realized {_money(held.realized_nano)}"
        )
    return 0
