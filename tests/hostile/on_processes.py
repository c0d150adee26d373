"""What a hostile agent tries with other processes: their memory, their environment, their descriptors, their life."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from tests.hostile.loot import Attempt, Loot, attempt

__all__ = ["ATTEMPTS"]

ATTEMPTS: list[Attempt] = []

_OTHERS = ("risk", "execution", "feed", "supervisor", "nursery")
_SYS_PIDFD_OPEN, _SYS_PIDFD_GETFD, _SYS_PROCESS_VM_READV, _SYS_PTRACE = 434, 438, 310, 101
_PTRACE_ATTACH, _PTRACE_SEIZE = 16, 0x4206
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000


def _syscall(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _in_a_fork(action: Callable[[], None]) -> str:
    """Do something in a child, whose state may be ruined by it."""
    pid = os.fork()
    if pid == 0:
        number = 0
        try:
            action()
        except OSError as error:
            number = error.errno or 255
        finally:
            os._exit(number)
    number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if number:
        raise OSError(number, os.strerror(number))
    return "done"


def _open(path: str, flags: int = os.O_RDONLY) -> str:
    fd = os.open(path, flags)
    try:
        return os.read(fd, 20).hex()
    finally:
        os.close(fd)


def _each(what: str, action: Callable[[Loot, int], str]) -> None:
    for other in _OTHERS:

        def run(loot: Loot, other: str = other) -> str:
            return action(loot, loot.pids[other])

        ATTEMPTS.append(Attempt(f"{what} of {other}", run))


_each("read the environment", lambda _loot, pid: _open(f"/proc/{pid}/environ"))
_each("read the memory", lambda _loot, pid: _open(f"/proc/{pid}/mem"))
_each("write the memory", lambda _loot, pid: _open(f"/proc/{pid}/mem", os.O_RDWR))
_each("read the memory map", lambda _loot, pid: _open(f"/proc/{pid}/maps"))
_each("list the descriptors", lambda _loot, pid: str(os.listdir(f"/proc/{pid}/fd")))
_each("walk through the root", lambda loot, pid: _open(f"/proc/{pid}/root{loot.keys_file}"))


def _vm_read(_loot: Loot, pid: int) -> str:
    class Span(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    buffer = ctypes.create_string_buffer(8)
    here = Span(ctypes.cast(buffer, ctypes.c_void_p).value, 8)
    there = Span(id(os), 8)  # the same address in every process of one fork server
    count = ctypes.c_ulong(1)
    _syscall(_SYS_PROCESS_VM_READV, pid, ctypes.byref(here), count, ctypes.byref(there), count, ctypes.c_ulong(0))
    return buffer.raw.hex()


_each("copy the memory", _vm_read)


def _trace(how: int) -> Callable[[Loot, int], str]:
    def trace(_loot: Loot, pid: int) -> str:
        return _in_a_fork(lambda: None if _syscall(_SYS_PTRACE, ctypes.c_long(how), pid, None, None) >= 0 else None)

    return trace


_each("attach as a debugger", _trace(_PTRACE_ATTACH))
_each("seize as a debugger", _trace(_PTRACE_SEIZE))


def _steal_descriptor(_loot: Loot, pid: int) -> str:
    handle = _syscall(_SYS_PIDFD_OPEN, pid, 0)
    try:
        return str(_syscall(_SYS_PIDFD_GETFD, handle, 3, 0))
    finally:
        os.close(handle)


_each("steal a descriptor", _steal_descriptor)


def _signal(_loot: Loot, pid: int) -> str:
    os.kill(pid, signal.SIGURG)  # ignored by default: what is refused is the right to signal at all
    return "signaled"


_each("signal the process", _signal)


def _limit(_loot: Loot, pid: int) -> str:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1 << 40, 1 << 40))  # far above need: what is refused is the right
    return "limited"


_each("limit the files", _limit)


@attempt("get privileges in a namespace and mount", ATTEMPTS)
def mount_in_a_namespace(loot: Loot) -> str:
    def enter() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        if libc.mount(b"none", loot.run_dir.encode(), b"tmpfs", 0, None) != 0:
            raise OSError(ctypes.get_errno(), "mount")

    return _in_a_fork(enter)


@attempt("become root", ATTEMPTS)
def become_root(loot: Loot) -> str:
    del loot

    def become() -> None:
        os.setresuid(0, 0, 0)
        os.setgroups([])

    return _in_a_fork(become)


@attempt("talk to an abstract socket outside", ATTEMPTS)
def abstract_socket(loot: Loot) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.connect(f"\0{Path(loot.run_dir).parent}")
        return "connected"
