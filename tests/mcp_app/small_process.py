"""The small server in a process of its own, on stdio or HTTP."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from mcp_servers._http import serve_http
from mcp_servers._stdio import serve_stdio
from mcp_servers.options import ServerOptions
from tests.mcp_app.small import small_server


def say(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


async def main() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    options = ServerOptions(port=0, max_body_bytes=10_000)
    server = small_server(options)

    @server.tool()
    async def print_and_fork() -> str:
        """Write to standard output in every way there is, and read standard input in a child."""
        print("noise from print")  # noqa: T201 - the noise is the test
        os.write(1, b"noise from the descriptor\n")
        child = await asyncio.create_subprocess_exec("sh", "-c", "echo noise from a child; cat")
        await child.wait()
        return "printed"

    if "--http" in sys.argv:
        await serve_http(server, options, None, say)
    else:
        await serve_stdio(server, options)


if __name__ == "__main__":
    asyncio.run(main())
