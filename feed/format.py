"""A recorded market day: a folder sealed by its manifest, or a zip of it, and everything that must be true of it.

Not the store that answers questions (``feed.store``): this reads, verifies and writes. A day that fails its seal or any
rule is refused; nothing is repaired.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from bus.clock import iso
from bus.errors import DayError
from bus.fixed import SCALE
from bus.ids import token_hex
from bus.messages import Instrument
from feed._parquet import read_columns, write_rows

__all__ = ["DAY_VERSION", "Manifest", "RecordedDay", "bar_label", "load_day", "read_manifest", "write_day"]

DAY_VERSION = 1
"""The version of the folder's format."""

_LABELS = {1: "1s", 60: "1m", 3600: "1h", 86400: "1d"}
_TABLES = ("bars", "quotes", "news", "calendar")
_HEX = re.compile(r"[0-9a-f]{64}")


class Manifest(msgspec.Struct, frozen=True):
    """What ``day.toml`` says, without the instruments."""

    version: int
    id: str
    date: str
    kind: Literal["recorded", "synthetic"]
    calendar: str
    timezone: str
    bar_s: int
    traded: tuple[str, ...]
    source: str
    licence: str


class RecordedDay(msgspec.Struct, frozen=True):
    """A verified day: its manifest, its seal, its instruments and its columns by table."""

    manifest: Manifest
    seal: str
    instruments: tuple[Instrument, ...]
    tables: dict[str, dict[str, list[Any]]]


def bar_label(bar_s: int) -> str:
    """Return a bar length as it stands in a file name, such as ``1m``."""
    return _LABELS.get(bar_s, f"{bar_s}s")


# --- writing ----------------------------------------------------------------------------------------------------------


