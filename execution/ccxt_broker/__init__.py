"""A client's spot account at an exchange through ccxt: the same orders and answers as at any broker of ours.

Not a source of prices (that is the feed's) and not every exchange of ccxt's: one is offered when its client order ids,
its refusals and its lifetime of a request are known here, because an order is never sent twice and never given up
early. Today that is Binance spot.

What to know of it:

- The account currency is the quote currency (``USDT``); instruments quoted in another are not traded here.
- ``day`` does not exist: the market never closes. A market order is immediate: what it leaves is over at once.
- Nothing can be replaced: Binance cancels first and places then, and the second may fail. Cancel, then order anew.
- A working sale holds the coins that it would sell. So the second leg of a bracket or oco is refused for want of coins,
  with an alarm; an ``oto`` has the one leg that protects: use that.
- A fee in the account currency is the fill's. A fee taken out of the coins that were bought is booked by a second fill
  in the statement, which sells the coins that went at the fill's price and pays all of it as fee: cash is untouched and
  the holding is what the exchange has. So until the next reconciliation a holding is shown without that fee. A fee in a
  third coin (BNB) that is not traded here changes no book of ours and is told in the fill's reason.
- What is asked and answered goes over REST. Fills are heard by asking at most once a second, on a thread of its own.
- ccxt is imported when a broker is opened, never before: it takes seconds.
"""

from __future__ import annotations

from execution.ccxt_broker._offers import OFFERS, offers
from execution.ccxt_broker._open import open_ccxt

__all__ = ["OFFERS", "offers", "open_ccxt"]
