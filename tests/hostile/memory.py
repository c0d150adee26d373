"""Looks for a key in the memory, environment and arguments of a process, as far as the caller may."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

__all__ = ["holds"]

_PROCESS_VM_READV = 310
_PIECE = 1 << 20


class _Span(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _copy(pid: int, first: int, size: int) -> bytes:
    """Return memory, as much of it as there is.

    Raises:
        OSError: It cannot be read, or not by this process.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(size)
    here = _Span(ctypes.cast(buffer, ctypes.c_void_p).value, size)
    there = _Span(first, size)
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    read = int(libc.syscall(_PROCESS_VM_READV, pid, ctypes.byref(here), one, ctypes.byref(there), one, none))
    if read < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return buffer.raw[:read]


def holds(pid: int, word: re.Pattern[bytes]) -> bool:
    """Whether a process has such a word in its arguments or anywhere in its memory, where its environment is too.

    Raises:
        PermissionError: This process may not look into that one.
    """
    if word.search(Path(f"/proc/{pid}/cmdline").read_bytes()):
        return True
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
        span, rights = line.split()[:2]
        if "r" not in rights or "w" not in rights:  # what cannot be written was mapped from a file
            continue
        first, last = (int(part, 16) for part in span.split("-"))
        before = b""
        for start in range(first, last, _PIECE):
            try:
                piece = _copy(pid, start, min(_PIECE, last - start))
            except PermissionError:
                raise
            except OSError:  # a guard page
                before = b""
                continue
            if word.search(before + piece):
                return True
            before = piece[-100:]
    return False
