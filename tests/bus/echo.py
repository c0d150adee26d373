"""A service in a process of its own, for tests that kill it: ``python -m tests.bus.echo ENDPOINT [ready|hang]``."""

from __future__ import annotations

import sys
from threading import Event

from bus.messages import Advance, Message, Ok
from bus.zmq_transport import ZmqTransport


class Echo:
    """Answers, or hangs for ever, so that it can be killed in the middle of a request."""

    def __init__(self, hang: bool) -> None:
        self._hang = hang

    def handle(self, request: Message) -> Message:
        if self._hang:
            print("working", flush=True)  # noqa: T201 - how the test knows when to kill
            Event().wait()
        after = request.after_ns if isinstance(request, Advance) else -1
        return Ok(f"after {after}")


if __name__ == "__main__":
    transport = ZmqTransport()
    server = transport.server(sys.argv[1], Echo(sys.argv[2] == "hang"))
    print("bound", flush=True)  # noqa: T201 - how the test knows that it is up
    server.serve(lambda: False)
