"""Seccomp: system calls that a stage has no use for and that Landlock does not cover, refused with EPERM for good.

Not an allow list, which would break with every library: modes, owners and attributes of files (a stage of the same user
could open the keys to everybody), limits of other processes, and doors into the kernel. Priorities stay allowed: ZeroMQ
sets those of its threads.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

__all__ = ["known_machine", "refuse_calls"]

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_AT_NUMBER, _AT_ARCH, _AT_FIRST = 0, 4, 16
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_X32 = 0x40000000

_CALLS: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260, "fchmodat": 268,
            "fchmodat2": 452, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197,
            "lremovexattr": 198, "fremovexattr": 199, "ioprio_set": 251,
            "migrate_pages": 256, "move_pages": 279, "kcmp": 312, "pidfd_getfd": 438, "ptrace": 101,
            "process_madvise": 440, "bpf": 321,
            "perf_event_open": 298, "userfaultfd": 323, "add_key": 248, "request_key": 249, "keyctl": 250,
            "mount": 165, "umount2": 166, "unshare": 272, "setns": 308, "pivot_root": 155, "chroot": 161,
            "open_by_handle_at": 304, "io_uring_setup": 425, "kexec_load": 246, "init_module": 175,
            "finit_module": 313, "personality": 135,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "fchmod": 52, "fchmodat": 53, "fchownat": 54, "fchown": 55, "fchmodat2": 452, "setxattr": 5,
            "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16, "ioprio_set": 30,
            "migrate_pages": 238, "move_pages": 239, "kcmp": 272,
            "pidfd_getfd": 438, "ptrace": 117,
            "process_madvise": 440, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "add_key": 217,
            "request_key": 218, "keyctl": 219, "mount": 40, "umount2": 39, "unshare": 97, "setns": 268,
            "pivot_root": 41, "chroot": 51, "open_by_handle_at": 265, "io_uring_setup": 425, "kexec_load": 104,
            "init_module": 105, "finit_module": 273, "personality": 92,
        },
    ),
}  # fmt: skip
_PRLIMIT = {"x86_64": 302, "aarch64": 261}
"""Refused for every process but the caller's own, which is number 0."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def known_machine() -> bool:
    """Whether the numbers of this machine's system calls are known here."""
    return platform.machine() in _CALLS


def _lines(machine: str) -> list[tuple[int, int, int, int]]:
    arch, calls = _CALLS[machine]
    refuse = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    lines = [
        (_LOAD, 0, 0, _AT_ARCH),
        (_JUMP_EQUAL, 1, 0, arch),
        refuse,
        (_LOAD, 0, 0, _AT_NUMBER),
        (_JUMP_AT_LEAST, 0, 1, _X32),
        refuse,
    ]
    for number in sorted(calls.values()):
        lines += [(_JUMP_EQUAL, 0, 1, number), refuse]
    lines += [
        (_JUMP_EQUAL, 0, 3, _PRLIMIT[machine]),
        (_LOAD, 0, 0, _AT_FIRST),
        (_JUMP_EQUAL, 1, 0, 0),
        refuse,
        (_RETURN, 0, 0, _ALLOW),
    ]
    return lines


def refuse_calls() -> None:
    """Refuse them to this thread and all that it will start; call it before there are other threads.

    Raises:
        OSError: The machine is not known here, or the kernel refused.
    """
    machine = platform.machine()
    if machine not in _CALLS:
        raise OSError(errno.ENOSYS, f"the system calls of {machine} are not known")
    lines = _lines(machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = _Program(len(lines), ctypes.cast(code, ctypes.c_void_p).value)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
