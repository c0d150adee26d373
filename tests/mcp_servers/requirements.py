"""What the MCP servers promise; each id is carried by a test."""

from __future__ import annotations

REQUIREMENTS: dict[str, str] = {}
