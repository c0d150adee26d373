"""The least an MCP server can be: one trivial tool on the same SDK. Not ours: the floor of ``bench.mcp``."""

from __future__ import annotations

import sys

from mcp.server import MCPServer
from pydantic import BaseModel

__all__ = ["main"]


class Told(BaseModel):
    """A small structured answer."""

    symbol: str
    price: float


def main(words: list[str]) -> None:
    """Serve on ``stdio``, or on ``http`` at a port of loopback."""
    server: MCPServer[None] = MCPServer("floor")

    @server.tool()
    async def trivial(symbol: str) -> Told:  # pyright: ignore[reportUnusedFunction] - the decorator registers it
        """Answer with what was asked."""
        return Told(symbol=symbol, price=1.0)

    if words[0] == "stdio":
        server.run(transport="stdio")
    else:
        server.run(transport="streamable-http", host="127.0.0.1", port=int(words[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
