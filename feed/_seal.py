"""``day.toml``: what a day is, in one deterministic text, and the seal over it and every file beside it.

Not the rules about rows (``feed._rules``). A seal shows that nothing changed since the day was made; it does not say
who made it.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from bus.errors import DayError
from bus.messages import Instrument

__all__ = ["DAY_VERSION", "Manifest", "bar_label", "file_name", "read_toml", "seal_folder"]

DAY_VERSION = 1
"""The version of the folder's format."""

_LABELS = {1: "1s", 60: "1m", 3600: "1h", 86400: "1d"}
_HEX = re.compile(r"[0-9a-f]{64}")
_SYMBOL = ("symbol", "kind", "currency", "tick_nano", "lot_nano", "multiplier", "has_volume", "tradable")


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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


def bar_label(bar_s: int) -> str:
    """Return a bar length as it stands in a file name, such as ``1m``."""
    return _LABELS.get(bar_s, f"{bar_s}s")


def file_name(table: str, bar_s: int) -> str:
    """Return the name of a table's file on a day with bars of that length, such as ``bars_1m.parquet``."""
    return f"{table}_{bar_label(bar_s)}.parquet" if table in ("bars", "quotes") else f"{table}.parquet"


def seal_folder(folder: Path, manifest: Manifest, instruments: Sequence[Instrument]) -> str:
    """Write ``day.toml`` over the Parquet files that are in the folder and return the seal."""
    lines = [f"{name} = {_toml(value)}" for name, value in msgspec.to_builtins(manifest).items()]
    for instrument in sorted(instruments, key=lambda item: item.symbol):
        lines.append("\n[[symbols]]")
        lines.extend(f"{name} = {_toml(getattr(instrument, name))}" for name in _SYMBOL)
    lines.append("\n[files]")
    lines.extend(f"{_toml(path.name)} = {_toml(_sha256(path))}" for path in sorted(folder.glob("*.parquet")))
    body = ("\n".join(lines) + "\n").encode()
    seal = hashlib.sha256(body).hexdigest()
    (folder / "day.toml").write_bytes(f'seal = "{seal}"\n'.encode() + body)
    return seal


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # JSON's escapes are TOML's, except that TOML takes letters beyond the first plane only as they are, and no DEL.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_toml(path: Path) -> tuple[Manifest, tuple[Instrument, ...], str, dict[str, str]]:
    """Return the manifest, the instruments, the seal and the files of a day's folder.

    Raises:
        DayError: No day, or the manifest or any file differs from what was sealed.
    """
    toml = path / "day.toml"
    if not toml.is_file():
        raise DayError(
            f"{path} is no recorded day: it has no day.toml; make one with `outcry days import` or `outcry days sample`"
        )
    first, _, body = toml.read_bytes().partition(b"\n")
    seal = first.decode("ascii", "replace").strip().removeprefix('seal = "').removesuffix('"')
    if not _HEX.fullmatch(seal) or hashlib.sha256(body).hexdigest() != seal:
        raise DayError(f"{toml} does not match its seal: it was changed after it was made; import the day again")
    try:
        raw = tomllib.loads(body.decode())
        version = raw.get("version")
        if version != DAY_VERSION:
            raise DayError(
                f"{toml}: format version {version!r}; this release reads {DAY_VERSION}: import the day again"
            )
        files = msgspec.convert(raw.pop("files", {}), dict[str, str])
        entries = msgspec.convert(raw.pop("symbols", []), list[dict[str, Any]])
        instruments = tuple(_instrument(entry) for entry in entries)
        manifest = msgspec.convert(raw, Manifest)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise DayError(f"{toml} cannot be read: {error}; import the day again") from error
    _check_files(path, files)
    return manifest, instruments, seal, files


def _instrument(entry: dict[str, Any]) -> Instrument:
    if set(entry) != set(_SYMBOL):
        odd = ", ".join(sorted(set(entry) ^ set(_SYMBOL)))
        raise msgspec.ValidationError(f"[[symbols]] differs in {odd}; each has {', '.join(_SYMBOL)}")
    return msgspec.convert([Instrument.__name__, *(entry[name] for name in _SYMBOL)], Instrument)


def _check_files(path: Path, files: dict[str, str]) -> None:
    present = {item.name for item in path.glob("*.parquet")}
    if present != set(files):
        odd = sorted(present ^ set(files))
        raise DayError(
            f"{path.name}: files and manifest differ in {', '.join(odd)}; a sealed day is not edited: import it again"
        )
    for name, digest in files.items():
        if _sha256(path / name) != digest:
            raise DayError(f"{name} does not match the seal of {path.name}: it was changed; import the day again")
