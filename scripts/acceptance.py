"""Use our servers with clients that others wrote: the MCP Inspector, the TypeScript SDK, a Python agent framework.

Not a test of details: it shows that a person's own client works, on both protocol eras, over stdio and HTTP, and that
an order above the limit is put to a person, sent when they agree and not when they decline or cannot be asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.clients import ACCEPTANCE, ROOT, environment, install, node, say, serving

_INSPECTOR = ACCEPTANCE / "node_modules" / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build"
_ERAS = ("legacy", "modern")
_VENV = ACCEPTANCE / ".venv"
_SERVERS = ("ohlc", "news", "calendar", "indicators", "orders", "all")
_PATIENCE = 30
_ORDER = {"symbol": "ACME", "side": "buy", "qty": "1", "type": "limit", "limit_price": "83.00"}
CALLS: dict[str, dict[str, Any]] = {
    "list_symbols": {},
    "get_clock": {},
    "get_bars": {"symbol": "ACME", "timeframe": "5Min", "limit": 5},
    "get_multi_timeframe_bars": {"symbols": ["ACME", "BOLT"], "timeframes": ["1Min", "5Min"], "limit": 5},
    "get_latest_bar": {"symbols": ["ACME"]},
    "get_latest_quote": {"symbols": ["ACME"]},
    "get_snapshot": {"symbols": ["ACME"]},
    "get_news": {"hours": 2},
    "search_news": {"text": "the"},
    "get_economic_calendar": {},
    "get_earnings_calendar": {},
    "get_market_calendar": {},
    "list_indicators": {},
    "get_indicators": {"symbol": "ACME", "indicators": ["rsi"]},
    "get_account": {},
    "get_positions": {},
    "get_orders": {},
    "preview_order": _ORDER,
    "place_order": _ORDER,
    "get_risk_limits": {},
    "get_risk_state": {},
}
"""Each tool with arguments that must succeed; those that need an order's id follow, and the kill switch comes last."""


