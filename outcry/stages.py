"""The registry: stage name → where its spec type and its builder are. Why a child imports only what it runs.

Not where stages are built: ``outcry.stage_main`` does that in a process, ``outcry.in_process`` in one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from bus.errors import ConfigError
from bus.transport import Directory, Transport

__all__ = [
    "GATEWAY",
    "gateway_of",
    "kind_of",
    "ORCHESTRATOR",
    "SERVICES",
    "STAGES",
    "Stage",
    "build",
    "import_stage",
    "import_talib",
    "read_spec",
    "spec_path",
]


class Stage(NamedTuple):
    """Where a stage's parts are, as ``module:name``, and which heavy modules it needs."""

    spec: str
    builder: str
    heavy: tuple[str, ...] = ()


ORCHESTRATOR = "orchestrator"

STAGES: Mapping[str, Stage] = {
    "feed": Stage("feed.spec:FeedSpec", "feed.service:build_feed", ("duckdb",)),
    "execution": Stage("execution.spec:GatewaySpec", "execution.gateway:build_gateway", ("nacl.signing",)),
    "risk": Stage("risk.spec:GateSpec", "risk.gate:build_gate", ("nacl.signing",)),
    "analyst": Stage("agents.spec:AnalystSpec", "agents.analyst:build_analyst", ("pydantic",)),
    "strategy": Stage("agents.spec:StrategySpec", "agents.strategy_stage:build_strategy", ("talib",)),
    "trader": Stage("agents.spec:TraderSpec", "agents.trader:build_trader", ("pydantic",)),
    "sentiment": Stage("agents.spec:SentimentSpec", "agents.sentiment_stage:build_sentiment"),
    ORCHESTRATOR: Stage(
        "agents.orchestrator:OrchestratorSpec",
        "agents.orchestrator:build_orchestrator",
        ("langgraph.graph", "langgraph.checkpoint.sqlite"),
    ),
}
"""All stages in the order they are started; they are stopped in reverse."""

SERVICES = tuple(name for name in STAGES if name != ORCHESTRATOR)
"""The stages that answer requests."""

GATEWAY = "execution"


def gateway_of(client: str) -> str:
    """Return the name of the gateway of a further client; the desk's own is ``execution``."""
    return f"{GATEWAY}.{client}"


def kind_of(stage: str) -> str:
    """Return the name in ``STAGES`` of a stage: that of every client's gateway is ``execution``."""
    return GATEWAY if stage.startswith(f"{GATEWAY}.") else stage


def _load(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def import_talib() -> None:
    """Import TA-Lib without pandas, which it would import where it finds it: 1.3 s for wrappers nobody calls."""
    if "talib" in sys.modules:
        return
    absent = [name for name in ("pandas", "polars") if name not in sys.modules]
    blocked = cast("dict[str, Any]", sys.modules)
    for name in absent:
        blocked[name] = None
    try:
        importlib.import_module("talib")
    finally:
        for name in absent:
            del sys.modules[name]


def import_stage(stage: str) -> None:
    """Import everything that building a stage needs."""
    entry = STAGES[kind_of(stage)]
    for module in entry.heavy:
        if module == "talib":
            import_talib()
        else:
            importlib.import_module(module)
    _load(entry.spec)
    _load(entry.builder)


def spec_path(run_dir: Path, stage: str) -> Path:
    """Return where a stage's spec is."""
    return run_dir / "specs" / f"{stage}.json"


def read_spec(run_dir: Path, stage: str) -> msgspec.Struct:
    """Return a stage's spec.

    Raises:
        ConfigError: It is missing or not of the stage's type.
    """
    path = spec_path(run_dir, stage)
    try:
        return cast("msgspec.Struct", msgspec.json.decode(path.read_bytes(), type=_load(STAGES[kind_of(stage)].spec)))
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(
            f"the spec of {stage} at {path} cannot be read: {error}; start the run again with `outcry run`"
        ) from error


def build(stage: str, spec: msgspec.Struct, transport: Transport, directory: Directory) -> Any:
    """Return what a stage's builder makes: a ``Handler``, or the orchestrator."""
    builder = cast("Callable[[Any, Transport, Directory], Any]", _load(STAGES[kind_of(stage)].builder))
    return builder(spec, transport, directory)
