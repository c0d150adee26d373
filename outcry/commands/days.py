"""``outcry days``: list, show, import, check and make recorded days. Not where days are read: that is ``feed``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bus.clock import iso

if TYPE_CHECKING:
    from feed.catalog import DayReport

__all__ = ["add", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, does: str) -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.", allow_abbrev=False)
        one.add_argument("--json", action="store_true", help="one JSON object on stdout")
        return one

    one = action("list", "the days in a folder")
    one.add_argument("folder", type=Path, nargs="?", default=Path("days"), help="a folder of days (default: ./days)")
    action("show", "what a day holds, verified in full").add_argument("day", type=Path, help="a folder or zip")
    action("check", "verify a day's seal and every rule").add_argument("day", type=Path, help="a folder or zip")
    one = action("import", "make one sealed day a session date from a folder of Parquet files")
    one.add_argument("folder", type=Path, help="Parquet files of bars, quotes, trades or posts")
    one.add_argument("--out", type=Path, default=Path("days"), help="where the days are made (default: ./days)")
    one = action("sample", "write the built-in synthetic day")
    one.add_argument("--out", type=Path, required=True, help="the folder to make")
    one.add_argument("--seed", type=int, default=7, help="which of the invented days (default: 7)")


def run(given: argparse.Namespace) -> int:
    """Do one action.

    Raises:
        DayError: The day or folder cannot be used.
    """
    does: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": _list,
        "show": _show,
        "check": _check,
        "import": _import,
        "sample": _sample,
    }
    return does[given.action](given)


def _json(value: Any) -> None:
    import msgspec

    print(msgspec.json.encode(value).decode())


def _list(given: argparse.Namespace) -> int:
    from feed.catalog import list_days

    days = list_days(given.folder)
    if given.json:
        _json({"days": days})
        return 0
    for day in days:
        told = day.problem or f"{day.date}  {day.kind:<9}  {', '.join(day.traded) or 'symbols by turnover'}"
        print(f"{day.id:<40}  {told}")
    if not days:
        print(f"no days in {given.folder}; make one with `outcry days sample --out {given.folder}/sample`")
    return 0


def _show(given: argparse.Namespace) -> int:
    from feed.catalog import show_day

    report = show_day(given.day)
    if given.json:
        _json(report)
    else:
        _print_report(report)
    return 0


def _check(given: argparse.Namespace) -> int:
    from feed.catalog import check_day

    report = check_day(given.day)
    if given.json:
        _json({"ok": True, "id": report.id, "seal": report.seal, "rows": report.rows})
    else:
        print(f"{report.id}: the seal holds ({report.seal[:16]}…), {sum(report.rows.values()):,} rows keep every rule")
    return 0


def _print_report(report: DayReport) -> None:
    label = "  *** SYNTHETIC DATA: not a market ***" if report.kind == "synthetic" else ""
    rows = {
        "day": f"{report.id} ({report.kind}){label}",
        "date": report.date,
        "from": iso(report.first_ns),
        "to": iso(report.last_ns),
        "calendar": f"{report.calendar} ({report.timezone})",
        "bars of": f"{report.bar_s:,} s",
        "instants": f"{report.instants:,}",
        "rows": ", ".join(f"{name} {count:,}" for name, count in report.rows.items()),
        "symbols": ", ".join(report.symbols),
        "traded": ", ".join(report.traded),
        "source": report.source,
        "licence": report.licence,
        "seal": report.seal,
    }
    for name, value in rows.items():
        print(f"{name:<9}  {value}")


def _import(given: argparse.Namespace) -> int:
    from feed.importer import import_folder

    def told(done: int, total: int, day: str) -> None:
        sys.stderr.write(f"{done:,}/{total:,}  {day}\n")

    days = import_folder(given.folder, given.out, told)
    if given.json:
        _json({"days": [str(day) for day in days]})
    else:
        for day in days:
            print(day)
    return 0


def _sample(given: argparse.Namespace) -> int:
    from feed.sample import write_sample

    path = write_sample(given.out, seed=given.seed)
    if given.json:
        _json({"path": str(path), "kind": "synthetic"})
    else:
        print(f"{path}  *** SYNTHETIC DATA: not a market ***")
    return 0
