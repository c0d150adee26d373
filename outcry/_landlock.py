"""Landlock: rules that a process puts on itself and can never take off, for files, TCP ports and signals.

Not a policy: which rules a stage gets is decided in ``outcry.confine``. The kernel's interface has no function in the C
library, so that it is three system calls by number (the same on every architecture). Landlock also closes
``/proc/PID/mem``, ``environ`` and ``fd`` of every process outside the rules, and tracing it, even to root.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ABI_NET", "ABI_SCOPE", "Rules", "abi", "restrict"]

ABI_NET = 4
"""The first version that knows TCP ports."""
ABI_SCOPE = 6
"""The first version that knows signals and abstract sockets."""

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH, _RULE_PORT = 1, 2
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK = 1 << 5, 1 << 7, 1 << 8, 1 << 9
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_ALL_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_FILE_ONLY = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_BIND, _CONNECT = 1, 2
_SCOPE_ABSTRACT_SOCKET, _SCOPE_SIGNAL = 1, 2

_READ = _READ_FILE | _READ_DIR | _EXECUTE
_WRITE = _READ_FILE | _WRITE_FILE | _TRUNCATE
_FOLDER = _READ | _WRITE | _REMOVE_FILE | _MAKE_REG | _MAKE_DIR | _REFER


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("ports", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("fd", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _fields_ = (("access", ctypes.c_uint64), ("port", ctypes.c_uint64))


@dataclass(frozen=True)
class Rules:
    """What is allowed; everything else is refused. Paths that do not exist are left out.

    Attributes:
        read: Files and folders (with all beneath) that can be read and executed.
        listed: Folders whose names, and those beneath, can be listed.
        write: Files that can be read and written, but not made or removed.
        folders: Folders in which files can be made, changed and removed.
        sockets: Folders in which sockets can be made and removed.
        connect: TCP ports that can be connected to; None leaves all of them.
        bind: TCP ports that can be bound.
    """

    read: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    connect: tuple[int, ...] | None = ()
    bind: tuple[int, ...] = ()

    def paths(self) -> Iterable[tuple[str, int]]:
        """Return every path with its access rights."""
        named = (
            (self.read, _READ),
            (self.listed, _READ_DIR),
            (self.write, _WRITE),
            (self.folders, _FOLDER),
            (self.sockets, _READ_DIR | _MAKE_SOCK | _REMOVE_FILE),
        )
        return [(path, access) for paths, access in named for path in paths]


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(number, *arguments))


def abi() -> int:
    """Return the kernel's Landlock version, 0 where it has none or it is switched off."""
    return max(0, _call(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG)))


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def _all_files(version: int) -> int:
    return _ALL_FILES[max(known for known in _ALL_FILES if known <= version)]


def _add_path(ruleset: int, path: str, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there needs no rule
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            access &= _FILE_ONLY
        rule = _PathRule(access, fd)
        if _call(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH), ctypes.byref(rule), ctypes.c_uint32(0)) != 0:
            raise _error(f"the kernel refused a rule for {Path(path).name}")
    finally:
        os.close(fd)


def _add_ports(ruleset: int, ports: Iterable[int], access: int) -> None:
    for port in ports:
        rule = _PortRule(access, port)
        if _call(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PORT), ctypes.byref(rule), ctypes.c_uint32(0)) != 0:
            raise _error(f"the kernel refused a rule for port {port}")


def restrict(rules: Rules) -> int:
    """Put rules on this thread and all that it will start; call it before there are other threads.

    Also sets ``no_new_privs``, without which the kernel takes no rules from an unprivileged process.

    Args:
        rules: What stays allowed.

    Returns:
        The kernel's version: below ``ABI_NET`` ports are not covered, below ``ABI_SCOPE`` signals are not.

    Raises:
        OSError: The kernel has no Landlock, or refused.
    """
    version = abi()
    if version < 1:
        raise _error("this kernel has no Landlock")
    files = _all_files(version)
    ports = (_BIND | (_CONNECT if rules.connect is not None else 0)) if version >= ABI_NET else 0
    scopes = (_SCOPE_ABSTRACT_SOCKET | _SCOPE_SIGNAL) if version >= ABI_SCOPE else 0
    size = 24 if version >= ABI_SCOPE else 16 if version >= ABI_NET else 8
    attributes = _Ruleset(files, ports, scopes)
    ruleset = _call(_CREATE, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        raise _error("the kernel refused a Landlock ruleset")
    try:
        for path, access in rules.paths():
            _add_path(ruleset, path, access & files)
        if ports:
            _add_ports(ruleset, rules.connect or (), _CONNECT)
            _add_ports(ruleset, rules.bind, _BIND)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise _error("the kernel refused no_new_privs")
        if _call(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0)) != 0:
            raise _error("the kernel refused to restrict this process")
    finally:
        with contextlib.suppress(OSError):
            os.close(ruleset)
    return version
