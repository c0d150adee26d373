"""Why an order was approved or denied, from the gate's journal alone: what it was judged by, and the verdict again.

Not a second judge: the same controls, on the inputs that were written with the verdict and the limits of its version.
It reads the file only, also while the gate runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from bus.clock import iso
from bus.errors import ConfigError, JournalError
from bus.fixed import from_nano
from bus.messages import OrderIntent, Verdict
from risk.inputs import recompute
from risk.reasons import REASONS
from risk.records import Judged, read_terms, read_verdicts
from risk.spec import GateSpec

__all__ = ["Explained", "Explanation", "Input", "explain", "recomputed"]


class Input(msgspec.Struct, frozen=True):
    """One thing a verdict was computed from: its name in the journal, in words, and its value as a person writes it."""

    name: str
    words: str
    value: str


class Explained(msgspec.Struct, frozen=True):
    """One verdict.

    Attributes:
        recomputed: The code that its inputs lead to now; empty where the request was refused before its order was
            judged (another client's, another instant's), so that there were no inputs.
        agrees: Whether that is the code that was given.
    """

    seq: int
    client: str
    intent: OrderIntent
    verdict: Verdict
    meaning: str
    inputs: tuple[Input, ...]
    recomputed: str
    agrees: bool


class Explanation(msgspec.Struct, frozen=True):
    """Every verdict that was given on one client order id, in order."""

    client_order_id: str
    verdicts: tuple[Explained, ...]


def explain(database: Path, client_order_id: str) -> Explanation:
    """Return every verdict on an order with what it was computed from, computed again.

    Args:
        database: The gate's journal.
        client_order_id: The order.

    Raises:
        ConfigError: There is no such journal, or no verdict on this order.
        JournalError: The journal is damaged or cannot be read.
    """
    found = [entry for entry in recomputed(database) if entry.verdict.client_order_id == client_order_id]
    if not found:
        raise ConfigError(
            f"the gate gave no verdict on {client_order_id[:60]!r}; see which orders there are with `outcry orders`"
        )
    return Explanation(client_order_id, tuple(found))


def recomputed(database: Path) -> Iterator[Explained]:
    """Yield every verdict of a journal, computed again.

    Raises:
        ConfigError: There is no such journal.
        JournalError: The journal is damaged or cannot be read.
    """
    if not database.is_file():
        raise ConfigError(f"there is no gate's journal {database.name} in {database.parent.name}; name a run that ran")
    try:
        db = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise JournalError(f"the gate's journal cannot be read: {error}; see whose file it is") from error
    with closing(db):
        specs = {version: msgspec.json.decode(raw, type=GateSpec) for version, raw in read_terms(db).items()}
        for seq, entry in enumerate(read_verdicts(db), 1):
            yield _explained(seq, entry, specs.get(entry.verdict.limits_version))


def _explained(seq: int, entry: Judged, spec: GateSpec | None) -> Explained:
    verdict = entry.verdict
    code = ""
    if spec is not None and entry.inputs:
        code = recompute(spec, entry.client, entry.intent, entry.inputs)
    return Explained(
        seq=seq,
        client=entry.client,
        intent=entry.intent,
        verdict=verdict,
        meaning=REASONS.get(verdict.code, ""),
        inputs=tuple(Input(name, _words(name), _value(name, value)) for name, value in entry.inputs.items()),
        recomputed=code,
        # A used id is known from the journal itself, not from an order's inputs: whatever they lead to, it stands.
        agrees=code == verdict.code or code == "" or verdict.code == "order_id_reused",
    )


def _words(name: str) -> str:
    part, _, rest = name.rpartition(".")
    plain = rest.removesuffix("_nano").removesuffix("_ns").replace("_", " ")
    return f"{part}: {plain}" if part else plain


def _value(name: str, value: int | str | bool | None) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value or "-"
    if name.endswith("_nano"):
        return f"{from_nano(value):,f}"
    return iso(value) if name.endswith("_ns") and value > 0 else f"{value:,}"
