"""How a command asks a running desk: its gate, or the gateway of one of its clients. Not a way to start or end one."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TypeVar, cast

from bus.errors import ConfigError, RefusedError, UsageError
from bus.messages import Message
from outcry.rundir import is_alive, live_run, read_run_file, state_folder

__all__ = ["ask", "clients_of", "gateway_for", "is_live", "run_dir_of", "who"]

_Answer = TypeVar("_Answer", bound=Message)
_TIMEOUT_S = 10.0


def who() -> str:
    """Return the name of the person at this terminal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def run_dir_of(given: Path | None) -> Path:
    """Return the folder of the run that a person means: the one named, else the newest live one.

    Raises:
        UsageError: There is none.
    """
    return given or live_run(Path("runs"), state_folder(os.environ))


def is_live(run_dir: Path) -> bool:
    """Whether the run's processes are there and can be asked."""
    content = read_run_file(run_dir)
    return is_alive(content) and content.endpoints.get("risk", "").startswith(("ipc://", "tcp://"))


def ask(run_dir: Path, service: str, request: Message, kind: type[_Answer]) -> _Answer:
    """Ask a service of a live desk.

    Args:
        run_dir: The run's folder.
        service: Its name in the directory, such as ``risk``.
        request: The question.
        kind: What it is answered with.

    Raises:
        UsageError: No such run, or it is not live or has no sockets.
        BusError: The service does not answer, or refuses.
    """
    content = read_run_file(run_dir)
    if not is_alive(content):
        raise UsageError(f"the run in {run_dir} is {content.state} and not running; there is nobody to ask")
    endpoint = content.endpoints.get(service, "")
    if not endpoint.startswith(("ipc://", "tcp://")):
        raise UsageError(
            f"the run in {run_dir} is in one process and has no socket: press Ctrl-C there, or run without --in-process"
        )
    from bus.zmq_transport import ZmqTransport

    transport = ZmqTransport()
    try:
        answer = transport.client(endpoint).call(request, timeout_s=_TIMEOUT_S)
    finally:
        transport.close()
    if not isinstance(answer, kind):
        raise RefusedError(f"{service} answered {type(answer).__name__}; use the same release as the run")
    return answer


def clients_of(run_dir: Path) -> dict[str, str]:
    """Return the desk's clients, its own first, each with the name of its gateway.

    Raises:
        ConfigError: The run's specs cannot be read.
    """
    from outcry.stages import read_spec
    from risk.spec import GateSpec

    spec = cast("GateSpec", read_spec(run_dir, "risk"))
    return {one.client: one.execution for one in spec.clients}


def gateway_for(run_dir: Path, client: str) -> tuple[str, str]:
    """Return a client's name and its gateway's; an empty name is the desk's own client.

    Raises:
        ConfigError: There is no such client.
    """
    known = clients_of(run_dir)
    name = client or next(iter(known))
    if name not in known:
        raise ConfigError(f"this desk has no client {name!r}; it has {', '.join(known)}")
    return name, known[name]