def write_day(
    folder: Path,
    manifest: Manifest,
    instruments: Sequence[Instrument],
    tables: Mapping[str, Sequence[Sequence[Any]]],
) -> Path:
    """Write and seal a day; there is never half of one.

    Args:
        folder: Where the day will be; must not exist.
        manifest: What the day is.
        instruments: What can be traded on it.
        tables: ``bars``, ``quotes``, ``news``, ``calendar`` → rows in the order of ``feed._parquet.COLUMNS``.

    Returns:
        The folder.

    Raises:
        DayError: The folder exists.
    """
    if folder.exists():
        raise DayError(f"{folder} exists already; choose another --out, or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.parent / f".{folder.name}.{token_hex(4)}"
    draft.mkdir()
    try:
        for table in _TABLES:
            if tables.get(table):
                write_rows(draft / _file_name(table, manifest.bar_s), table, tables[table])
        seal_folder(draft, manifest, instruments)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def seal_folder(folder: Path, manifest: Manifest, instruments: Sequence[Instrument]) -> str:
    """Write ``day.toml`` over the Parquet files that are in the folder and return the seal."""
    lines = [f"{name} = {_toml(value)}" for name, value in msgspec.to_builtins(manifest).items()]
    for instrument in sorted(instruments, key=lambda item: item.symbol):
        lines.append("\n[[symbols]]")
        fields = {name: getattr(instrument, name) for name in instrument.__struct_fields__}
        lines.extend(f"{name} = {_toml(value)}" for name, value in fields.items())
    lines.append("\n[files]")
    lines.extend(f"{_toml(path.name)} = {_toml(_sha256(path))}" for path in sorted(folder.glob("*.parquet")))
    body = "\n".join(lines) + "\n"
    seal = hashlib.sha256(body.encode()).hexdigest()
    (folder / "day.toml").write_text(f'seal = "{seal}"\n{body}', encoding="utf-8")
    return seal


def _file_name(table: str, bar_s: int) -> str:
    return f"{table}_{bar_label(bar_s)}.parquet" if table in ("bars", "quotes") else f"{table}.parquet"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(str(value), ensure_ascii=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- reading ----------------------------------------------------------------------------------------------------------


def load_day(path: Path) -> RecordedDay:
    """Read and verify a day.

    Args:
        path: Its folder, or a zip of it.

    Returns:
        The day.

    Raises:
        DayError: Missing, unsealed, altered or in breach of a rule; the message names file, row and rule.
    """
    if path.suffix == ".zip" and path.is_file():
        with tempfile.TemporaryDirectory(prefix="outcry-day-") as unpacked:
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    if Path(member).is_absolute() or ".." in Path(member).parts:
                        raise DayError(
                            f"{path.name} holds {member!r}, outside its folder; a day's files stand side by side"
                        )
                archive.extractall(unpacked)
            inner = next(iter(sorted(Path(unpacked).rglob("day.toml"))), None)
            if inner is None:
                raise DayError(f"{path.name} holds no day.toml; zip the folder that `outcry days import` made")
            return load_day(inner.parent)
    manifest, instruments, seal, files = _read_toml(path)
    tables: dict[str, dict[str, list[Any]]] = {}
    for table in _TABLES:
        name = _file_name(table, manifest.bar_s)
        if name in files:
            tables[table] = read_columns(path / name, table)
    if "bars" not in tables and "quotes" not in tables:
        raise DayError(f"{path} has neither bars nor quotes; a day needs one of them")
    known = {instrument.symbol for instrument in instruments}
    for table, columns in tables.items():
        _verify(_file_name(table, manifest.bar_s), table, columns, known)
    return RecordedDay(manifest, seal, instruments, tables)


def read_manifest(path: Path) -> tuple[Manifest, str]:
    """Return the manifest and the seal of a day, after checking every file against it, without reading the data."""
    manifest, _, seal, _ = _read_toml(path)
    return manifest, seal


def _read_toml(path: Path) -> tuple[Manifest, tuple[Instrument, ...], str, dict[str, str]]:
    toml = path / "day.toml"
    if not toml.is_file():
        raise DayError(
            f"{path} is no recorded day: it has no day.toml; make one with `outcry days import` or `days sample`"
        )
    text = toml.read_text(encoding="utf-8")
    first, _, body = text.partition("\n")
    seal = first.removeprefix('seal = "').rstrip('"')
    if not _HEX.fullmatch(seal) or hashlib.sha256(body.encode()).hexdigest() != seal:
        raise DayError(f"{toml} does not match its seal: it was changed after it was made; import the day again")
    try:
        raw = tomllib.loads(body)
        version = raw.get("version")
        if version != DAY_VERSION:
            raise DayError(
                f"{toml}: format version {version!r}; this release reads {DAY_VERSION}: import the day again"
            )
        files: dict[str, str] = raw.pop("files", {})
        instruments = tuple(
            msgspec.convert([Instrument.__name__, *entry.values()], Instrument) for entry in raw.pop("symbols", [])
        )
        manifest = msgspec.convert(raw, Manifest)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise DayError(f"{toml} cannot be read: {error}; import the day again") from error
    present = {item.name for item in path.glob("*.parquet")}
    if present != set(files):
        odd = sorted(present ^ set(files))
        raise DayError(
            f"{path.name}: files and manifest differ in {', '.join(odd)}; a sealed day is not edited: import it again"
        )
    for name, digest in files.items():
        if _sha256(path / name) != digest:
            raise DayError(f"{name} does not match the seal of {path.name}: it was changed; import the day again")
    return manifest, instruments, seal, files


def _verify(name: str, table: str, columns: dict[str, list[Any]], known: set[str]) -> None:
    previous: tuple[int, str] = (-1, "")
    for row, (event, available) in enumerate(zip(columns["event_time"], columns["available_time"], strict=True)):
        symbol = columns["symbol"][row] if "symbol" in columns else str(row)
        where = f"{name}, row {row:,} ({symbol}, {iso(event)})"
        if available < event:
            raise DayError(f"{where}: available before it happened; available_time must be at or after event_time")
        if (event, symbol) <= previous and "symbol" in columns:
            raise DayError(f"{where}: out of order or twice; rows are sorted by event_time, symbol and unique")
        if event < previous[0]:
            raise DayError(f"{where}: out of order; rows are sorted by event_time")
        previous = (event, symbol)
        if "symbol" in columns:
            if symbol not in known:
                raise DayError(f"{where}: the symbol is not in day.toml; it has {', '.join(sorted(known))}")
            if not columns["open_time"][row] < event:
                raise DayError(f"{where}: the interval ends before it begins; open_time must be before event_time")
            (_verify_bar if table == "bars" else _verify_quote)(where, columns, row)


def _price(where: str, columns: dict[str, list[Any]], row: int, name: str) -> float:
    value = columns[name][row]
    if not math.isfinite(value) or value <= 0 or value * SCALE >= 2**63:
        raise DayError(f"{where}: {name} is {value}; a price is a finite number above 0")
    return value


def _verify_bar(where: str, columns: dict[str, list[Any]], row: int) -> None:
    opened, high, low, close = (_price(where, columns, row, name) for name in ("open", "high", "low", "close"))
    if high < low:
        raise DayError(f"{where}: high {high} is below low {low}")
    if not low <= opened <= high or not low <= close <= high:
        raise DayError(f"{where}: open {opened} or close {close} is outside low {low} and high {high}")
    volume = columns["volume"][row]
    if not math.isfinite(volume) or volume < 0 or volume * SCALE >= 2**63:
        raise DayError(f"{where}: volume is {volume}; allowed is a finite number from 0")


def _verify_quote(where: str, columns: dict[str, list[Any]], row: int) -> None:
    for name in ("bid_open", "ask_open", "bid", "ask"):
        _price(where, columns, row, name)
    for name in ("bid_size", "ask_size"):
        if not math.isfinite(columns[name][row]) or columns[name][row] < 0:
            raise DayError(f"{where}: {name} is {columns[name][row]}; allowed is a finite number from 0")
