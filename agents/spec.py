"""What the agents' stages are told. No key is among it: that is in the environment of the stages that ask a model."""

from __future__ import annotations

import msgspec

__all__ = ["AnalystSpec", "ModelSpec", "SentimentSpec", "StrategySpec", "TraderSpec"]


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which model, and how long it may take.

    Attributes:
        name: ``scripted`` or ``openai:NAME``.
        seed: What the scripted model's choices depend on; passed on to a real one.
        timeout_s: For one question, retries included.
    """

    name: str = "scripted"
    seed: int = 1
    timeout_s: float = 20.0


class AnalystSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The analyst: how much it is shown. ``bars`` a symbol, ``news_items`` from the last ``news_s`` seconds."""

    model: ModelSpec = ModelSpec()
    bars: int = 60
    news_items: int = 20
    news_s: int = 4 * 3600


class StrategySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The strategies to run, by name."""

    strategies: tuple[str, ...] = ("trend", "mean_reversion")


class TraderSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The trader. An answer with more than ``max_orders`` orders is nonsense: none of them is sent."""

    model: ModelSpec = ModelSpec()
    max_orders: int = 20


class SentimentSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sentiment filter: news of the last ``news_s`` seconds; a score beyond ``veto_pct`` drops an opening order."""

    news_s: int = 2 * 3600
    veto_pct: int = 60
