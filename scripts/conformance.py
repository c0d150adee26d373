"""Run the official MCP conformance suite against the product's own stack. Not a selection of what passes.

With the suite's fixtures registered, both revisions' whole requirement sets; then, on every real server, each scenario
that needs no fixture. There is no list of expected failures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.clients import ACCEPTANCE, environment, install, node, say, serving, serving_fixtures

_SUITE = ACCEPTANCE / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
_REVISIONS = ("2026-07-28", "2025-11-25")
_SERVERS = ("ohlc", "news", "calendar", "indicators", "orders", "all")
_FREE: dict[str, tuple[str, ...]] = {
    "2025-11-25": (
        "server-initialize",
        "ping",
        "tools-list",
        "resources-list",
        "prompts-list",
        "completion-complete",
        "server-sse-multiple-streams",
        "resources-subscribe",
        "resources-unsubscribe",
        "server-session-lifecycle",
        "dns-rebinding-protection",
    ),
    "2026-07-28": (
        "tools-list",
        "resources-list",
        "prompts-list",
        "completion-complete",
        "server-sse-multiple-streams",
        "sep-2164-resource-not-found",
        "caching",
        "dns-rebinding-protection",
        "http-header-validation",
        "input-required-result-unsupported-methods",
    ),
}
_STATELESS_CHECKS = 24
_CALL_FIXTURE = {"sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400"}
"""They call ``test_missing_capability``; with the fixtures registered they pass, in the requirement set above."""


def suite(url: str, *arguments: str) -> tuple[int, str, list[dict[str, Any]]]:
    """Run the suite; return its exit code, what it printed and every check it made."""
    with tempfile.TemporaryDirectory(prefix="oo-conformance-") as folder:
        command = [node(), str(_SUITE), "server", "--url", url.replace("127.0.0.1", "localhost"), "-o", folder]
        done = subprocess.run(
            [*command, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env=environment(Path(folder)),
        )
        checks = [
            check
            for path in sorted(Path(folder).rglob("checks.json"))
            for check in json.loads(path.read_text(encoding="utf-8"))
        ]
    return done.returncode, done.stdout + done.stderr, checks


def required() -> list[str]:
    """Run each revision's requirement set; return what failed."""
    failed: list[str] = []
    with serving_fixtures() as url:
        for revision in _REVISIONS:
            code, printed, _ = suite(url, "--requirements", revision)
            summary = printed.partition("=== SUMMARY ===")[2]
            say(f"\n--requirements {revision}: exit {code}{summary or printed[-4000:]}")
            if code != 0 or not summary:
                failed.append(f"--requirements {revision}")
    return failed


def fixture_free() -> list[str]:
    """Run every scenario that needs no fixture on every real server; return what failed."""
    failed: list[str] = []
    for server in _SERVERS:
        with (
            tempfile.TemporaryDirectory(prefix="oo-conformance-", ignore_cleanup_errors=True) as folder,
            serving(Path(folder), server) as url,
            ThreadPoolExecutor(2) as pool,
        ):
            for revision, scenarios in _FREE.items():
                ran = zip(scenarios, pool.map(partial(_one, url, revision), scenarios), strict=True)
                wrong = [f"{server}, {revision}: {scenario}: {why}" for scenario, why in ran if why]
                failed += wrong
                say(f"{server}: {len(scenarios) - len(wrong)} of {len(scenarios)} scenarios pass at {revision}")
            why = _stateless(url)
            failed += [f"{server}, server-stateless: {why}"] if why else []
    return failed


def _one(url: str, revision: str, scenario: str) -> str:
    """Run one scenario; return what was wrong, empty when nothing was."""
    code, printed, checks = suite(url, "--spec-version", revision, "--scenario", scenario)
    return "" if code == 0 and checks else f"exit {code}\n{printed[-3000:]}"


def _stateless(url: str) -> str:
    """Run ``server-stateless``: every check but the two that call a tool of the suite's own, which a product lacks."""
    _, printed, checks = suite(url, "--spec-version", "2026-07-28", "--scenario", "server-stateless")
    passed = {check["id"] for check in checks if check["status"] == "SUCCESS"}
    failed = {check["id"] for check in checks if check["status"] == "FAILURE"}
    say(f"  server-stateless: {len(passed)} checks pass; {len(failed & _CALL_FIXTURE)} call a tool of the suite's own")
    wrong = failed - _CALL_FIXTURE
    if wrong or len(passed) < _STATELESS_CHECKS:
        return f"{', '.join(sorted(wrong))}\n{printed[-3000:]}"
    return ""


def main() -> int:
    """Run everything; 0 only when everything passed."""
    install()
    failed = required() + fixture_free()
    say("\nconformance: everything passed" if not failed else f"\nconformance FAILED: {'; '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
