"""Binding that refuses instead of stealing: ZeroMQ takes a live owner's ``ipc`` file, or a person's, without a word.

Not a place of encryption: until CURVE is configured nothing but this machine may connect.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import zmq

from bus.errors import BindError

__all__ = ["bind", "check_endpoint", "is_loopback"]

_SCHEMES = ("ipc://", "tcp://")


def is_loopback(host: str) -> bool:
    """Return whether a host can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_endpoint(endpoint: str) -> None:
    """Refuse an endpoint that could never be bound, or must not be.

    Args:
        endpoint: ``ipc:///absolute/path`` or ``tcp://host:port``.

    Raises:
        BindError: Another scheme, a path that is too long, or a host that is not this machine.
    """
    if not endpoint.startswith(_SCHEMES):
        raise BindError(f"{endpoint!r} is not an endpoint; allowed are ipc:///absolute/path and tcp://127.0.0.1:port")
    if endpoint.startswith("ipc://"):
        path = endpoint.removeprefix("ipc://")
        length = len(os.fsencode(path))
        if length > zmq.IPC_PATH_MAX_LEN:
            raise BindError(
                f"the socket path {path!r} has {length} bytes; the system allows {zmq.IPC_PATH_MAX_LEN}: "
                "choose a shorter run directory"
            )
        if not path.startswith("/"):
            raise BindError(f"the socket path {path!r} is not absolute: two processes may understand it differently")
        return
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    if not is_loopback(host):
        raise BindError(
            f"{endpoint} can be reached from other machines and CURVE is not configured; "
            "allowed are loopback hosts: use tcp://127.0.0.1:port, or ipc"
        )
    if port != "*" and not (port.isdecimal() and 0 < int(port) < 65536):
        raise BindError(f"{endpoint} has no port; allowed are 1 to 65535, or * for a free one")


def bind(sock: zmq.Socket[bytes], endpoint: str) -> str:
    """Bind a socket, refusing an endpoint that somebody else serves.

    Args:
        sock: The socket.
        endpoint: Where; ``tcp://127.0.0.1:*`` takes a free port.

    Returns:
        The endpoint that was bound, with its port.

    Raises:
        BindError: The endpoint is taken or not allowed.
    """
    check_endpoint(endpoint)
    if endpoint.startswith("ipc://"):
        path = Path(endpoint.removeprefix("ipc://"))
        with _locked(path.parent):
            _refuse_living(path)
            _bind(sock, endpoint)
        return endpoint
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    if ":" in host:
        sock.setsockopt(zmq.IPV6, 1)
    _bind(sock, f"tcp://{'127.0.0.1' if host == 'localhost' else host}:{port}")
    return sock.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")


def _bind(sock: zmq.Socket[bytes], endpoint: str) -> None:
    try:
        sock.bind(endpoint)
    except zmq.ZMQError as error:
        if error.errno == errno.EADDRINUSE:
            raise BindError(
                f"{endpoint} is in use by another process; stop that one (outcry status shows desks) or choose another"
            ) from error
        raise BindError(f"{endpoint} cannot be bound: {error}; choose another endpoint or mend its folder") from error


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    # Two processes that probe at the same moment would both find the path free; the folder's lock leaves no file.
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise BindError(f"the socket folder {folder} cannot be opened: {error.strerror}; make it first") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _refuse_living(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindError(f"{path} exists and is not a socket; it is left alone: choose another run directory")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return  # a dead process left its file: ZeroMQ unlinks it
        except BlockingIOError:
            pass  # alive, with a full backlog
        except OSError as error:
            raise BindError(f"{path} cannot be probed: {error.strerror}; choose another run directory") from error
    raise BindError(f"ipc://{path} is served by a living process; stop that desk first or choose another run directory")
