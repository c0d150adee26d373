"""What shows that a journal is whole: a chain of digests over its events, and a note beside it of how far it was.

Not a signature: it finds what a disk, a copy or a careless hand did, not what an attacker does who can compute it too.
SQLite cuts a torn write-ahead log back to its last whole transaction and says nothing; the note says that there was
more. It stands in the lock file and is not waited for: a note that is older than the journal means nothing. It outlives
the process because the kernel has it, and that is all it must outlive.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from hashlib import blake2b
from pathlib import Path

from bus.errors import JournalError

__all__ = ["Note", "START", "link"]

START = bytes(16)
"""The seal before the first event."""
_CHECK = 8
_SIZE = 24 + _CHECK


def link(before: bytes, body: bytes) -> bytes:
    """Return the seal of an order or of the events of one batch: over their bytes and the seal before them."""
    return blake2b(before + body, digest_size=16).digest()


class Note:
    """The lock file: whose journal this is as long as the process lives, and how far the journal was."""

    def __init__(self, journal: Path) -> None:
        """Take the lock, which the kernel releases when this process ends, however it ends.

        Raises:
            JournalError: Another gateway has the journal, or the folder cannot be written.
        """
        name = journal.with_name(journal.name + ".lock")
        try:
            self._file = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise JournalError(
                f"the journal's lock {name} could not be made: {error}; give a writable folder"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise JournalError(f"another gateway writes {journal}; stop it first: a journal has one writer") from error
        try:
            if os.fstat(self._file).st_size < _SIZE:
                os.posix_fallocate(self._file, 0, _SIZE)
            self._note = mmap.mmap(self._file, _SIZE)
        except OSError as error:
            os.close(self._file)
            raise JournalError(
                f"the journal's note {name} could not be made: {error}; the disk must have space"
            ) from error

    def read(self) -> tuple[int, bytes]:
        """Return the last event's number and seal that were noted; 0 when there is no whole note."""
        body, check = self._note[:24], self._note[24:_SIZE]
        if blake2b(body, digest_size=_CHECK).digest() != check:
            return 0, START
        return int.from_bytes(body[:8], "big"), body[8:]

    def write(self, seq: int, seal: bytes) -> None:
        """Note how far the journal is."""
        body = seq.to_bytes(8, "big") + seal
        self._note[:_SIZE] = body + blake2b(body, digest_size=_CHECK).digest()

    def close(self) -> None:
        """Release the lock."""
        if self._file >= 0:
            self._note.close()
            os.close(self._file)
            self._file = -1
