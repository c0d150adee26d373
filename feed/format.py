"""A recorded market day: a folder sealed by its manifest, or a zip of it, and everything that must be true of it.

Not the store that answers questions (``feed.store``): this reads, verifies and writes. A day that fails its seal or any
rule (``feed._rules``) is refused; nothing is repaired.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bus.errors import DayError
from bus.ids import token_hex
from bus.messages import Instrument
from feed._parquet import COLUMNS, Columns, as_columns, read_columns, using, write_columns
from feed._rules import check_table, session_bounds
from feed._seal import DAY_VERSION, Manifest, bar_label, file_name, read_toml, seal_folder

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "DAY_VERSION",
    "Manifest",
    "RecordedDay",
    "bar_label",
    "load_day",
    "read_manifest",
    "seal_folder",
    "write_day",
]

_MOST_UNPACKED = 4 << 30
_NO_MARKET = "has neither bars nor quotes; a day needs one of them: import it again"


class RecordedDay(msgspec.Struct, frozen=True):
    """A verified day: its manifest, its seal, its instruments and its columns by table."""

    manifest: Manifest
    seal: str
    instruments: tuple[Instrument, ...]
    tables: dict[str, dict[str, list[Any]]]


def write_day(
    folder: Path,
    manifest: Manifest,
    instruments: Sequence[Instrument],
    tables: Mapping[str, Sequence[Sequence[Any]]],
    db: duckdb.DuckDBPyConnection | None = None,
    *,
    checked: bool = False,
) -> Path:
    """Write and seal a day; there is never half of one.

    Args:
        folder: Where the day will be; must not exist.
        manifest: What the day is.
        instruments: What can be traded on it.
        tables: ``bars``, ``quotes``, ``trades``, ``news``, ``calendar`` → rows in the order of
            ``feed._parquet.COLUMNS``.
        db: A connection of ``feed._parquet.connect`` for whoever writes many days; None makes one.
        checked: Refuse here what ``load_day`` would refuse, so that nothing is left behind.

    Returns:
        The folder.

    Raises:
        DayError: The folder exists, or, when checked, a row breaks a rule.
    """
    if folder.exists():
        raise DayError(f"{folder} exists already; choose another --out, or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.parent / f".{folder.name}.{token_hex(4)}"
    draft.mkdir()
    try:
        if checked:
            _check_manifest(manifest, instruments)
        with using(db) as base:
            for table in COLUMNS:
                if tables.get(table):
                    columns = as_columns(table, tables[table])
                    name = file_name(table, manifest.bar_s)
                    if checked:
                        _check(name, table, columns, manifest, instruments)
                    write_columns(base, draft / name, table, columns)
        seal_folder(draft, manifest, instruments)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def _check(name: str, table: str, columns: Columns, manifest: Manifest, instruments: Sequence[Instrument]) -> None:
    known = {instrument.symbol for instrument in instruments}
    bounds = session_bounds(manifest.date, manifest.calendar)
    check_table(name, table, columns, known=known, bar_s=manifest.bar_s, bounds=bounds)


def _check_manifest(manifest: Manifest, instruments: Sequence[Instrument]) -> None:
    known = [instrument.symbol for instrument in instruments]
    if len(set(known)) < len(known):
        raise DayError(f"day.toml of {manifest.id}: a symbol is described twice; each once: import the day again")
    unknown = sorted(set(manifest.traded) - set(known))
    if unknown or not manifest.traded:
        raise DayError(
            f"day.toml of {manifest.id}: traded is {', '.join(manifest.traded) or 'empty'}; "
            f"allowed are {', '.join(sorted(known))}: import the day again"
        )
    if manifest.bar_s < 1:
        raise DayError(f"day.toml of {manifest.id}: bar_s is {manifest.bar_s}; allowed is 1 or more")
    for item in instruments:
        if min(item.tick_nano, item.lot_nano, item.multiplier) < 1:
            raise DayError(f"day.toml of {manifest.id}: tick, lot and multiplier of {item.symbol} must be above 0")


def load_day(path: Path, db: duckdb.DuckDBPyConnection | None = None) -> RecordedDay:
    """Read and verify a day.

    Args:
        path: Its folder, or a zip of it.
        db: A connection of ``feed._parquet.connect`` for whoever reads many days; None makes one.

    Returns:
        The day.

    Raises:
        DayError: Missing, unsealed, altered or in breach of a rule; the message names file, row and rule.
    """
    if path.suffix == ".zip" and path.is_file():
        with tempfile.TemporaryDirectory(prefix="outcry-day-") as unpacked:
            return load_day(_unpack(path, Path(unpacked)), db)
    manifest, instruments, seal, files = read_toml(path)
    _check_manifest(manifest, instruments)
    names = {file_name(table, manifest.bar_s): table for table in COLUMNS}
    if odd := sorted(set(files) - set(names)):
        raise DayError(f"{path.name} holds {', '.join(odd)}; allowed are {', '.join(names)}: import the day again")
    if not {"bars", "quotes"} & {names[name] for name in files}:
        raise DayError(f"{path} {_NO_MARKET}")
    tables: dict[str, dict[str, list[Any]]] = {}
    with using(db) as base:
        for name, table in names.items():
            if name in files:
                columns = read_columns(base, path / name, table)
                _check(name, table, columns, manifest, instruments)
                tables[table] = {column: values.tolist() for column, values in columns.items()}
    return RecordedDay(manifest, seal, instruments, tables)


def read_manifest(path: Path) -> tuple[Manifest, str]:
    """Return the manifest and the seal of a day, after checking every file against it, without reading the data."""
    if path.suffix == ".zip" and path.is_file():
        with tempfile.TemporaryDirectory(prefix="outcry-day-") as unpacked:
            return read_manifest(_unpack(path, Path(unpacked)))
    manifest, _, seal, _ = read_toml(path)
    return manifest, seal


def _unpack(path: Path, into: Path) -> Path:
    """Unpack a zip and return the folder of the one day in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                parts = Path(member.filename).parts
                if Path(member.filename).is_absolute() or ".." in parts:
                    raise DayError(
                        f"{path.name} holds {member.filename!r}, outside its folder; zip the day's folder again"
                    )
            size = sum(member.file_size for member in archive.infolist())
            if size > _MOST_UNPACKED:
                raise DayError(
                    f"{path.name} unpacks to {size:,} bytes; allowed are {_MOST_UNPACKED:,}: unpack it yourself "
                    "and name the folder"
                )
            archive.extractall(into)
    # zipfile raises NotImplementedError for a compression it lacks and RuntimeError for an encrypted member
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
        raise DayError(f"{path.name} is not a readable zip: {error}; zip the day's folder again") from error
    found = sorted(into.rglob("day.toml"))
    if len(found) != 1:
        raise DayError(
            f"{path.name} holds {len(found)} files day.toml; allowed is one: zip one folder that "
            "`outcry days import` made"
        )
    return found[0].parent
