"""The base of every message. Not a message itself."""

from __future__ import annotations

import msgspec

__all__ = ["Struct"]


class Struct(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages: frozen, tagged with the class name, encoded as an array."""
