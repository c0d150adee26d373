"""What `outcry days` tells about days. Not a database: a folder is a day, a folder of folders is a catalog."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bus.errors import DayError
from feed.format import load_day, read_manifest
from feed.store import DayStore

__all__ = ["DayLine", "DayReport", "check_day", "list_days", "show_day"]


@dataclass(frozen=True)
class DayLine:
    """One day in a list. ``problem`` is empty, or says why it cannot be used."""

    path: str
    id: str
    date: str
    kind: str
    traded: tuple[str, ...]
    problem: str


@dataclass(frozen=True)
class DayReport:
    """One day in full."""

    path: str
    id: str
    date: str
    kind: str
    source: str
    licence: str
    calendar: str
    timezone: str
    bar_s: int
    symbols: tuple[str, ...]
    traded: tuple[str, ...]
    rows: dict[str, int]
    first_ns: int
    last_ns: int
    instants: int
    seal: str


def list_days(folder: Path) -> list[DayLine]:
    """Return the days directly in a folder, by name; a broken one is listed with its problem."""
    if not folder.is_dir():
        raise DayError(f"{folder} is no folder; name one that holds recorded days")
    lines: list[DayLine] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue  # a draft that an import left when it was killed
        if path.suffix == ".zip" or (path / "day.toml").is_file():
            try:
                manifest, _ = read_manifest(path)
            except DayError as error:
                lines.append(DayLine(str(path), path.name, "", "", (), str(error)))
            else:
                lines.append(DayLine(str(path), manifest.id, manifest.date, manifest.kind, manifest.traded, ""))
    return lines


def show_day(path: Path) -> DayReport:
    """Return what a day holds, verified in full.

    Raises:
        DayError: The day breaks its seal or a rule.
    """
    day = load_day(path)
    info = DayStore(day).info()
    manifest = day.manifest
    return DayReport(
        path=str(path),
        id=manifest.id,
        date=manifest.date,
        kind=manifest.kind,
        source=manifest.source,
        licence=manifest.licence,
        calendar=manifest.calendar,
        timezone=manifest.timezone,
        bar_s=manifest.bar_s,
        symbols=tuple(instrument.symbol for instrument in day.instruments),
        traded=info.traded,
        rows={table: len(columns["event_time"]) for table, columns in day.tables.items()},
        first_ns=info.first_ns,
        last_ns=info.last_ns,
        instants=info.instants,
        seal=day.seal,
    )


def check_day(path: Path) -> DayReport:
    """Verify a day: its seal, every file and every rule. The same as ``show_day``; the name says what it is for."""
    return show_day(path)
