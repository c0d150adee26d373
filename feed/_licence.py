"""Where recorded data came from and under which terms, told by a ``manifest.json`` beside it. Not legal advice.

Such a manifest has ``files``: a list with ``file`` (a path), ``source``, ``licence`` and ``note`` of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

__all__ = ["Origins"]

_COUNT = re.compile(r"\d+ source rows")
_UNKNOWN = "as at the source; not told, so do not redistribute"


class _Entry(msgspec.Struct):
    file: str
    source: list[str] = []
    licence: list[str] = []
    note: str = ""


class _Listing(msgspec.Struct):
    files: list[_Entry]


class Origins:
    """The listing of a folder that is imported, or nothing."""

    def __init__(self, source: Path) -> None:
        """Read the ``manifest.json`` in the folder or beside it (a file: its folder), where there is a readable one."""
        self._entries: dict[Path, _Entry] = {}
        home = source.parent if source.is_file() else source
        for folder in (home, home.parent):
            path = folder / "manifest.json"
            if path.is_file() and not self._entries:
                try:
                    listing = msgspec.json.decode(path.read_bytes(), type=_Listing)
                except msgspec.DecodeError:
                    continue
                self._entries = {folder / entry.file: entry for entry in listing.files}

    def of(self, files: Iterable[Path]) -> tuple[list[str], str]:
        """Return where these files came from, with what is to be known of them, and their licence."""
        own = [self._entries[path] for path in sorted(files) if path in self._entries]
        origins = {origin.partition(":")[0] for entry in own for origin in entry.source if ":" in origin}
        notes = {entry.note for entry in own if entry.note and not _COUNT.match(entry.note)}
        terms = {licence for entry in own for licence in entry.licence}
        return [*sorted(origins), *sorted(notes)], " | ".join(sorted(terms)) or _UNKNOWN
