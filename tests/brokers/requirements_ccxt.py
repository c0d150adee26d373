"""What the ccxt adapter promises beside the kit."""

from __future__ import annotations

__all__ = ["REQUIREMENTS"]

REQUIREMENTS: dict[str, str] = {
    "brokers:ccxt:kit": "The ccxt adapter passes the conformance kit against a loopback Binance spot exchange.",
    "brokers:ccxt:exact": "What is sent is what was ordered to the last digit; what would be rounded is not sent.",
    "brokers:ccxt:definite": "Only a parsed refusal of a known kind rejects an order; every other answer is unknown.",
    "brokers:ccxt:once": "No order is sent twice: not by ccxt's retries, a redirect, a broken connection or a caller.",
    "brokers:ccxt:never-arrived": "An order is given up only when the exchange's clock says that it cannot arrive.",
    "brokers:ccxt:keys": "No key, secret or signature is in a report, an error, its causes, a log or a representation.",
    "brokers:ccxt:busy": "An exchange that wants to be left alone is sent nothing until its time is over.",
    "brokers:ccxt:news": "News are asked for at a bounded pace on a thread of their own; nobody who drains waits.",
    "brokers:ccxt:fees": "Fees in the account currency, in the coin bought and in a third coin leave the books exact.",
    "brokers:ccxt:statement": "A statement is of one moment: one in which the account moved is thrown away.",
    "brokers:ccxt:others": "Orders of other hands are told, watched and canceled under an id that outlives a restart.",
    "brokers:ccxt:config": "Settings that cannot be are refused with what is allowed, before anything is asked.",
    "brokers:ccxt:lean": "A gateway imports one exchange of ccxt's, and leaves the rest of ccxt whole for others.",
}
