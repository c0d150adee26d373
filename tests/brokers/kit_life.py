"""The ordinary life of an order, and of an account, at any broker. Not what goes wrong: that is ``kit_mishaps``."""

from __future__ import annotations

from itertools import product

from bus.fixed import notional_nano
from bus.messages import OrderType, TimeInForce
from tests.brokers.kit_base import ORDER_TYPES, TIMES_IN_FORCE, KitBase, order
from tests.brokers.kit_ear import Ear
from tests.brokers.kit_venue import Venue

__all__ = ["LifeKit"]

CENT_NANO = 10_000_000
"""What a broker that keeps cash in cents may differ by on one fill."""


class LifeKit(KitBase):
    """Orders, replacing, asking, restarts and statements."""

    # --- the ordinary life of an order --------------------------------------------------------------------------------

    def test_an_order_is_accepted_and_the_venue_has_it_once(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        assert ear.submit(intent) == "accepted"
        ear.listen()
        assert venue.orders() == {intent.client_order_id: intent.qty_nano}
        assert ear.filled(intent.client_order_id) == 0
        assert not ear.over(intent.client_order_id)

    def test_what_is_offered_is_taken(self, venue: Venue, ear: Ear) -> None:
        """Every type with some time in force and every time in force with some type; the rest is refused with words."""
        taken: dict[str, int] = {}
        pairs: list[tuple[str, str]] = []
        for index, (kind, tif) in enumerate(product(venue.offers.order_types, venue.offers.times_in_force)):
            intent = order(venue, index, order_type=_kind(kind), tif=_tif(tif))
            answer = ear.submit(intent)
            if answer == "accepted":
                taken[intent.client_order_id] = intent.qty_nano
                pairs.append((kind, tif))
            else:
                assert (answer, bool(ear.reports[-1].reason)) == ("rejected", True), f"{kind} {tif}"
        assert {kind for kind, _ in pairs} == set(venue.offers.order_types)
        assert {tif for _, tif in pairs} == set(venue.offers.times_in_force)
        assert venue.orders() == taken

    def test_what_is_not_offered_is_rejected_and_not_sent(self, venue: Venue, ear: Ear) -> None:
        tried = [order(venue, 0, symbol="NO-SUCH-SYMBOL"), order(venue, 1, qty_nano=-venue.qty_nano)]
        kinds: list[OrderType] = [kind for kind in ORDER_TYPES if kind not in venue.offers.order_types]
        tifs: list[TimeInForce] = [tif for tif in TIMES_IN_FORCE if tif not in venue.offers.times_in_force]
        tried += [
            order(venue, 10 + n, order_type=kind, tif=_tif(venue.offers.times_in_force[0]))
            for n, kind in enumerate(kinds)
        ]
        tried += [order(venue, 20 + n, tif=tif) for n, tif in enumerate(tifs)]
        for intent in tried:
            assert ear.submit(intent) == "rejected", intent
            assert ear.reports[-1].reason, "a rejection says why"
        assert venue.orders() == {}

    def test_a_fill_is_told_once_and_whole(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, intent.qty_nano)
        (fill,) = ear.of(intent.client_order_id)
        assert (fill.symbol, fill.side, fill.qty_nano, fill.price_nano) == (
            intent.symbol,
            intent.side,
            intent.qty_nano,
            intent.limit_price_nano,
        )
        assert fill.time_ns > 0
        assert ear.over(intent.client_order_id)

    def test_partial_fills_are_told_apart_and_add_up(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0, side="buy")
        quarter = intent.qty_nano // 4
        ear.submit(intent)
        for part in (quarter, quarter):
            venue.fill(intent.client_order_id, part, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, 2 * quarter)
        assert not ear.over(intent.client_order_id)
        assert venue.working() == {intent.client_order_id: intent.qty_nano - 2 * quarter}
        venue.fill(intent.client_order_id, intent.qty_nano - 2 * quarter, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, intent.qty_nano)
        assert [fill.qty_nano for fill in ear.of(intent.client_order_id)] == [quarter, quarter, 2 * quarter]

    def test_draining_again_tells_nothing_again(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, intent.qty_nano)
        ear.query(intent.client_order_id)
        told = [report.fill for report in ear.reports if report.fill is not None]
        assert len({fill.fill_id for fill in told}) == 1
        ear.listen()
        assert venue.hear(ear.broker) == []

    def test_a_canceled_order_is_over_at_both_ends(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        assert ear.cancel(intent.client_order_id) in {"canceled", "pending_cancel"}
        ear.until_kind(intent.client_order_id, "canceled")
        assert venue.working() == {}
        assert ear.filled(intent.client_order_id) == 0

    def test_what_was_filled_before_a_cancel_stays_filled(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        venue.fill(intent.client_order_id, intent.qty_nano // 4, intent.limit_price_nano)
        ear.cancel(intent.client_order_id)
        ear.until_kind(intent.client_order_id, "canceled")
        ear.until_filled(intent.client_order_id, intent.qty_nano // 4)
        assert ear.filled(intent.client_order_id) == intent.qty_nano // 4

    def test_a_cancel_of_a_filled_order_does_not_unfill_it(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, intent.qty_nano)
        assert ear.cancel(intent.client_order_id) != "canceled"
        if "unknown" in ear.kinds(intent.client_order_id)[-1:]:
            ear.query(intent.client_order_id)
        ear.listen()
        assert "canceled" not in ear.kinds(intent.client_order_id)
        assert ear.filled(intent.client_order_id) == intent.qty_nano

    def test_a_cancel_of_an_order_that_never_was_is_not_confirmed(self, venue: Venue, ear: Ear) -> None:
        never = order(venue, 7).client_order_id
        assert ear.cancel(never) in {"cancel_rejected", "pending_cancel"}
        ear.until_kind(never, "cancel_rejected")
        assert "canceled" not in ear.kinds(never)

    # --- replacing ----------------------------------------------------------------------------------------------------

    def test_a_replaced_order_goes_on_as_the_new_one(self, venue: Venue, ear: Ear) -> None:
        old = order(venue, 0)
        new = order(venue, 1, replaces=old.client_order_id, qty_nano=old.qty_nano // 2)
        ear.submit(old)
        told = {report.client_order_id for report in ear.replace(new)}
        if not venue.offers.replaces:
            ear.until_kind(old.client_order_id, "replace_rejected")
            ear.until_kind(new.client_order_id, "rejected")
            assert venue.working() == {old.client_order_id: old.qty_nano}
            return
        assert told <= {old.client_order_id, new.client_order_id}
        ear.until_kind(old.client_order_id, "replaced")
        ear.until_kind(new.client_order_id, "accepted")
        assert venue.working() == {new.client_order_id: new.qty_nano}
        venue.fill(new.client_order_id, new.qty_nano, new.limit_price_nano)
        ear.until_filled(new.client_order_id, new.qty_nano)
        assert ear.filled(old.client_order_id) == 0
        assert ear.over(new.client_order_id)

    def test_a_replacement_wants_its_quantity_beside_what_the_old_one_filled(self, venue: Venue, ear: Ear) -> None:
        old = order(venue, 0)
        quarter = old.qty_nano // 4
        new = order(venue, 1, replaces=old.client_order_id, qty_nano=2 * quarter)
        ear.submit(old)
        venue.fill(old.client_order_id, quarter, old.limit_price_nano)
        ear.until_filled(old.client_order_id, quarter)
        ear.replace(new)
        if not venue.offers.replaces:
            ear.until_kind(new.client_order_id, "rejected")
            return
        ear.until_kind(new.client_order_id, "accepted")
        assert venue.working() == {new.client_order_id: 2 * quarter}
        venue.fill(new.client_order_id, 2 * quarter, new.limit_price_nano)
        ear.until_filled(new.client_order_id, 2 * quarter)
        assert (ear.filled(old.client_order_id), ear.filled(new.client_order_id)) == (quarter, 2 * quarter)

    def test_what_is_filled_cannot_be_replaced(self, venue: Venue, ear: Ear) -> None:
        old = order(venue, 0)
        new = order(venue, 1, replaces=old.client_order_id)
        ear.submit(old)
        venue.fill(old.client_order_id, old.qty_nano, old.limit_price_nano)
        ear.until_filled(old.client_order_id, old.qty_nano)
        ear.replace(new)
        ear.until_kind(new.client_order_id, "rejected")
        assert "replaced" not in ear.kinds(old.client_order_id)
        assert venue.working() == {}

    # --- asking -------------------------------------------------------------------------------------------------------

    def test_a_query_tells_the_same_fills_under_the_same_ids(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        venue.fill(intent.client_order_id, intent.qty_nano // 2, intent.limit_price_nano)
        venue.fill(intent.client_order_id, intent.qty_nano // 4, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, intent.qty_nano // 4 * 3)
        heard = {fill.fill_id: fill for fill in ear.of(intent.client_order_id)}
        asked = ear.query(intent.client_order_id)
        told = {report.fill.fill_id: report.fill for report in asked if report.fill is not None}
        assert told == heard
        assert asked[0].kind == "accepted"

    def test_a_query_about_an_order_that_never_was_invents_nothing(self, venue: Venue, ear: Ear) -> None:
        never = order(venue, 7).client_order_id
        told = ear.query(never)
        assert [(report.kind, report.reason) for report in told] in ([], [("rejected", "never_arrived")])

    def test_an_order_sent_again_is_the_same_order(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        assert ear.submit(intent) == "accepted"
        assert ear.submit(intent) != "rejected", "a rejection would release what the working order reserves"
        ear.listen()
        assert venue.orders() == {intent.client_order_id: intent.qty_nano}

    # --- restart ------------------------------------------------------------------------------------------------------

    def test_a_restart_sends_nothing_and_forgets_nothing(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        quarter = intent.qty_nano // 4
        ear.submit(intent)
        venue.fill(intent.client_order_id, quarter, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, quarter)
        ear.reopen()
        ear.query(intent.client_order_id)
        assert venue.orders() == {intent.client_order_id: intent.qty_nano}
        venue.fill(intent.client_order_id, 3 * quarter, intent.limit_price_nano)
        ear.until_filled(intent.client_order_id, 4 * quarter)
        assert sorted(fill.qty_nano for fill in ear.of(intent.client_order_id)) == [quarter, 3 * quarter]

    def test_what_happened_while_the_adapter_was_away_is_heard_after(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        ear.listen()
        ear.broker.close()
        venue.fill(intent.client_order_id, intent.qty_nano, intent.limit_price_nano)
        ear.broker = venue.open()
        ear.broker.restore([ear.known(intent.client_order_id)], day_done=False)
        ear.query(intent.client_order_id)
        ear.until_filled(intent.client_order_id, intent.qty_nano)
        assert len(ear.of(intent.client_order_id)) == 1

    def test_closing_twice_is_harmless_and_orders_work_on(self, venue: Venue, ear: Ear) -> None:
        intent = order(venue, 0)
        ear.submit(intent)
        ear.listen()
        ear.broker.close()
        ear.broker.close()
        assert venue.working() == {intent.client_order_id: intent.qty_nano}

    # --- the account --------------------------------------------------------------------------------------------------

    def test_a_statement_is_told_by_who_keeps_the_account(self, venue: Venue, ear: Ear) -> None:
        before = ear.broker.statement()
        assert (before is not None) == venue.offers.own_account
        if before is None:
            return
        assert (before.held, before.orders) == ((), ())
        assert before.seen_ns > 0
        done, open_ = order(venue, 0), order(venue, 1)
        ear.submit(done)
        ear.submit(open_)
        venue.fill(done.client_order_id, done.qty_nano, done.limit_price_nano)
        ear.until_filled(done.client_order_id, done.qty_nano)
        after = ear.broker.statement()
        assert after is not None
        assert [(h.symbol, h.qty_nano) for h in after.held] == [(done.symbol, done.qty_nano)]
        assert [(o.client_order_id, o.side, o.qty_nano, o.filled_nano) for o in after.orders] == [
            (open_.client_order_id, "buy", open_.qty_nano, 0)
        ]
        assert {fill.fill_id: fill for fill in after.fills} == ear.fills
        assert after.seen_ns >= before.seen_ns
        if before.cash_nano is not None and after.cash_nano is not None:
            (fill,) = ear.of(done.client_order_id)
            spent = notional_nano(fill.price_nano, fill.qty_nano, venue.instruments[fill.symbol].multiplier)
            assert abs(before.cash_nano - after.cash_nano - spent - fill.fee_nano) <= CENT_NANO

    def test_orders_of_other_hands_have_the_same_derived_id_each_time(self, venue: Venue, ear: Ear) -> None:
        if not venue.offers.own_account:
            assert ear.broker.statement() is None
            return
        mine = order(venue, 0)
        ear.submit(mine)
        theirs = venue.place_by_hand(mine.symbol, "sell", mine.qty_nano, mine.limit_price_nano * 2)
        seen: list[str] = []
        for _ in range(2):
            told = ear.broker.statement()
            assert told is not None
            by_hand = [o for o in told.orders if o.client_order_id != mine.client_order_id]
            assert [(o.broker_order_id, o.side, o.qty_nano) for o in by_hand] == [(theirs, "sell", mine.qty_nano)]
            seen.append(by_hand[0].client_order_id)
            ear.reopen()
        assert seen[0] == seen[1] != ""


def _kind(name: str) -> OrderType:
    return next(kind for kind in ORDER_TYPES if kind == name)


def _tif(name: str) -> TimeInForce:
    return next(tif for tif in TIMES_IN_FORCE if tif == name)
