"""A Python agent framework (OpenAI Agents SDK on mcp 1.x) against our servers, without a model. Runs in its own venv.

``python acceptance/framework.py URL`` asserts what it needs and prints one line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from agents import Agent, RunContextWrapper
from agents.mcp import MCPServerStreamableHttp, MCPUtil


async def main(url: str) -> None:
    """Ask what an agent would ask."""
    async with MCPServerStreamableHttp(params={"url": url}, name="openoutcry") as server:
        names = [tool.name for tool in await server.list_tools()]
        assert len(names) > 25, names
        agent: Agent[Any] = Agent(name="desk", instructions="", mcp_servers=[server])
        tools = await MCPUtil.get_all_function_tools([server], False, RunContextWrapper(context=None), agent)
        assert [tool.name for tool in tools] == names
        assert all(json.dumps(tool.params_json_schema) for tool in tools)

        bars = await server.call_tool("get_bars", {"symbol": "ACME", "limit": 10})
        assert not bars.isError, bars
        assert bars.structuredContent is not None
        assert bars.structuredContent["symbol"] == "ACME"
        assert "simulated" in bars.content[0].text

        order = {"symbol": "ACME", "side": "buy", "qty": "10", "type": "market"}
        before = await server.call_tool("get_orders", {})
        preview = await server.call_tool("preview_order", order)
        assert not preview.isError, preview
        assert "replay" in preview.content[0].text
        after = await server.call_tool("get_orders", {})
        assert before.structuredContent["total"] == after.structuredContent["total"], "a preview sent something"

        wrong = await server.call_tool("get_bars", {"symbol": "NOPE"})
        assert wrong.isError
        assert "unknown symbol" in wrong.content[0].text
        sys.stdout.write(f"OpenAI Agents SDK: {len(names)} tools, get_bars and preview_order answered\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
