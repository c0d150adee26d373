"""A FIX 4.4 acceptor over a real socket, written apart from ours: its own codec, numbers and resends. Not a venue yet.

It is strict about what it is told: whatever breaks the protocol is kept in ``violations``, and tests look there. What
it sends is kept, so that it can be lost on the way and asked for again.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from bus.clock import wall_ns

__all__ = ["SOH", "Acceptor", "Fields", "first", "frame", "now_text", "parse"]

SOH = "\x01"
Fields: TypeAlias = list[tuple[int, str]]
_POLL_S = 0.05
_HEADER = {8, 9, 35, 49, 56, 34, 52, 43, 122, 97, 10}


def now_text(shift_s: float = 0.0) -> str:
    """Return UTC as FIX writes it."""
    when = datetime.fromtimestamp(wall_ns() // 1_000_000 / 1_000, UTC) + timedelta(seconds=shift_s)
    return f"{when:%Y%m%d-%H:%M:%S}.{when.microsecond // 1000:03d}"


def frame(fields: Fields, begin: str = "FIX.4.4") -> bytes:
    """Return a whole message from the fields after BodyLength."""
    body = "".join(f"{tag}={value}{SOH}" for tag, value in fields).encode()
    head = f"8={begin}{SOH}9={len(body)}{SOH}".encode() + body
    return head + f"10={sum(head) % 256:03d}{SOH}".encode()


def parse(raw: bytes) -> Fields:
    """Return the fields of one whole message."""
    parts = [part.split("=", 1) for part in raw.decode().rstrip(SOH).split(SOH)]
    return [(int(tag), value) for tag, value in parts]


def first(fields: Fields, tag: int) -> str:
    """Return the first value of a tag, empty when it is absent."""
    return next((value for name, value in fields if name == tag), "")


class Acceptor:
    """Accepts one initiator; numbers and sent messages outlive its connections and its own restarts."""

    def __init__(self, sender: str, target: str, username: str, password: str) -> None:
        self.sender, self.target = sender, target
        self.username, self.password = username, password
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.next_in = 1
        self.next_out = 1
        self.sent: dict[int, Fields] = {}
        self.heard: list[Fields] = []
        self.raw_heard = b""
        self.violations: list[str] = []
        self.on_application: Callable[[Fields], None] = lambda _: None
        self.on_raw: Callable[[Fields], bool] = lambda _: False
        self.moved = threading.Event()
        self.logged_on = False
        self.logons = 0
        self.asks_at_logon = True
        self.refuse_logon = ""
        self._connection: socket.socket | None = None
        self._stopped = False
        self._listener = self._listen(0)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, name="fix-acceptor", daemon=True)
        self._thread.start()

    # --- connections --------------------------------------------------------------------------------------------------

    @staticmethod
    def _listen(port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(4)
        listener.settimeout(_POLL_S)
        return listener

    def _run(self) -> None:
        while not self._stopped:
            with self.lock:
                listener = self._listener
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                continue
            with self.lock:
                self._connection, self.logged_on = connection, False
            self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_POLL_S)
        buffer = b""
        while not self._stopped:
            try:
                data = connection.recv(65_536)
            except TimeoutError:
                continue
            except OSError:
                break
            if not data:
                break
            with self.lock:
                if connection is not self._connection:
                    break
                self.raw_heard += data
                buffer = self._frames(buffer + data)
                self.changed.notify_all()
        with self.lock:
            if connection is self._connection:
                self._connection, self.logged_on = None, False
            connection.close()
            self.moved.set()
            self.changed.notify_all()

    def _frames(self, buffer: bytes) -> bytes:
        while (at := buffer.find(b"\x0110=")) >= 0 and len(buffer) >= at + 8:
            raw, buffer = buffer[: at + 8], buffer[at + 8 :]
            length = int(raw.split(b"\x01")[1][2:])
            body = raw.index(b"\x0135=") + 1
            if at + 1 - body != length or int(raw[-4:-1]) != sum(raw[: at + 1]) % 256:
                self.violations.append(f"BodyLength or CheckSum of {raw!r}")
            self._take(parse(raw))
        return buffer

    def drop(self) -> None:
        """Break the connection, without a Logout."""
        with self.lock:
            connection, self._connection, self.logged_on = self._connection, None, False
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.moved.set()
            self.changed.notify_all()

    def restart(self) -> None:
        """Break everything and listen again on the same port, as a process that was killed and started does."""
        with self.lock:
            self._listener.close()
            self.drop()
            self._listener = self._listen(self.port)

    def close(self) -> None:
        """Stop."""
        self._stopped = True
        self.drop()
        self._thread.join(10)
        self._listener.close()

    # --- sending ------------------------------------------------------------------------------------------------------

    def put(self, raw: bytes) -> None:
        """Write bytes as they are, if there is a connection."""
        with self.lock:
            if self._connection is not None:
                with contextlib.suppress(OSError):
                    self._connection.sendall(raw)
            self.moved.set()

    def header(self, msg_type: str, seq: int, *more: tuple[int, str]) -> Fields:
        """Return the header of a message of the acceptor's."""
        return [(35, msg_type), (49, self.sender), (56, self.target), (34, str(seq)), *more, (52, now_text())]

    def keep(self, msg_type: str, fields: Fields) -> int:
        """Give a message the next number and keep it for resends, without sending it."""
        with self.lock:
            seq = self.next_out
            self.next_out += 1
            self.sent[seq] = [*self.header(msg_type, seq), *fields]
            return seq

    def send(self, msg_type: str, fields: Fields) -> int:
        """Send a message under the next number."""
        with self.lock:
            seq = self.keep(msg_type, fields)
            if self.logged_on or msg_type in {"A", "5"}:
                self.put(frame(self.sent[seq]))
            return seq

    def resend(self, begin: int, end: int) -> None:
        """Resend application messages as possible duplicates and fill the gaps of session messages."""
        with self.lock:
            last = self.next_out - 1 if end == 0 else min(end, self.next_out - 1)
            seq = begin
            while seq <= last:
                fields = self.sent.get(seq)
                if fields is not None and first(fields, 35) not in "A012345":
                    original = first(fields, 52)
                    body = [field for field in fields if field[0] not in _HEADER]
                    head = self.header(first(fields, 35), seq, (43, "Y"), (122, original))
                    self.put(frame([*head, *body]))
                    seq += 1
                    continue
                upto = seq
                while upto <= last and (upto not in self.sent or first(self.sent[upto], 35) in "A012345"):
                    upto += 1
                self.put(frame([*self.header("4", seq, (43, "Y")), (123, "Y"), (36, str(upto))]))
                seq = upto

    # --- reading ------------------------------------------------------------------------------------------------------

    def _take(self, fields: Fields) -> None:
        if self.on_raw(fields):
            return
        self.heard.append(fields)
        kind, seq = first(fields, 35), int(first(fields, 34) or "0")
        if (first(fields, 49), first(fields, 56)) != (self.target, self.sender):
            self.violations.append(f"CompIDs of {fields!r}")
        if kind == "A":
            self._logon(fields, seq)
            return
        if not self.logged_on:
            self.violations.append(f"{kind} before the Logon was answered")
            return
        if kind == "2":
            self.resend(int(first(fields, 7)), int(first(fields, 16)))
        if seq > self.next_in:
            self.send("2", [(7, str(self.next_in)), (16, "0")])
            return
        if seq < self.next_in:
            if first(fields, 43) != "Y":
                self.violations.append(f"MsgSeqNum {seq} is lower than {self.next_in}")
                self.send("5", [(58, f"MsgSeqNum too low, expecting {self.next_in} but received {seq}")])
                self.drop()
            return
        if kind == "4":
            self.next_in = int(first(fields, 36))
            return
        self.next_in += 1
        self._in_turn(kind, fields)

    def _in_turn(self, kind: str, fields: Fields) -> None:
        if kind == "1":
            self.send("0", [(112, first(fields, 112))])
        elif kind == "5":
            self.send("5", [])
            self.logged_on = False
            self.drop()
        elif kind == "3":
            self.violations.append(f"they rejected ours: {fields!r}")
        elif kind not in "02":
            if first(fields, 43) == "Y":
                self.violations.append(f"an application message was sent again: {fields!r}")
            self.on_application(fields)

    def _logon(self, fields: Fields, seq: int) -> None:
        if self.refuse_logon or (first(fields, 553), first(fields, 554)) != (self.username, self.password):
            self.send("5", [(58, self.refuse_logon or "unknown user")])
            self.drop()
            return
        if first(fields, 141) == "Y":
            self.next_in, self.next_out = 1, 1
            self.sent.clear()
        if seq < self.next_in:
            self.violations.append(f"Logon with MsgSeqNum {seq}, which is lower than {self.next_in}")
            self.send("5", [(58, f"MsgSeqNum too low, expecting {self.next_in} but received {seq}")])
            self.drop()
            return
        reset = [(141, "Y")] if first(fields, 141) == "Y" else []
        self.send("A", [(98, "0"), (108, first(fields, 108)), *reset])
        self.logged_on = True
        self.logons += 1
        if seq <= self.next_in:
            self.next_in += 1
        elif self.asks_at_logon:
            self.send("2", [(7, str(self.next_in)), (16, "0")])
