"""``outcry schema``: the JSON Schema of the bus messages, from the structs themselves. Not a hand-kept document."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, get_args

from bus.errors import UsageError
from bus.messages import SCHEMA_VERSION, Message

__all__ = ["add", "run", "schemas"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", type=Path, metavar="DIR", help="write one file a message there instead of printing")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, which is what it does anyway")


def schemas() -> dict[str, dict[str, Any]]:
    """Return message name → JSON Schema, each complete in itself."""
    import msgspec

    found: dict[str, dict[str, Any]] = {}
    for kind in get_args(Message):
        schema: dict[str, Any] = msgspec.json.schema(kind)
        found[kind.__name__] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": kind.__name__,
            "$comment": f"openoutcry bus schema version {SCHEMA_VERSION}; encoded as array-like msgpack, tag first",
            **schema,
        }
    return found


def run(given: argparse.Namespace) -> int:
    """Print or write the schemas.

    Raises:
        UsageError: The folder cannot be written.
    """
    found = schemas()
    if given.out is None:
        print(json.dumps({"schema_version": SCHEMA_VERSION, "messages": found}, indent=None if given.json else 2))
        return 0
    try:
        given.out.mkdir(parents=True, exist_ok=True)
        for name, schema in found.items():
            (given.out / f"{name}.json").write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {given.out} cannot be written: {error.strerror}; name another folder") from error
    print(json.dumps({"schema_version": SCHEMA_VERSION, "files": len(found), "out": str(given.out)}))
    return 0
