"""Where each service of a desk is found. Not discovery: a desk's services are known before it starts."""

from __future__ import annotations

from pathlib import Path

from bus.errors import BindError
from bus.zmq_transport import check_endpoint

__all__ = ["SERVICES", "ipc_directory", "local_directory", "tcp_directory"]

SERVICES = (
    "supervisor",
    "feed",
    "feed.pub",
    "execution",
    "risk",
    "analyst",
    "strategy",
    "trader",
    "sentiment",
)
"""Every endpoint of a desk."""


def ipc_directory(folder: Path) -> dict[str, str]:
    """Return UNIX socket endpoints in a private folder.

    Raises:
        BindError: The folder's path is too long for a socket.
    """
    directory = {name: f"ipc://{folder / name}" for name in SERVICES}
    for endpoint in directory.values():
        check_endpoint(endpoint)
    return directory


def tcp_directory(host: str, base_port: int) -> dict[str, str]:
    """Return one loopback port a service, counted from ``base_port``.

    Raises:
        BindError: The host is not loopback or a port is out of range.
    """
    if not 1024 <= base_port <= 65535 - len(SERVICES):
        raise BindError(f"base port {base_port} is out of range; allowed is 1024 to {65535 - len(SERVICES)}")
    directory = {name: f"tcp://{host}:{base_port + offset}" for offset, name in enumerate(SERVICES)}
    for endpoint in directory.values():
        check_endpoint(endpoint)
    return directory


def local_directory() -> dict[str, str]:
    """Return names for a desk in one process."""
    return {name: f"local://{name}" for name in SERVICES}
