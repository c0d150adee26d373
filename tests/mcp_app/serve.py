"""All servers on the sample day with the conformance suite's fixtures beside them; ``outcry mcp`` never offers those.

``python -m tests.mcp_app.serve`` says on standard error where it is.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from mcp_servers._app import build_server
from mcp_servers._http import serve_http
from mcp_servers.options import ServerOptions
from tests.mcp_servers.desk import replay_desk


def say(url: str) -> None:
    sys.stderr.write(f"serving at {url}\n")
    sys.stderr.flush()


def main() -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    options = ServerOptions(port=0, calls_per_minute=100_000, conformance=True)
    with tempfile.TemporaryDirectory(prefix="oo-serve-") as folder, replay_desk(Path(folder), 60, options) as running:
        asyncio.run(serve_http(build_server(running.desk, options), options, None, say))


if __name__ == "__main__":
    main()
