"""What a process can give up for good: being looked into by others, core files, privileges, inherited descriptors.

Not a policy: ``outcry.confine`` says which process gives up what.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Collection

__all__ = [
    "close_descriptors",
    "drop_privileges",
    "has_privileges",
    "is_dumpable",
    "no_core",
    "not_dumpable",
    "parent_death_signal",
    "set_parent_death_signal",
]

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 24, 47, 4
_CAPABILITY_VERSION = 0x20080522
_CAPABILITIES = 64


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(what: str, *arguments: object) -> int:
    result = int(_libc().prctl(*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"prctl({what}) failed: {os.strerror(ctypes.get_errno())}")
    return result


def not_dumpable() -> None:
    """Close this process's ``/proc`` entries, memory and tracing to every other process of the same user.

    It holds for what this process forks, and ends with ``exec``.
    """
    _prctl("PR_SET_DUMPABLE", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def is_dumpable() -> bool:
    """Whether other processes of the same user may look into this one."""
    return _prctl("PR_GET_DUMPABLE", _PR_GET_DUMPABLE, 0, 0, 0, 0) == 1


def no_core() -> None:
    """Let a crash write no memory to disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def close_descriptors(keep: Collection[int] = ()) -> None:
    """Close every descriptor above 2 that was inherited, but those in ``keep``."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2 and fd not in keep:
            with contextlib.suppress(OSError):  # the listing's own descriptor is gone by now
                os.close(fd)


def parent_death_signal() -> int:
    """Return which signal the kernel sends when the parent dies, 0 for none."""
    number = ctypes.c_int(0)
    _prctl("PR_GET_PDEATHSIG", _PR_GET_PDEATHSIG, ctypes.byref(number), 0, 0, 0)
    return number.value


def set_parent_death_signal(number: int, parent: int) -> None:
    """Ask for that signal again (the kernel forgets it when the user changes); die at once if the parent is gone."""
    _prctl("PR_SET_PDEATHSIG", _PR_SET_PDEATHSIG, number, 0, 0, 0)
    if number and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def has_privileges() -> bool:
    """Whether this process has any capability left."""
    header, sets = _Header(_CAPABILITY_VERSION, 0), (_Sets * 2)()
    if _libc().capget(ctypes.byref(header), ctypes.byref(sets)) != 0:
        raise OSError(ctypes.get_errno(), "capget failed")
    return any(one.permitted for one in sets)


def drop_privileges(keep: Collection[int] = ()) -> None:
    """Give up every capability but those in ``keep``, also for programs that this process may start.

    Args:
        keep: Numbers of ``capabilities(7)``.

    Raises:
        OSError: The kernel refused.
    """
    libc = _libc()
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(_CAPABILITIES):
        if capability not in keep:
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # refused without CAP_SETPCAP: then there is none to drop
    header, sets = _Header(_CAPABILITY_VERSION, 0), (_Sets * 2)()
    if libc.capget(ctypes.byref(header), ctypes.byref(sets)) != 0:
        raise OSError(ctypes.get_errno(), "capget failed")
    for half in range(2):
        kept = sum(1 << (number - 32 * half) for number in keep if number // 32 == half)
        sets[half] = _Sets(sets[half].effective & kept, sets[half].permitted & kept, 0)
    if libc.capset(ctypes.byref(header), ctypes.byref(sets)) != 0:
        raise OSError(ctypes.get_errno(), f"capset failed: {os.strerror(ctypes.get_errno())}")
