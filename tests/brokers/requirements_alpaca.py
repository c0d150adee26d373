"""What the Alpaca adapter promises beyond the kit."""

from __future__ import annotations

__all__ = ["REQUIREMENTS"]

REQUIREMENTS: dict[str, str] = {
    "brokers:alpaca:kit": "The Alpaca adapter passes the conformance kit against a loopback Alpaca, with the real SDK.",
    "brokers:alpaca:once": "No request is sent twice, whatever the answer: the SDK's own retries are off.",
    "brokers:alpaca:definite": "Only Alpaca's own refusal is a rejection; every other failure is unknown.",
    "brokers:alpaca:not-sent": "Where no connection came about, the order is rejected and nothing was sent.",
    "brokers:alpaca:duplicate": "An id that Alpaca has already is settled by asking for the order of that id.",
    "brokers:alpaca:never": "An order that Alpaca does not know is given up only long after its request ended.",
    "brokers:alpaca:others": "An order of other hands is followed, asked about and canceled under its derived id.",
    "brokers:alpaca:words": "All of Alpaca's statuses and events have words of the protocol; a new one is unknown.",
    "brokers:alpaca:exact": "Numbers travel as exact decimal text in both directions; none is ever a float.",
    "brokers:alpaca:fields": "Every order type and time in force is sent with the fields that Alpaca wants, no others.",
    "brokers:alpaca:replace": "A replacement carries its own quantity and id, and ends in exactly one of two ways.",
    "brokers:alpaca:fill-ids": "An execution has one id, from the stream, from activities and after a restart.",
    "brokers:alpaca:order-of-news": "In whatever order updates come, each execution and each end is told once.",
    "brokers:alpaca:bust": "A busted or corrected execution names the one that it undoes.",
    "brokers:alpaca:silence": "A stream that is silent while orders work is checked by REST, and not believed again.",
    "brokers:alpaca:reconnect": "After a lost stream what was missed is asked for, and new connections are paced.",
    "brokers:alpaca:garbage": "Frames that cannot be read lose nothing: what is true is asked for.",
    "brokers:alpaca:statement": "A statement is of one instant, in our symbols and signs, over all pages.",
    "brokers:alpaca:secrets": "Keys are in no repr, log, report or exception of any error path.",
    "brokers:alpaca:addresses": "Keys go to Alpaca's paper or real service, or in clear text to this machine only.",
    "brokers:alpaca:extra": "Without the alpaca extra, opening the broker says what to install.",
}
