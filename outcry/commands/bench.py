"""``outcry bench``: figures beside floors measured in the same run. Not where they are measured: that is ``bench``."""

from __future__ import annotations

import argparse
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench._measure import Result

__all__ = ["add", "run"]

_BENCHES = ("bus", "gate", "journal", "replay", "feed", "mcp")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bench", choices=_BENCHES, help="what to measure")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds: rough figures")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(given: argparse.Namespace) -> int:
    """Measure and print."""
    results: list[Result] = importlib.import_module(f"bench.{given.bench}").run(quick=given.quick)
    if given.json:
        import msgspec

        print(msgspec.json.encode({"bench": given.bench, "results": results}).decode())
        return 0
    width = max(len(one.name) for one in results)
    print(f"{'':<{width}}  {'unit':>8}  {'floor':>12}  {'ours':>12}  {'ratio':>7}  {'p99':>12}  {'floor p99':>12}")
    for one in results:
        print(
            f"{one.name:<{width}}  {one.unit:>8}  {one.floor:>12,.3f}  {one.ours:>12,.3f}  {one.ratio:>6.2f}x  "
            f"{one.p99:>12,.3f}  {'' if one.floor_p99 is None else format(one.floor_p99, ',.3f'):>12}"
        )
    return 0
