"""Which order a call means: derived from the caller's key, or from what is wanted and when. Not a counter.

The gate derives an order's id from client, run, cycle and index, so the key or the content becomes a cycle number. Bit
40 is set in it: no run counts its own cycles that far.
"""

from __future__ import annotations

import re

from mcp.server.mcpserver.exceptions import ToolError

from bus.ids import digest
from mcp_servers._times import shown

__all__ = ["KEY_PREFIX", "checked_key", "content_cycle", "keyed_cycle"]

KEY_PREFIX = "key="
"""How an intent's reason names the caller's key."""
_OWN = 1 << 40
_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,47}", re.ASCII)


def checked_key(key: str) -> str:
    """Return a caller's idempotency key.

    Raises:
        ToolError: It is none; the text says what is allowed.
    """
    wanted = key.strip()
    if not _FORM.fullmatch(wanted) or wanted.startswith("oo-"):
        raise ToolError(
            f"client_order_id = {shown(key)} is not allowed; allowed: 1 to 48 of A-Z a-z 0-9 . _ : -, beginning with a "
            "letter or digit and not with oo-. Or leave it out."
        )
    return wanted


def keyed_cycle(key: str) -> int:
    """Return the cycle number of the order with a caller's key."""
    return _OWN | int(digest("key", key, size=5), 16)


def content_cycle(now_ns: int, *content: str | int) -> int:
    """Return the cycle number of what is wanted at an instant: wanted again at the same one, it is the same order."""
    return _OWN | int(digest("content", now_ns, *content, size=5), 16)
