"""Where each service lives: directories of endpoints for one machine or one process.

Not a registry that processes ask: the supervisor makes a directory once and hands it to every stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bus.errors import BindError

__all__ = ["SERVICES", "ipc_directory", "local_directory", "tcp_directory"]

SERVICES: tuple[str, ...] = (
    "feed",
    "feed.pub",
    "analyst",
    "strategy",
    "trader",
    "sentiment",
    "risk",
    "execution",
    "supervisor",
)
"""Every name a directory holds."""


def ipc_directory(folder: Path, more: Sequence[str] = ()) -> dict[str, str]:
    """Return endpoints that are socket files in a folder, which the caller makes, private to its user.

    Args:
        folder: Where the files go; its path is short, because the system limits a socket's path to some 107 bytes.
        more: Services beside the usual ones: the gateways of further clients.

    Raises:
        BindError: The path is too long.
    """
    from bus._bind import check_endpoint  # here because it needs pyzmq, which the command line starts without

    directory = {name: f"ipc://{folder.absolute() / name}" for name in (*SERVICES, *more)}
    for endpoint in directory.values():
        check_endpoint(endpoint)
    return directory


def tcp_directory(host: str, base_port: int, more: Sequence[str] = ()) -> dict[str, str]:
    """Return endpoints on successive ports of a loopback host.

    Args:
        host: ``127.0.0.1``, ``localhost`` or ``::1``: without CURVE nothing else is allowed.
        base_port: The first port.
        more: Services beside the usual ones.

    Raises:
        BindError: The host can be reached from elsewhere, or the ports do not fit.
    """
    from bus._bind import check_endpoint  # as above

    name_of_host = "127.0.0.1" if host == "localhost" else f"[{host}]" if ":" in host.strip("[]") else host
    name_of_host = name_of_host.replace("[[", "[").replace("]]", "]")
    names = (*SERVICES, *more)
    if not 0 < base_port <= 65536 - len(names):
        raise BindError(f"base port {base_port} leaves no room; allowed are 1 to {65536 - len(names)}")
    directory = {name: f"tcp://{name_of_host}:{base_port + at}" for at, name in enumerate(names)}
    for endpoint in directory.values():
        check_endpoint(endpoint)
    return directory


def local_directory(more: Sequence[str] = ()) -> dict[str, str]:
    """Return the names under which ``LocalTransport`` keeps the services of one process."""
    return {name: f"local://{name}" for name in (*SERVICES, *more)}
