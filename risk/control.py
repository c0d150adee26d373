"""The kill switch at work: what engages a scope, what clears it, and that each is in the journal and at the broker.

Not where a single order is refused (``risk.checks``). Whatever engages a scope does it in memory, on disk, then at the
broker; each is tried whatever became of the one before. Clearing is the other way round: proof, disk, memory.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bus.errors import JournalError, RefusedError
from bus.messages import Kill, KillLine, Resume
from risk.canceling import Canceling
from risk.journal import GateJournal
from risk.kills import KillSwitch, Scope
from risk.records import Alarm
from risk.resume import is_proof, publish_resume_key, resume_proof
from risk.seat import Seat
from risk.spec import GateSpec
from risk.state import DeskState

__all__ = ["GATE", "Control"]

GATE = "the gate"
"""Who engages a scope when nobody asked for it."""


class Control:
    """Engages and clears scopes.

    Attributes:
        kills: What is stopped now.
    """

    def __init__(
        self,
        spec: GateSpec,
        desk: DeskState,
        journal: GateJournal,
        kills: KillSwitch,
        canceling: Canceling,
        seats: tuple[Seat, ...],
    ) -> None:
        """Put in force what the journal says, owe its cancels again, and make the key of a person's proofs."""
        self.kills = kills
        self._run_id = spec.run_id
        self._desk = desk
        self._journal = journal
        self._canceling = canceling
        self._seats = seats
        self._key = publish_resume_key(Path(spec.resume_key_file)) if spec.resume_key_file else b""
        for line in kills.told():
            desk.set_trading(line.client, line.strategy, line.state)
            canceling.owe(line, seats)

    def kill(self, request: Kill, now_ns: int) -> None:
        """Engage a scope.

        Raises:
            RefusedError: The desk has no such client, or the state is none that tightens.
            JournalError: It holds, and what can be canceled is, but it is not on disk: a restart forgets it.
        """
        names = [seat.name for seat in self._seats]
        if request.client and request.client not in names:
            raise RefusedError(
                f"there is no client {request.client[:40]!r} to stop; there are {', '.join(names)}, or none for all"
            )
        if request.state == "active":
            raise RefusedError(
                "a kill only tightens: 'halted' or 'reducing'; a person makes a scope active with `outcry resume`"
            )
        line = KillLine(
            request.client, request.strategy[:80], request.state, request.reason[:200], request.by[:80], now_ns
        )
        wanted = self.engage(line)
        try:
            self.write_owed()
        finally:
            if wanted is not None:
                self._canceling.owe(wanted, self._seats)
            self._canceling.work(now_ns, self.kills, self._seats)

    def engage(self, line: KillLine) -> KillLine | None:
        """Put a scope in force in memory; return what came to be in force, None when that or more was before."""
        wanted = self.kills.tightened(line)
        if wanted is not None:
            self.kills.engage(wanted)
            self._desk.set_trading(wanted.client, wanted.strategy, wanted.state)
        return wanted

    def disengage(self, engaged: list[KillLine], copied: tuple[dict[Scope, KillLine], dict[Scope, KillLine]]) -> None:
        """Take back what was engaged since ``copied`` was, and nobody was told of: a preview's."""
        self.kills.restore(copied)
        for line in engaged:
            before = self.kills.lines.get((line.client, line.strategy))
            self._desk.set_trading(line.client, line.strategy, before.state if before is not None else "active")

    def owe_cancels(self, lines: list[KillLine], now_ns: int) -> None:
        """Have what works of scopes canceled that the gate itself stopped."""
        for line in lines:
            self._canceling.owe(line, self._seats)
        if lines:
            self._canceling.work(now_ns, self.kills, self._seats)

    def write_owed(self) -> None:
        """Write what is in force and not on disk.

        Raises:
            JournalError: It was not written.
        """
        for line in list(self.kills.unwritten.values()):
            self._journal.write_kill(line)
            self.kills.wrote(line)

    def work(self, now_ns: int) -> None:
        """Do at an instant what is owed: halts of gateways, writing, canceling.

        Raises:
            JournalError: A scope that is in force could not be written.
        """
        for seat in self._seats:
            if seat.halted:
                line = KillLine(seat.name, "", "halted", f"its gateway halted it: {seat.halted[:160]}", GATE, now_ns)
                wanted = self.engage(line)
                if wanted is not None:
                    self._canceling.owe(wanted, self._seats)
        try:
            self.write_owed()
        finally:
            self._canceling.work(now_ns, self.kills, self._seats)

    def resume(self, request: Resume, now_ns: int) -> None:
        """Clear a scope for a person who proves to be one.

        Raises:
            RefusedError: The proof is not over this scope, this person and the present nonce; an alarm is written.
            JournalError: It could not be written, so nothing is cleared.
        """
        client, strategy, by = request.client, request.strategy, request.by
        nonce = self.kills.nonce
        expected = resume_proof(self._key, self._run_id, client, strategy, by, nonce) if self._key else b""
        if not self._key or request.nonce != nonce or not is_proof(request.proof, expected):
            text = f"a resume of {client[:40]!r}/{strategy[:40]!r} by {by[:40]!r} had no valid proof"
            with suppress(JournalError):
                self._journal.write_alarm(Alarm("resume_refused", text, now_ns))
            raise RefusedError(
                "this resume has no valid proof over its scope, its person and the gate's present nonce; nothing was "
                "cleared: a person runs `outcry resume` at a terminal, as the desk's user"
            )
        self.write_owed()
        if (client, strategy) in self.kills.lines:
            line = KillLine(client, strategy, "active", "resumed", by[:80], now_ns)
            self._journal.write_kill(line)
            self.kills.wrote(line)
            self._desk.set_trading(client, strategy, "active")
        if client and not strategy and now_ns >= 0:
            for seat in self._seats:
                if seat.name == client:
                    seat.halted = ""
                    self._canceling.clear_halt(seat, by[:80], now_ns, nonce)
