"""What every stage may read: Python, the packages, the system's libraries and certificates. Never a run, never a key.

Not the stage's own files: those are named by its spec, in ``outcry.confine``.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

from bus.errors import ConfigError

__all__ = ["OURS", "beneath", "common_reading", "reachable"]

OURS = ("agents", "bus", "execution", "feed", "mcp_servers", "outcry", "quant", "risk")
"""The packages that stages import, beside which a person's files may lie where this is run from a checkout."""

_SYSTEM = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/etc/ld.so.cache",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/localtime",
    "/etc/timezone",
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
)
_OF_A_PREFIX = ("lib", "lib64", "bin", "share", "pyvenv.cfg")


def beneath(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or in it, after all links."""
    return path.resolve().is_relative_to(folder.resolve())


def common_reading(protected: Sequence[Path]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what all stages may read, and the folders of which they may list the names.

    Args:
        protected: What no stage may read in this way: keys, the run's folder, the sockets.

    Raises:
        ConfigError: One of those lies inside what must be readable.
    """
    home = Path(__file__).resolve().parents[1]
    read = [*_SYSTEM, *(str(home / name) for name in OURS)]
    listed = [str(home)]
    for prefix in dict.fromkeys((sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)):
        read += [str(Path(prefix) / name) for name in _OF_A_PREFIX]
    read += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    for entry in dict.fromkeys(sys.path):
        folder = Path(entry)
        if not entry or not folder.exists():
            continue
        if beneath(home, folder) or any(beneath(path, folder) for path in protected):
            listed.append(entry)
        else:
            read.append(entry)
    for path in protected:
        inside = next((one for one in read if beneath(path, Path(one))), None)
        if inside is not None:
            raise ConfigError(
                f"{path} lies in {inside}, which every stage must be able to read; move it to a folder of its own"
            )
    return tuple(dict.fromkeys(read)), tuple(dict.fromkeys(listed))


def reachable(paths: Iterable[str], user: int) -> str:
    """Return the first path that a user without privileges could not read by its permission bits, empty when all can.

    Args:
        paths: What must be readable; what does not exist is left out.
        user: The user's id, in no group that owns any of them.
    """
    for path in paths:
        try:
            last = Path(path).resolve(strict=True)
        except OSError:
            continue
        for part in (last, *last.parents):
            info = os.stat(part)
            wanted = 0o4 if part == last else 0o1
            if not info.st_mode & (wanted << 6 if info.st_uid == user else wanted):
                return str(part)
    return ""
