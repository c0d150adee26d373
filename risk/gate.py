"""The gate process: the only signer. It judges intents by its own book, prices and clock, and believes no caller.

Not a strategy and not an account: it says no, or yes with a ticket. There is no way around it and no switch that makes
it lenient; what it cannot know, cannot write or cannot compute is a denial.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from bus.errors import BusError, ConfigError
from bus.messages import (
    AskCancel,
    Canceled,
    CancelRefusal,
    GetLimits,
    GetRiskState,
    Kill,
    Message,
    Ok,
    Ping,
    PreviewOrders,
    Resume,
    RiskAsk,
    RiskState,
    SettleBook,
    StageRequest,
    StageResult,
)
from bus.transport import Client, Directory, Transport
from risk._tool_questions import limits_in_words
from risk.canceling import Canceling
from risk.control import Control
from risk.journal import GateJournal
from risk.judging import Judging
from risk.kills import DESK, KillSwitch, kill_text
from risk.limits import effective_version
from risk.market import Market
from risk.seat import Seat
from risk.sight import Sight
from risk.spec import GateSpec
from risk.state import DeskState
from risk.tickets import Signer, publish_public_key

__all__ = ["Gate", "build_gate"]


class Gate:
    """Judges the orders of every client of a desk."""

    def __init__(self, spec: GateSpec, feed: Client, executions: Mapping[str, Client]) -> None:
        """Open the journal, make the keys, publish what is for others and learn what was approved and stopped.

        Args:
            spec: What to judge by.
            feed: Where prices come from.
            executions: Where each client's fills come from, by the client's name.

        Raises:
            ConfigError: A layer of limits loosens the one above it, or the journal is another run's.
            JournalError: The journal cannot be opened, is damaged, or another process has it.
        """
        desk = DeskState(spec)
        self._spec = spec
        self._seats = {
            each.client: Seat(
                each, effective_version(spec, each.client), executions[each.client], desk.clients[each.client]
            )
            for each in spec.clients
        }
        self._first = self._seats[spec.clients[0].client]
        identity = {"run_id": spec.run_id}
        identity |= {f"start_cash_nano of {each.client}": str(each.start_cash_nano) for each in spec.clients}
        identity["clients"] = ", ".join(sorted(self._seats))
        self._journal = GateJournal(Path(spec.database), identity)
        try:
            self._sight = Sight(
                Market(feed), desk, tuple(self._seats.values()), self._journal, always_look=spec.mode != "replay"
            )
            kills = KillSwitch(self._journal.kills())
            self._signer = Signer()
            self._canceling = Canceling(self._signer)
            self._control = Control(spec, desk, self._journal, kills, self._canceling, tuple(self._seats.values()))
            self._judging = Judging(spec, self._journal, self._sight, self._control, self._signer)
            for seat in self._seats.values():
                self._journal.write_terms(seat.version, msgspec.json.encode(spec))
        except BaseException:
            self._journal.close()
            raise
        publish_public_key(Path(spec.public_key_file), self._signer)

    def handle(self, request: Message) -> Message:
        """Answer one question.

        Raises:
            BusError: A question that is not for the gate, or the feed or execution did not answer.
            JournalError: What must be on disk first is not.
            RefusedError: A resume without its proof, or a kill that would loosen.
        """
        match request:
            case StageRequest(ask=RiskAsk(intents=intents)):
                seat = self._seats.get(request.client)
                verdicts = self._judging.judge(request, intents, seat)
                return StageResult("risk", request.cycle, request.now_ns, verdicts)
            case SettleBook(now_ns=now_ns):
                return self._settle(now_ns)
            case GetRiskState():
                return self._state()
            case PreviewOrders():
                verdicts = self._judging.preview(request, self._seats.get(request.client))
                return StageResult("risk", request.cycle, max(self._sight.now_ns, 0), verdicts)
            case GetLimits(client=client):
                return limits_in_words(self._spec, self._seat_of(client), self._sight)
            case AskCancel():
                return self._cancel(request)
            case Kill():
                self._control.kill(request, self._sight.now_ns)
                return self._state()
            case Resume():
                self._control.resume(request, self._sight.now_ns)
                return self._state()
            case Ping():
                return Ok("risk")
            case _:
                raise BusError(
                    f"the gate does not answer {type(request).__name__}; it answers StageRequest with RiskAsk, "
                    "SettleBook, GetRiskState, PreviewOrders, GetLimits, AskCancel, Kill, Resume and Ping"
                )

    def _seat_of(self, client: str) -> Seat:
        seat = self._seats.get(client) if client else self._first
        if seat is None:
            raise BusError(f"this gate has no client {client[:40]!r}; it judges {', '.join(sorted(self._seats))}")
        return seat

    def make_room(self) -> None:
        """Let verdicts wait less for the disk: ``GateJournal.make_room``."""
        self._journal.make_room()

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def _settle(self, now_ns: int) -> Message:
        settled = self._sight.settle(now_ns, killed=self._control.kills.state("", "") == "halted")
        self._control.work(self._sight.now_ns)
        return settled

    def _cancel(self, request: AskCancel) -> Canceled:
        seat = self._seats.get(request.client)
        wanted = tuple(dict.fromkeys(request.client_order_ids))
        if seat is None or request.run_id != self._spec.run_id:
            why = f"this gate cancels for {', '.join(sorted(self._seats))} in its own run; ask that client's gate"
            return Canceled(self._sight.now_ns, (), tuple(CancelRefusal(order_id, why) for order_id in wanted))
        now_ns = self._sight.now_ns
        if now_ns >= 0:
            self._judging.count_cancels(wanted[: self._canceling.most], seat)
        return self._canceling.cancel(request, seat, now_ns)

    def _state(self) -> RiskState:
        last, kills = self._sight.last, self._control.kills
        desk = kills.lines.get(DESK)
        return RiskState(
            killed=desk is not None and desk.state == "halted",
            kill_reason=kill_text(desk) if desk is not None and desk.state == "halted" else "",
            now_ns=self._sight.now_ns,
            limits_version=self._first.version,
            approved=self._judging.approved,
            denied=self._judging.denied,
            equity_nano=last.settled.equity_nano if last is not None else self._first.spec.start_cash_nano,
            gross_nano=last.settled.gross_nano if last is not None else 0,
            key_id=self._signer.key_id,
            kills=kills.told(),
            nonce=kills.nonce,
            net_nano=last.net_nano if last is not None else 0,
        )


def build_gate(spec: GateSpec, transport: Transport, directory: Directory) -> Gate:
    """Return the gate of a desk, with its own ways to ask the feed and each client's gateway.

    Raises:
        ConfigError: A client's gateway is not in the directory, or as ``Gate``.
        JournalError: As ``Gate``.
    """
    missing = [each.execution for each in spec.clients if each.execution not in directory]
    if missing:
        raise ConfigError(
            f"there is no service {', '.join(missing)}; the directory has {', '.join(sorted(directory))}: "
            "name each client's gateway as it is served"
        )
    executions = {each.client: transport.client(directory[each.execution]) for each in spec.clients}
    gate = Gate(spec, transport.client(directory["feed"]), executions)
    if spec.mode != "replay":
        gate.make_room()
    return gate
