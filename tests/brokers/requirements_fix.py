"""What the FIX 4.4 adapter promises beyond the kit."""

from __future__ import annotations

__all__ = ["REQUIREMENTS"]

REQUIREMENTS: dict[str, str] = {
    "brokers:fix:kit": "The FIX adapter passes the conformance kit.",
    "brokers:fix:off": "While the session is logged off or catching up, nothing is sent and nothing is kept for later.",
    "brokers:fix:wire": "What is on the wire is what was asked, in FIX's words and exact decimals.",
    "brokers:fix:answers": "Every ExecType and every reject is told as what it is; doubt is told as unknown.",
    "brokers:fix:executions": "Each execution counts once, busts and corrections undo it, what is missing is found.",
    "brokers:fix:chains": "A replacement's fills are told apart from those of the order that it replaced.",
    "brokers:fix:statement": "A statement is told with or without mass status and positions of the counterparty's.",
    "brokers:fix:restart": "After kill -9 every order is at the venue once or never, and no execution is lost.",
    "brokers:fix:keys": "No answer, error or file of the adapter's shows a key.",
    "brokers:fix:extra": "Without the extra the adapter says which one to install.",
}