def inspect(home: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the Inspector once; return its exit code, output and errors."""
    command = [node(), str(_INSPECTOR / "index.js"), "--cli", *arguments]
    environ = environment(home)
    environ["PATH"] = f"{Path(node()).parent}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environ)
    return done.returncode, done.stdout, done.stderr


def call(home: Path, url: str, era: str, tool: str, arguments: dict[str, Any], refused: str = "") -> dict[str, Any]:
    """Call a tool with the Inspector; it must succeed, or be refused with a text where one is given."""
    code, out, errors = inspect(
        home, url, "--protocol-era", era, "--method", "tools/call", "--tool-name", tool,
        "--tool-args-json", json.dumps(arguments), "--format", "json",
    )  # fmt: skip
    if code != (5 if refused else 0) or refused not in out:
        raise SystemExit(f"Inspector, {era}: {tool} {arguments} ended with {code}\n{out}{errors}")
    result: dict[str, Any] = json.loads(out)["result"]
    if not refused and not result.get("structuredContent"):
        raise SystemExit(f"Inspector, {era}: {tool} has no structured answer\n{out}")
    return result


def inspector(home: Path, url: str, era: str) -> None:
    """List everything, strictly, and call each tool."""
    code, out, errors = inspect(home, url, "--protocol-era", era, "--method", "tools/list", "--strict")
    if code != 0:
        raise SystemExit(f"Inspector, {era}: tools/list --strict ended with {code}\n{errors}")
    listed = {tool["name"] for tool in json.loads(out)["tools"]}
    for tool, arguments in CALLS.items():
        call(home, url, era, tool, arguments)
    changed = orders_changed(home, url, era)
    left = listed - set(CALLS) - changed - {"engage_kill_switch"}
    if left:
        raise SystemExit(f"Inspector: tools that nobody called: {sorted(left)}")
    for method in ("resources/list", "resources/templates/list", "prompts/list"):
        code, _, errors = inspect(home, url, "--protocol-era", era, "--method", method)
        if code != 0:
            raise SystemExit(f"Inspector, {era}: {method} ended with {code}\n{errors}")
    for uri in ("bars://ACME/5Min", "orders://open", "positions://ACME", "risk://limits", "risk://state"):
        code, _, errors = inspect(home, url, "--protocol-era", era, "--method", "resources/read", "--uri", uri)
        if code != 0:
            raise SystemExit(f"Inspector, {era}: {uri} ended with {code}\n{errors}")
    say(f"Inspector, {era} era: {len(listed)} tools listed strictly and called; resources and prompts read")


def orders_changed(home: Path, url: str, era: str) -> set[str]:
    """Call the tools that change an order or a position which is there; return their names."""
    resting = {**_ORDER, "limit_price": "82.75" if era == "legacy" else "82.50"}
    placed = call(home, url, era, "place_order", resting)
    order = {"client_order_id": placed["structuredContent"]["order"]["client_order_id"]}
    call(home, url, era, "get_order", order)
    newer = call(home, url, era, "replace_order", {**order, "qty": "2"})["structuredContent"]["order"]
    call(home, url, era, "cancel_order", {"client_order_id": newer["client_order_id"]})
    call(home, url, era, "cancel_all_orders", {})
    call(home, url, era, "place_order", {"symbol": "BOLT", "side": "buy", "qty": "3" if era == "legacy" else "4"})
    for _ in range(_PATIENCE):
        if "BOLT" in json.dumps(call(home, url, era, "get_positions", {})["structuredContent"]["positions"]):
            break
    call(home, url, era, "close_position", {"symbol": "BOLT"})
    call(home, url, era, "close_all_positions", {})
    return {
        "get_order", "replace_order", "cancel_order", "cancel_all_orders", "close_position", "close_all_positions",
    }  # fmt: skip


def kill_switch(home: Path, url: str) -> None:
    """Engage the kill switch and see an order refused."""
    call(home, url, "modern", "engage_kill_switch", {"reason": "acceptance"})
    call(home, url, "modern", "place_order", {**_ORDER, "limit_price": "82.25"}, refused="kill")
    say("Inspector: the kill switch is engaged and an order is refused")


def over_stdio(home: Path) -> None:
    """Let the Inspector start each server itself and list its tools."""
    for server in _SERVERS:
        code, out, errors = inspect(
            home, sys.executable, "-m", "outcry", "mcp", server, "--method", "tools/list", "--strict"
        )
        if code != 0:
            raise SystemExit(f"Inspector, stdio: {server} ended with {code}\n{errors}")
        say(f"Inspector, stdio: {server} lists {len(json.loads(out)['tools'])} tools")


def typescript(home: Path, url: str) -> None:
    """Run the TypeScript SDK's client, which can be asked."""
    command = [node(), str(ACCEPTANCE / "typescript.mjs"), url]
    subprocess.run(command, cwd=ACCEPTANCE, check=True, env=environment(home))


def framework(home: Path, url: str) -> None:
    """Run the agent framework in an environment of its own, made once for its pins."""
    pins = ACCEPTANCE / "requirements.txt"
    stamp = _VENV / "pins.txt"
    python = _VENV / "bin" / "python"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != pins.read_text(encoding="utf-8"):
        say("installing the agent framework into acceptance/.venv …")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_VENV)], check=True)
        quiet = ["-qq", "--disable-pip-version-check"]
        subprocess.run([str(python), "-m", "pip", "install", *quiet, "--no-deps", "-r", str(pins)], check=True)
        stamp.write_text(pins.read_text(encoding="utf-8"), encoding="utf-8")
    environ = {**environment(home), "OPENAI_AGENTS_DISABLE_TRACING": "1", "OPENAI_API_KEY": "none"}
    subprocess.run([str(python), str(ACCEPTANCE / "framework.py"), url], check=True, env=environ)


def main() -> int:
    """Run every client; 0 only when all are satisfied."""
    install()
    with tempfile.TemporaryDirectory(prefix="oo-acceptance-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        over_stdio(home)
        with serving(home, "all", "--confirm-above", "5000") as url:
            framework(home, url)
            typescript(home, url)
        with serving(home, "all", "--speed", "30") as url:
            for era in _ERAS:
                inspector(home, url, era)
            kill_switch(home, url)
    say("acceptance: every client is satisfied")
    return 0


if __name__ == "__main__":
    sys.exit(main())
