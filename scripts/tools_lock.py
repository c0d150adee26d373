"""Write ``mcp_servers/tools.lock.json``: the hash of each server's ``tools/list``, so that a change of it is reviewed.

Not a check: that is a test. Run it when a tool, a description or a schema was changed on purpose, and read the diff.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mcp_servers._app import LOCK, locked


def main() -> int:
    """Write the file and say what changed."""
    before = json.loads(LOCK.read_text(encoding="utf-8")) if LOCK.exists() else {}
    after = asyncio.run(locked())
    LOCK.write_text(json.dumps(after, indent=2) + "\n", encoding="utf-8")
    for name, entry in after.items():
        word = "unchanged" if before.get(name) == entry else "CHANGED"
        sys.stdout.write(f"{name}: {entry['tools']} tools, {entry['characters']:,} characters, {word}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
