"""Checks of the machine: Python, packages, disk, clock, time zones, sockets, and what the kernel can hold a stage to.

Not a benchmark: the disk is timed to find one that is no disk (``outcry bench journal`` measures).
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bus.clock import iso, monotonic_ns, wall_ns
from bus.errors import ConfigError
from outcry import _landlock, _process, _seccomp
from outcry._doctor import Check, Finding, fail, ok, warn
from outcry._reading import common_reading, reachable
from outcry.confine import FIRST_USER
from outcry.rundir import make_socket_folder

__all__ = ["filesystem_of", "machine_checks"]

_CORE = ("duckdb", "langgraph", "msgspec", "numpy", "openai", "pydantic", "nacl", "zmq", "talib")
_EXTRAS = {
    "mcp": ("mcp", "uvicorn", "exchange_calendars"),
    "alpaca": ("alpaca", "exchange_calendars"),
    "ccxt": ("ccxt", "exchange_calendars"),
    "fix": ("simplefix",),
}
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs", "vboxsf"})
_VOLATILE = frozenset({"tmpfs", "ramfs"})
_SYNCS, _SLOW_MS, _FALSE_MS = 20, 20.0, 0.005
_LEAST_FREE = 500_000_000
_BEFORE_NS = 1_750_000_000_000_000_000
_UNSYNCHRONIZED = 5


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11) or sys.maxsize < 2**32:
        return fail("python", f"Python {version}", "install 64-bit Python 3.11 or newer")
    return ok("python", f"Python {version} at {sys.prefix}")


def _missing(modules: tuple[str, ...]) -> list[str]:
    return [name for name in modules if importlib.util.find_spec(name) is None]


def _packages() -> Iterator[Finding]:
    missing = _missing(_CORE)
    if missing:
        yield fail("packages", f"missing: {', '.join(missing)}", "install again: make venv, or pip install openoutcry")
    else:
        yield ok("packages", f"all {len(_CORE)} are there; openoutcry {importlib.metadata.version('openoutcry')}")
    for extra, modules in _EXTRAS.items():
        missing = _missing(modules)
        if missing:
            what = f"not installed ({', '.join(missing)})"
            yield warn(f"extra {extra}", what, f"if you need it: pip install 'openoutcry[{extra}]'")
        else:
            yield ok(f"extra {extra}", "installed")


def filesystem_of(path: Path) -> str:
    """Return the type of the filesystem that holds a path, empty where the system does not tell."""
    found, depth = "", -1
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, where, kind, *_ = line.split(" ")
        mount = Path(where.replace("\\040", " "))
        if path.is_relative_to(mount) and len(mount.parts) >= depth:
            found, depth = kind, len(mount.parts)
    return found


def _nearest(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.is_dir())


def _sync_ms(folder: Path) -> float:
    """Return how long one durable write takes, the median of some."""
    took: list[int] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_SYNCS):
            began = monotonic_ns()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            took.append(monotonic_ns() - began)
    return statistics.median(took) / 1e6


def _disk(runs: Path) -> Iterator[Finding]:
    folder = _nearest(runs.absolute())
    kind = filesystem_of(folder.resolve())
    if kind in _REMOTE:
        yield fail(
            "filesystem", f"{folder} is on {kind}, where locks and syncs cannot be relied on", "use a local disk"
        )
    elif kind in _VOLATILE:
        yield warn("filesystem", f"{folder} is on {kind}: journals are lost with power", "use a disk for real money")
    else:
        yield ok("filesystem", f"{folder} is on {kind or 'an unknown kind'}")
    try:
        sync_ms = _sync_ms(folder)
    except OSError as error:
        yield fail("disk", f"{folder} cannot be written: {error.strerror}", "name a folder that you can write to")
        return
    if sync_ms > _SLOW_MS:
        yield warn("disk", f"a durable write takes {sync_ms:.1f} ms", "each verdict waits for one: use a faster disk")
    elif sync_ms < _FALSE_MS and kind not in _VOLATILE:
        yield warn("disk", f"a durable write takes {sync_ms:.4f} ms: it is not durable", "switch write caching off")
    else:
        yield ok("disk", f"a durable write takes {sync_ms:.2f} ms")
    free = shutil.disk_usage(folder).free
    if free < _LEAST_FREE:
        yield fail("space", f"{free // 1_000_000} MB free", f"free {_LEAST_FREE // 1_000_000} MB: no journal, no order")
    else:
        yield ok("space", f"{free // 1_000_000} MB free")


def _clock() -> Finding:
    now_ns = wall_ns()
    if now_ns < _BEFORE_NS:
        return fail("clock", f"the clock says {iso(now_ns)}", "set it, and keep it with NTP")
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(512))  # all modes zero: it only reads
    if state == _UNSYNCHRONIZED:
        return warn("clock", f"{iso(now_ns)}, not kept by NTP", "a live desk judges prices by their age: start NTP")
    return ok("clock", f"{iso(now_ns)}, synchronized")


def _zones() -> Finding:
    try:
        ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError:
        return fail("time zones", "there is no data of time zones", "install tzdata (the system's, or pip's)")
    return ok("time zones", "known")


def _sockets() -> Iterator[Finding]:
    import zmq

    try:
        folder = make_socket_folder()
    except ConfigError as error:
        yield fail("sockets", str(error), "set TMPDIR to a short folder that you can write to")
    else:
        longest = len(str(folder)) + len("/execution.") + 32 + len("/s")
        folder.rmdir()
        most = zmq.IPC_PATH_MAX_LEN
        if longest > most:
            what = f"the socket of a client with a long name has {longest} bytes, at most {most}"
            yield warn("sockets", what, "set TMPDIR to a shorter folder")
        else:
            yield ok("sockets", f"paths of at most {longest} bytes of {most}")
    if zmq.has("curve"):
        yield ok("curve", "ZeroMQ can encrypt; on one machine the sockets' folders do what keys would")
    else:
        yield warn("curve", "ZeroMQ was built without CURVE", "only matters for a bus across machines")


def _means(run_root: Path) -> Iterator[Finding]:
    version = _landlock.abi()
    if version < 1:
        todo = "boot Linux 5.13 or newer with lsm=...,landlock; without it real money is refused"
        yield warn("landlock", "the kernel has none: a hostile stage of this user can read keys and journals", todo)
    elif version < _landlock.ABI_SCOPE:
        lacks = ["signals"] if version >= _landlock.ABI_NET else ["TCP ports", "signals"]
        what = f"version {version}: files and memory are closed, not {' and '.join(lacks)}"
        yield warn("landlock", what, "Linux 6.7 closes ports, 6.12 signals")
    else:
        yield ok("landlock", f"version {version}: files, memory of others, TCP ports and signals are closed")
    if _seccomp.known_machine():
        yield ok("system calls", "modes of files and limits of other processes are closed to agents (seccomp)")
    else:
        what = f"those of {platform.machine()} are not known: agents can change modes of their user's files"
        yield warn("system calls", what, "use x86_64 or aarch64")
    yield _users(run_root)
    yield ok("memory", "gate, gateways and agents are closed to other processes, and leave no core files")


def _users(run_root: Path) -> Finding:
    if os.geteuid() != 0:
        what = f"stages run as user {os.geteuid()}, as you do"
        todo = "as root (in a container, as a service) each agent stage gets a user of its own as well"
        return ok("users", what) if _landlock.abi() >= 1 else warn("users", what, todo)
    blocked = reachable((*common_reading([])[0], str(_nearest(run_root.absolute()))), FIRST_USER)
    if blocked:
        what = f"agent stages run as root without its privileges: {blocked} cannot be read by other users"
        return warn("users", what, "install Python and openoutcry where every user can read them, such as /opt")
    return ok("users", f"each agent stage gets a user id of its own, from {FIRST_USER + 1}")


def _dumps() -> Finding:
    try:
        pattern = Path("/proc/sys/kernel/core_pattern").read_text(encoding="utf-8").strip()
    except OSError:
        pattern = "unknown"
    kept = "closed" if not _process.is_dumpable() else "open, as any program"
    return ok("core files", f"pattern {pattern!r}; stages write none; this command itself is {kept}")


def machine_checks(runs: Path) -> list[tuple[str, Check]]:
    """Return the checks of the machine.

    Args:
        runs: Where runs are kept.
    """
    return [
        ("python", _python),
        ("packages", _packages),
        ("disk", lambda: _disk(runs)),
        ("clock", _clock),
        ("time zones", _zones),
        ("sockets", _sockets),
        ("confinement", lambda: _means(runs)),
        ("core files", _dumps),
    ]
