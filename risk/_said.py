"""A denied order beside what it was judged by, with the figures that its words need. Not a control."""

from __future__ import annotations

from bus.fixed import from_nano, notional_nano
from bus.messages import OrderIntent
from risk.checks import priced_at
from risk.facts import Deployed, Facts, Terms

__all__ = ["Said", "text"]


def text(nano: int) -> str:
    """Return billionths as a person writes them."""
    return f"{from_nano(nano):,f}"


class Said:
    """One denied order beside what it was judged by."""

    def __init__(self, intent: OrderIntent, facts: Facts) -> None:
        """Look at both; nothing is computed until it is asked."""
        self.intent = intent
        self.facts = facts
        self.limits = facts.limits
        self.symbol = intent.symbol[:20]

    @property
    def terms(self) -> Terms:
        """The client's terms in the symbol."""
        return self.facts.terms[self.intent.symbol]

    @property
    def strategy(self) -> Deployed:
        """What the strategy was deployed for."""
        return self.facts.strategies[self.intent.strategy]

    @property
    def money(self) -> str:
        """The account currency."""
        return self.facts.currency

    @property
    def price_nano(self) -> int:
        """What a unit is valued at."""
        old = self.facts.working.get(self.intent.replaces)
        return max(priced_at(self.intent, self.terms), old.price_nano if old is not None else 0)

    @property
    def more_nano(self) -> int:
        """How much more than the order it replaces is asked for."""
        old = self.facts.working.get(self.intent.replaces)
        return max(0, self.intent.qty_nano - (old.remaining_nano if old is not None else 0))

    @property
    def worth(self) -> str:
        """What the order is worth at most, in words."""
        return text(notional_nano(self.price_nano, self.intent.qty_nano, self.terms.multiplier))

    @property
    def toward_nano(self) -> int:
        """What the position could become on the order's own side."""
        held = self.terms.held
        if self.intent.side == "buy":
            return held.position_nano + held.buys_nano + self.more_nano
        return held.sells_nano - held.position_nano + self.more_nano

    @property
    def worst_nano(self) -> int:
        """What the symbol's worst case could be worth."""
        worst = max(self.terms.held.worst_nano(), self.toward_nano)
        return notional_nano(self.price_nano, worst, self.terms.multiplier)

    @property
    def gross_nano(self) -> int:
        """What the gross exposure could become."""
        return self.facts.gross_nano - self.terms.held.gross_nano + self.worst_nano

    @property
    def net_nano(self) -> int:
        """What the net exposure could become."""
        held, buys = self.terms.held, self.intent.side == "buy"
        others = self.facts.up_nano - held.up_nano if buys else self.facts.down_nano - held.down_nano
        return others + notional_nano(self.price_nano, self.toward_nano, self.terms.multiplier)

    def choice(self) -> str:
        """Return what to trade instead."""
        allowed = sorted(symbol for symbol, terms in self.facts.terms.items() if terms.barred == "")
        return f"choose one of {', '.join(allowed)}" if allowed else "nothing can be traded now"
