"""Runs a function in a forked child and returns what it said: for what a process does to itself for good."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable

__all__ = ["in_child", "without_landlock"]

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD_NUMBER, _JUMP_AT_LEAST, _JUMP_ABOVE, _RETURN = 0x20, 0x35, 0x25, 0x06
_ALLOW, _ENOSYS = 0x7FFF0000, 0x00050000 | 38


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def in_child(action: Callable[[], object]) -> str:
    """Return what ``action`` returned in a child, or ``TypeError: its text`` when it raised."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(write, 0)  # below 3: confining closes what is above
        try:
            told = str(action())
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(0, told.encode()[:60_000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read().decode()
    os.waitpid(pid, 0)
    return told


def without_landlock() -> None:
    """Make this process's kernel one that has no Landlock: its three system calls are answered with ENOSYS."""
    lines = (
        (_LOAD_NUMBER, 0, 0, 0),
        (_JUMP_AT_LEAST, 0, 2, 444),
        (_JUMP_ABOVE, 1, 0, 446),
        (_RETURN, 0, 0, _ENOSYS),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = _Program(len(lines), ctypes.cast(code, ctypes.c_void_p).value)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(program)) == 0, ctypes.get_errno()
