"""The hypothesis machine: what may happen next on the floor, and what has to hold after every step.

Steps are drawn by what there is: orders at the gate's own edges, tickets that were given, orders that work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from bus.errors import RemoteError
from bus.messages import (
    AskCancel,
    Canceled,
    GetRiskState,
    Kill,
    OrderIntent,
    PreviewOrders,
    Resume,
    RiskState,
    StageResult,
    TradingState,
)
from risk.resume import read_resume_key, resume_proof
from tests.machine import rules
from tests.machine.acts import Acts, Kills, Switch
from tests.machine.drawn import KINDS, PLAIN, draw_order, draw_replacement
from tests.machine.floor import CLIENTS, INSTRUMENTS, RUN
from tests.machine.reference import TIGHT

__all__ = ["DeskMachine"]

KILLS: st.SearchStrategy[Kills] = st.one_of(
    st.none(),
    st.none(),
    st.none(),
    st.tuples(st.sampled_from(["gate", *CLIENTS]), st.integers(1, 8), st.sampled_from([False, False, True])),
)
LOST = ["lose_answer", "lose_request", "lose_answer deaf", "lose_request deaf"]
MISHAPS = st.sampled_from([*[""] * 4, *LOST, "refuse", "fill_first", "slow_cancel", "slow_replace", "refuse_cancel"])
WHO = st.sampled_from(CLIENTS)
SENT = st.sampled_from([True, True, True, False])
TOLD = st.sampled_from([True, True, False])
PART = st.sampled_from(["all", "all", "one", "but one"])
STRATEGY = st.sampled_from(["trend", "trend", "mean"])
SCOPES = [("", ""), ("alice", ""), ("bob", ""), ("", "trend"), ("alice", "mean"), ("bob", "trend")]
STATES: list[TradingState] = ["halted", "reducing", "reducing"]
STEPS = st.sampled_from(["1"] * 20 + ["2", "16", "close", "day"])
MOVE = st.sampled_from(["same"] * 40 + ["up", "down", "more", "less", "leap", "fall", "old", "gone", "crossed"])
RESTARTS = st.sampled_from(
    [("gate",), ("gate",), ("alice",), ("bob",), ("gate", "alice"), ("alice", "bob"), ("gate", "alice", "bob")]
)
SETTLING = st.sampled_from([("gate",), ("alice", "gate"), ("bob",), ("bob", "alice", "gate")])


class DeskMachine(Acts):
    """Every real part of a desk of two clients."""

    def __init__(self) -> None:
        super().__init__()
        self.started = 0
        self.calm = 4

    @initialize()
    def begin(self) -> None:
        self.floor.start()
        self.priced()
        self.settled((*CLIENTS, "gate"))

    @rule(step=STEPS, moves=st.tuples(MOVE, MOVE), halt=st.integers(0, 49), kill=KILLS)
    def tick(self, step: str, moves: tuple[str, str], halt: int, kill: Kills) -> None:
        """Let time pass, and settle everybody."""
        self.pass_time(step, moves, frozenset([("ACME", "BITS")[halt]] if halt < 2 else []))
        self.disturbed(kill, lambda: self.settled((*CLIENTS, "gate")))

    @rule(names=SETTLING, kill=KILLS)
    def settle(self, names: tuple[str, ...], kill: Kills) -> None:
        self.disturbed(kill, lambda: self.settled(names))

    # --- orders -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.floor.seat("alice") is not None)
    @rule(data=st.data(), client=WHO, count=st.sampled_from([1, 1, 2, 3]), sent=SENT, mishap=MISHAPS, kill=KILLS)
    def trade(self, data: st.DataObject, client: str, count: int, sent: bool, mishap: str, kill: Kills) -> None:
        """Have orders of any kind judged at the edges of what is allowed, and send those that pass."""
        intents = self._drawn(data, client, count, KINDS)
        self.disturbed(kill, lambda: self.judged_and_sent(intents, sent), (client, mishap))

    @precondition(lambda self: self.floor.seat("alice") is not None)
    @rule(data=st.data(), client=WHO, sent=SENT)
    def trade_plain(self, data: st.DataObject, client: str, sent: bool) -> None:
        """The same in peace, with market and limit orders."""
        self.judged_and_sent(self._drawn(data, client, 3, PLAIN), sent)

    @precondition(lambda self: self.floor.seat("alice") is not None)
    @rule(data=st.data(), client=WHO, told=TOLD, mishap=MISHAPS, kill=KILLS)
    def trade_and_fill(self, data: st.DataObject, client: str, told: bool, mishap: str, kill: Kills) -> None:
        """The same, and what works of it is filled at once."""
        intents = self._drawn(data, client, 1, ("market", "limit", "bracket", "oco"))
        self.disturbed(kill, lambda: self.judged_and_sent(intents, sent=True), (client, mishap))
        name = intents[0].client_order_id
        if name in self.floor.houses[client].working():
            self.filled(client, name, told, data.draw(PART))

    def _drawn(
        self,
        data: st.DataObject,
        client: str,
        count: int,
        kinds: tuple[str, ...],
        *,
        strategy: str = "",
        exits: bool = False,
    ) -> list[OrderIntent]:
        seat, intents = self.floor.seat(client), list[OrderIntent]()
        assert seat is not None
        for _ in range(count):
            self.index += 1
            names = (client, self.cycle, self.index)
            whose = strategy or data.draw(STRATEGY)
            intents.append(draw_order(data, seat.state.facts, names, whose, kinds, exits=exits))
        return intents

    @precondition(lambda self: self.floor.seat("alice") is not None and self.reference.given)
    @rule(data=st.data(), sent=SENT, mishap=MISHAPS, kill=KILLS)
    def replace(self, data: st.DataObject, sent: bool, mishap: str, kill: Kills) -> None:
        """Have an order judged in the place of one that works, or of any other; now and then another is sent first."""
        works = [name for client in CLIENTS for name in self.reference.open_orders(client)]
        old = self.reference.given[data.draw(st.sampled_from(works or sorted(self.reference.given)))].row
        seat = self.floor.seat(old.client)
        assert seat is not None
        self.index += 1
        left = self.reference.left(old.client, old.intent.client_order_id)
        made = draw_replacement(data, seat.state.facts, (old.client, self.cycle, self.index), old.intent, left)
        self.disturbed(kill, lambda: self.judged_and_sent([made], sent), (old.client, mishap))

    @precondition(lambda self: self.floor.seat("alice") is not None)
    @rule(data=st.data(), client=WHO)
    def place_high_and_replace(self, data: st.DataObject, client: str) -> None:
        """While the replacement is on its way the old one may still fill, at its own price."""
        seat = self.floor.seat(client)
        assert seat is not None
        first = self._drawn(data, client, 1, ("high",))
        self.judged_and_sent(first, sent=True)
        if first[0].client_order_id in self.reference.given and self.floor.seat(client) is seat:
            self.index += 1
            left = self.reference.left(client, first[0].client_order_id)
            names = (client, self.cycle, self.index)
            made = draw_replacement(data, seat.state.facts, names, first[0], left)
            self.judged_and_sent([made], data.draw(SENT))

    @precondition(lambda self: self.tickets)
    @rule(back=st.integers(0, 8), mishap=MISHAPS, kill=KILLS)
    def send_later(self, back: int, mishap: str, kill: Kills) -> None:
        """Send what was given before, for the first time or again, in time or too late."""
        ticket = self.tickets[max(len(self.tickets) - 1 - back, 0)]
        client = ticket.intent.client
        self.disturbed(kill, lambda: self.sent_later(client, ticket), (client, mishap))

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), how=st.sampled_from(["more", "other side", "other door", "other client", "longer"]))
    def tamper(self, data: st.DataObject, how: str) -> None:
        """Bring a ticket to where it does not belong, or with what it is not for: nothing may come of it."""
        order = data.draw(st.sampled_from(self.tickets))
        door, made = self.altered(order, how)
        known = {client: house.asked_for() for client, house in self.floor.houses.items()}
        answer = self.sent(door, [made])
        assert {client: house.asked_for() for client, house in self.floor.houses.items()} == known
        if answer is not None:
            self.reached[f"tampered: {how}"] += all(event.seq == 0 for event in answer.events)

    @precondition(lambda self: self.asked and self.now_ns >= 0)
    @rule(data=st.data(), changed=st.booleans(), kill=KILLS)
    def ask_again(self, data: st.DataObject, changed: bool, kill: Kills) -> None:
        """Ask for a verdict that was given, or for another order under its id."""
        intent = data.draw(st.sampled_from(self.asked))
        if changed:
            lot = INSTRUMENTS[intent.symbol].lot_nano
            here = self.floor.feed.index(self.now_ns) + 1 == intent.cycle
            intent = msgspec.structs.replace(intent, qty_nano=lot if here and intent.qty_nano > lot else 2 * lot)
        self.disturbed(kill, lambda: self.judged([intent]))

    @precondition(lambda self: self.reference.given and self.now_ns >= 0)
    @rule(data=st.data(), mishap=MISHAPS, kill=KILLS)
    def cancel(self, data: st.DataObject, mishap: str, kill: Kills) -> None:
        others = [(given.row.client, name) for name, given in self.reference.given.items()]
        client, name = data.draw(st.sampled_from(self.working() or others))
        self.index += 1
        request = AskCancel(client, RUN, (name,), f"test {self.index}", "the machine")
        self.disturbed(kill, lambda: self.ask("gate", request, Canceled), (client, mishap))

    # --- stopping -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.reference.rows) >= self.calm and self.floor.gate is not None)
    @rule(data=st.data(), scope=st.sampled_from(SCOPES), state=st.sampled_from(STATES), kill=KILLS)
    def stop(self, data: st.DataObject, scope: tuple[str, str], state: TradingState, kill: Kills) -> None:
        """Stop a scope; then both clients want to go on."""
        self.calm = len(self.reference.rows) + 8
        known: TradingState = self.reference.kills.get(scope, "active")
        after: Switch = {**self.reference.kills, scope: known if TIGHT[known] > TIGHT[state] else state}
        self.switched(Kill("a test", "a person", *scope, state), after, kill)
        for client in CLIENTS:
            if self.floor.seat(client) is not None:
                exits = self._drawn(data, client, 2, PLAIN, strategy=scope[1], exits=True)
                self.judged_and_sent(exits, sent=True)

    @precondition(lambda self: self.reference.kills and self.floor.gate is not None)
    @rule(data=st.data(), kill=KILLS)
    def resume(self, data: st.DataObject, kill: Kills) -> None:
        """Clear a scope with a person's proof."""
        scope = data.draw(st.sampled_from(sorted(self.reference.kills)))
        after: Switch = {each: state for each, state in self.reference.kills.items() if each != scope}
        self.switched(self._proven(scope), after, kill)

    @precondition(lambda self: self.reference.kills and self.floor.gate is not None)
    @rule(data=st.data(), wrong=st.sampled_from(["scope", "nonce", "person", "none"]))
    def resume_without_proof(self, data: st.DataObject, wrong: str) -> None:
        request = self._proven(data.draw(st.sampled_from(sorted(self.reference.kills))), wrong)
        code = ""
        try:
            self.floor.ask("gate", request, RiskState)
        except RemoteError as error:
            code = error.code
        assert code == "refused", "resumed without a proof"
        assert rules.told(self.floor.ask("gate", GetRiskState(), RiskState)) == self.reference.kills
        self.reached["a resume refused"] += 1

    def _proven(self, scope: tuple[str, str], wrong: str = "") -> Resume:
        nonce = self.floor.ask("gate", GetRiskState(), RiskState).nonce - (wrong == "nonce")
        key = read_resume_key(Path(self.floor.spec.resume_key_file))
        over = ("alice", "other") if wrong == "scope" else scope
        proof = resume_proof(key, RUN, *over, "somebody" if wrong == "person" else "a person", nonce)
        return Resume("a person", *scope, nonce, b"" if wrong == "none" else proof)

    # --- the venues ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.working())
    @rule(data=st.data(), told=TOLD, how=PART)
    def fill(self, data: st.DataObject, told: bool, how: str) -> None:
        client, name = data.draw(st.sampled_from(self.working()))
        self.filled(client, name, told, how)

    @precondition(lambda self: self.working())
    @rule(data=st.data(), told=st.booleans(), kind=st.sampled_from(["canceled", "expired"]))
    def end(self, data: st.DataObject, told: bool, kind: Literal["canceled", "expired"]) -> None:
        client, name = data.draw(st.sampled_from(self.working()))
        self.floor.houses[client].end(name, kind, told=told)

    @precondition(lambda self: any(house.orders for house in self.floor.houses.values()))
    @rule(data=st.data(), first=st.integers(0, 3))
    def say_again(self, data: st.DataObject, first: int) -> None:
        """A venue repeats words: those that wait, and the fills of an order."""
        house = data.draw(st.sampled_from([house for house in self.floor.houses.values() if house.orders]))
        for queue in house.queues:
            queue += queue[first : first + 3]
        house.repeat(data.draw(st.sampled_from(sorted(house.orders))))

    @precondition(lambda self: self.tickets)
    @rule(client=WHO, how=st.sampled_from(["listen", "ask", "compare"]), kill=KILLS)
    def look(self, client: str, how: str, kill: Kills) -> None:
        """A gateway hears its venue between two instants, or compares with it."""
        self.disturbed(kill, lambda: self.looked(client, how))

    # --- restarts -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.reference.rows) > self.started)
    @rule(who=RESTARTS)
    def restart(self, who: tuple[str, ...]) -> None:
        """Kill processes between two steps and start them: they know what they knew."""
        self.started = len(self.reference.rows)
        self.floor.start()
        before = rules.known(self.floor) if self.steady else None
        events = {client: self.events(client) for client in CLIENTS}
        for name in who:
            self.floor.processes[name].end()
        self.floor.start()
        for client, told in events.items():
            assert self.events(client)[: len(told)] == told
        self.reached["restarted " + " ".join(who)] += 1
        if self.now_ns >= 0:
            self.floor.ask("gate", PreviewOrders(CLIENTS[0], RUN, 1, ()), StageResult)
        if before is not None:
            assert rules.known(self.floor) == before, "a restart changed what the gate knows"

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_at_a_venue_that_was_not_approved(self) -> None:
        for client, house in self.floor.houses.items():
            for arrival in house.arrivals[self.checked[client] :]:
                rules.was_approved(self.floor, self.reference, arrival)
            self.checked[client] = len(house.arrivals)

    @invariant()
    def the_gate_reserves_what_may_fill(self) -> None:
        for client in CLIENTS:
            rules.is_reserved(self.floor, self.reference, client)

    def teardown(self) -> None:
        """When all behave again, the three books come to be the same, without a person."""
        try:
            rules.they_agree(self.floor, self.reference, self.last)
        finally:
            self.close()
