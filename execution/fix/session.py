"""The FIX 4.4 session of an initiator: logon, numbers, recovery, heartbeats. Not a socket: bytes come in and go out.

It runs under its caller's lock and is told when bytes came and when time passed; it answers through ``write``, and says
that the connection must end by no longer being ``alive``. An application message is durable in the store before the
next one is looked at. Application messages of ours are never sent again (see ``execution.fix``).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bus.clock import NS
from execution.fix.codec import BEGIN, Framer, Message
from execution.fix.rules import ADMIN, Flaw, flaw
from execution.fix.settings import Settings
from execution.fix.store import Store
from execution.fix.values import parse_count, parse_time, time_text
from execution.fix.wire import LOST, Fields, Phase, Wire

__all__ = ["Phase", "Session"]

_ACCURACY_NS = 120 * NS
_LOGON_NS = 10 * NS
_LOGOUT_NS = 2 * NS
_ASK_AGAIN_NS = 5 * NS
_MOST_ASKED = 4
_MOST_AHEAD = 100_000
_TOO_LOW = re.compile(r"too low", re.IGNORECASE)


class Session(Wire):
    """One session over one connection after another."""

    def __init__(
        self, settings: Settings, store: Store, wall_ns: Callable[[], int], monotonic_ns: Callable[[], int]
    ) -> None:
        """Start logged off.

        Args:
            settings: Who we and they are, and the keys.
            store: The numbers.
            wall_ns: UTC, for SendingTime.
            monotonic_ns: For intervals.
        """
        super().__init__(settings, store, wall_ns, monotonic_ns)
        self.logons = 0
        self._begin(lambda _: None)

    def _begin(self, write: Callable[[bytes], None]) -> None:
        now = self._monotonic_ns()
        self._write = write
        self._framer = Framer()
        self._ahead: dict[int, Message] = {}
        self._wanted_to = 0
        self._asked = 0
        self._asked_at = 0
        self._since = now
        self._sent_at = now
        self._heard_at = now
        self._tested_at = 0
        self._answered: set[int] = set()
        self._probe = ""
        self._probed_at = now
        self._may_miss = False
        self._heartbeat_ns = self._settings.heartbeat_s * NS

    # --- what the caller asks and tells -------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether the connection is to be kept."""
        return self.phase != "off"

    @property
    def ready(self) -> bool:
        """Whether orders may be sent: logged on, nothing of theirs missing, and nothing of ours that they will ask for.

        What they ask for is gap-filled up to our newest message, so an order sent before they have asked would be lost.
        """
        return self.phase == "on" and not self._wanted_to and not self._probe

    @property
    def garbled(self) -> int:
        """Messages of this connection that were passed over because they were garbled."""
        return self._framer.garbled

    def connected(self, write: Callable[[bytes], None]) -> None:
        """Log on over a fresh connection; ``write`` sends bytes or raises ``OSError``."""
        self._begin(write)
        self.phase = "logging_on"
        if self._settings.reset:
            self._store.reset()
        self._may_miss = self._store.next_out > 1
        self._logon(reset=self._settings.reset)

    def lost(self, why: str) -> None:
        """The connection is gone."""
        if self.phase != "off":
            self._end(why)

    def received(self, data: bytes) -> None:
        """Take in bytes from the connection."""
        self._heard_at = self._monotonic_ns()
        for message in self._framer.feed(data):
            if not self.alive:
                return
            self._take(message)

    def passed(self) -> None:
        """Do what is due by now: heartbeats, tests, giving up."""
        now = self._monotonic_ns()
        if self.phase == "logging_on" and now - self._since > _LOGON_NS:
            self._end("no Logon came in 10 s")
        elif self.phase == "logging_off" and now - self._since > _LOGOUT_NS:
            self._end("logged out; the counterparty did not answer the Logout")
        elif self.phase == "on":
            self._beat(now)

    def send(self, msg_type: str, request_id: str, fields: Fields, keep: Callable[[], None]) -> None:
        """Send an application message: durable first, with what ``keep`` stores beside it, then written.

        Raises:
            BadValueError: It has a value that FIX cannot carry; nothing was sent.
            JournalError: It could not be kept; nothing was sent.
            OSError: It is kept, and whether it was sent is not known.
        """
        raw = self._compose(msg_type, self._store.next_out, fields)
        with self._store.transaction():
            keep()
            self._store.sent(msg_type, request_id, raw, self._wall_ns())
        self._put(raw)

    def log_out(self) -> None:
        """Ask to end the session in good order; ``alive`` is false when it has."""
        if self.phase == "on":
            self._admin("5", [])
            self.phase, self._since = "logging_off", self._monotonic_ns()
        elif self.phase == "logging_on":
            self._end("closed")

    # --- time ---------------------------------------------------------------------------------------------------------

    def _beat(self, now: int) -> None:
        interval = self._heartbeat_ns
        silent = now - self._heard_at
        if self._tested_at and self._heard_at >= self._tested_at:
            self._tested_at = 0
        since = min((at for at in (self._tested_at, self._probe and self._probed_at) if at), default=now)
        if now - since > interval + interval // 5:
            self._end("the counterparty answered no TestRequest")
        elif not self._tested_at and silent > interval + interval // 5:
            self._tested_at = now
            self._admin("1", [(112, f"TEST-{self._store.next_out}")])
        elif now - self._sent_at >= interval:
            self._admin("0", [])
        if self._wanted_to and now - self._asked_at > _ASK_AGAIN_NS:
            if self._asked >= _MOST_ASKED:
                self._log_out_because(f"no resend of {self._store.next_in} to {self._wanted_to} came")
            else:
                self._ask_resend(self._wanted_to)

    # --- reading ------------------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        if message.raw(8) != BEGIN:
            self._log_out_because("Incorrect BeginString")
        elif self.phase == "logging_on" and message.msg_type not in {"A", "5"}:
            self._end("the first message was not a Logon")
        elif message.raw(34) is None:
            self._log_out_because("Required tag missing: MsgSeqNum")
        elif self._comp_ids_fit(message) and self._time_fits(message):
            self._by_type(message)

    def _comp_ids_fit(self, message: Message) -> bool:
        theirs, ours = self._settings.target.encode(), self._settings.sender.encode()
        if message.raw(49) == theirs and message.raw(56) == ours:
            return True
        self._refuse(message, Flaw(9, 49 if message.raw(49) != theirs else 56, "CompID problem"), end=True)
        return False

    def _time_fits(self, message: Message) -> bool:
        raw = message.raw(52)
        if raw is None:
            self._refuse(message, Flaw(1, 52, "Required tag missing"))
            return False
        try:
            sent_ns = parse_time(raw)
        except ValueError:
            self._refuse(message, Flaw(6, 52, "Incorrect data format for value"))
            return False
        if abs(sent_ns - self._wall_ns()) > _ACCURACY_NS:
            self._refuse(message, Flaw(10, 52, "SendingTime accuracy problem"), end=True)
            return False
        return True

    def _refuse(self, message: Message, found: Flaw, *, end: bool = False) -> None:
        """Reject a message, which uses up its number if it is the next, and log out when the session is at stake."""
        if self.phase == "logging_on":
            self._log_out_because(f"Logon refused: {found.text} ({found.tag})")
            return
        if self._number(message) == self._store.next_in:
            self._pass_over(message, found)
        self._reject(message, found)
        if end:
            self._log_out_because(found.text)
        else:
            self._take_ahead()

    def _pass_over(self, message: Message, found: Flaw) -> None:
        """Use up the number of what is refused; of an application message, keep that it came and was not understood."""
        if message.msg_type in ADMIN:
            self._store.set_next_in(self._store.next_in + 1)
        else:
            self._store.received(message.packed(), f"{found.text} ({found.tag})")

    @staticmethod
    def _number(message: Message) -> int:
        try:
            return parse_count(message.raw(34) or b"")
        except ValueError:
            return -1

    def _by_type(self, message: Message) -> None:
        seq = self._number(message)
        if message.msg_type == "0" and message.text(112) == self._probe:
            self._probe = ""  # whatever its number is: once a gap of theirs is filled past it, it does not come again
        if seq < 0:
            self._log_out_because("MsgSeqNum is not a number")
        elif message.msg_type == "A":
            self._logged_on(message, seq)
        elif message.msg_type == "5":
            self._logged_out(message, seq)
        elif message.msg_type == "4" and not message.flag(123):
            self._sequence_reset(message, seq)
        elif message.msg_type == "2" and seq > self._store.next_in and flaw(message) is None:
            # Answered at once although its number is too high: two sides that wait for each other would wait for ever.
            self._resend(message)
            self._answered.add(seq)
            self._too_high(message, seq)
        else:
            self._in_turn(message, seq)

    def _in_turn(self, message: Message, seq: int) -> None:
        expected = self._store.next_in
        if seq > expected:
            self._too_high(message, seq)
        elif seq < expected:
            self._too_low(message, seq)
        else:
            self._ahead.pop(seq, None)
            self._process(message, seq)
            self._take_ahead()

    def _take_ahead(self) -> None:
        """Process what waited for its turn; drop what a filled gap reached past, as asking for that has no answer."""
        while self.alive and (message := self._ahead.pop(self._store.next_in, None)) is not None:
            self._process(message, self._store.next_in)
        if self._wanted_to and self._store.next_in > self._wanted_to:
            self._wanted_to = self._asked = 0
            self._ahead = {seq: message for seq, message in self._ahead.items() if seq > self._store.next_in}
            if self._ahead:
                self._ask_resend(min(self._ahead) - 1)

    def _too_high(self, message: Message, seq: int) -> None:
        if len(self._ahead) >= _MOST_AHEAD:
            self._log_out_because(f"more than {_MOST_AHEAD} messages came ahead of {self._store.next_in}")
            return
        self._ahead[seq] = message
        if not self._wanted_to:
            self._ask_resend(seq - 1)

    def _ask_resend(self, last: int) -> None:
        self._wanted_to = last
        self._asked += 1
        self._asked_at = self._monotonic_ns()
        self._admin("2", [(7, self._store.next_in), (16, 0)])

    def _too_low(self, message: Message, seq: int) -> None:
        if not message.flag(43):
            self._log_out_because(f"MsgSeqNum too low, expecting {self._store.next_in} but received {seq}")
            return
        self._poss_dup_fits(message)

    def _poss_dup_fits(self, message: Message) -> bool:
        """Check OrigSendingTime; SequenceReset goes without, as a gap that is filled has no original."""
        original = message.raw(122)
        if original is None:
            if message.msg_type == "4":
                return True
            self._refuse(message, Flaw(1, 122, "Required tag missing"))
            return False
        try:
            late = parse_time(original) > parse_time(message.raw(52) or b"")
        except ValueError:
            self._refuse(message, Flaw(6, 122, "Incorrect data format for value"))
            return False
        if late:
            self._refuse(message, Flaw(10, 122, "SendingTime accuracy problem"), end=True)
        return not late

    def _process(self, message: Message, seq: int) -> None:
        """Do what a message with the expected number says."""
        if message.flag(43) and not self._poss_dup_fits(message):
            return
        found = flaw(message)
        if found is not None:
            if message.msg_type == "4" and message.raw(36) is None:
                self._store.set_next_in(seq + 1)
            else:
                self._pass_over(message, found)
            self._reject(message, found)
            return
        if message.msg_type not in ADMIN or message.msg_type == "3":
            self._store.received(message.packed(), "")
        elif message.msg_type == "4":
            self._gap_fill(message)
        else:
            self._store.set_next_in(seq + 1)
            if message.msg_type == "1":
                self._admin("0", [(112, message.raw(112) or b"")])
            elif message.msg_type == "2" and seq not in self._answered:
                self._resend(message)

    def _gap_fill(self, message: Message) -> None:
        upto = parse_count(message.raw(36) or b"0")
        if upto > self._store.next_in:
            self._store.set_next_in(upto)
            return
        expected = self._store.next_in
        self._store.set_next_in(expected + 1)
        self._reject(message, Flaw(5, 36, f"NewSeqNo {upto} is not greater than expected MsgSeqNum {expected}"))

    def _sequence_reset(self, message: Message, seq: int) -> None:
        """Take a reset, whatever its own number is; it may only go forward."""
        found = flaw(message)
        upto = 0 if found is not None else parse_count(message.raw(36) or b"0")
        if found is None and upto >= self._store.next_in:
            self._store.set_next_in(upto)
            for late in [number for number in self._ahead if number < upto]:
                del self._ahead[late]
            self._take_ahead()
            return
        if seq == self._store.next_in:
            self._store.set_next_in(seq + 1)
        self._reject(message, found or Flaw(5, 36, f"NewSeqNo {upto} is lower than expected {self._store.next_in}"))
        self._take_ahead()

    def _resend(self, message: Message) -> None:
        """Fill the gap that they ask about: session messages and orders alike are not sent again."""
        first, last = parse_count(message.raw(7) or b"0"), parse_count(message.raw(16) or b"0")
        end = self._store.next_out
        last = end - 1 if last == 0 else min(last, end - 1)
        if not 0 < first <= last:
            return
        now = time_text(self._wall_ns())
        raw = self._compose("4", first, [(123, "Y"), (36, last + 1)], [(43, "Y"), (122, now)])
        try:
            self._put(raw)
        except OSError:
            return
        if last == end - 1:
            self._probe = ""  # they have everything; the test itself was filled over

    # --- logon and logout ---------------------------------------------------------------------------------------------

    def _logged_on(self, message: Message, seq: int) -> None:
        found = flaw(message)
        if self.phase == "on":
            self._logon_again(message, seq, found)
            return
        if found is not None or message.raw(98) != b"0":
            text = f"{found.text} ({found.tag})" if found else "EncryptMethod must be 0"
            self._log_out_because(f"Logon refused: {text}")
            return
        if message.flag(141):
            # They start again. Ours goes on when we did not ask for it: what they miss of it they ask for.
            self._store.set_next_in(seq)
        if seq < self._store.next_in and not message.flag(43):
            self._too_low(message, seq)
            return
        ours = self._settings.heartbeat_s
        self._heartbeat_ns = min(parse_count(message.raw(108) or b"0") or ours, ours) * NS
        self.phase, self.why = "on", ""
        self.logons += 1
        if self._may_miss:
            # Their answer to a test comes after whatever they ask for of what we sent before.
            self._probe, self._probed_at = f"SEEN-{self._store.next_out}", self._monotonic_ns()
            self._admin("1", [(112, self._probe)])
        if seq == self._store.next_in:
            self._store.set_next_in(seq + 1)
        elif seq > self._store.next_in:
            self._ask_resend(seq)

    def _logon_again(self, message: Message, seq: int, found: Flaw | None) -> None:
        """Start the numbers again in mid-session when they say so; another Logon only counts."""
        if found is None and message.flag(141) and seq == 1:
            self._store.reset()
            self._store.set_next_in(2)
            self._ahead.clear()
            self._wanted_to = self._asked = 0
            self._probe = ""
            self._logon(reset=True)
            return
        self._in_turn(message, seq)

    def _logged_out(self, message: Message, seq: int) -> None:
        text = self.scrubbed(message.text(58)) or "no reason given"
        if seq == self._store.next_in:
            self._store.set_next_in(seq + 1)
        if self.phase == "on":
            self._admin("5", [])
        elif self.phase == "logging_on" and _TOO_LOW.search(text):
            # A number that was too low was not taken. Going on to the next would feel its way up to one that fits.
            self._store.give_back_number()
            text += LOST
        self._end("closed" if self.phase == "logging_off" else f"the counterparty logged out: {text}")
