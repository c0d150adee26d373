"""Sentiment of a headline from a small list of finance words, with negation. A baseline, not an understanding.

The text is data: nothing in it is ever followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["NEGATIVE", "POSITIVE", "score_many", "score_text"]

POSITIVE = frozenset(
    [
        "accelerate",
        "accelerates",
        "acquire",
        "acquires",
        "advance",
        "advances",
        "approval",
        "approved",
        "approves",
        "beat",
        "beats",
        "best",
        "boost",
        "boosts",
        "breakthrough",
        "bullish",
        "buyback",
        "climb",
        "climbs",
        "dividend",
        "exceed",
        "exceeds",
        "expand",
        "expands",
        "gain",
        "gains",
        "growth",
        "higher",
        "improve",
        "improved",
        "improves",
        "innovation",
        "jump",
        "jumps",
        "outperform",
        "outperforms",
        "profit",
        "profitable",
        "raise",
        "raises",
        "rally",
        "rallies",
        "rebound",
        "rebounds",
        "record",
        "rise",
        "rises",
        "robust",
        "soar",
        "soars",
        "solid",
        "strong",
        "stronger",
        "surge",
        "surges",
        "top",
        "tops",
        "upbeat",
        "upgrade",
        "upgraded",
        "upgrades",
        "win",
        "wins",
    ]
)
"""Words that speak for a price."""

NEGATIVE = frozenset(
    [
        "bankruptcy",
        "bearish",
        "breach",
        "cut",
        "cuts",
        "decline",
        "declines",
        "default",
        "defective",
        "delay",
        "delays",
        "disappoint",
        "disappoints",
        "downgrade",
        "downgraded",
        "downgrades",
        "drop",
        "drops",
        "fall",
        "falling",
        "falls",
        "fear",
        "fears",
        "fine",
        "fined",
        "fraud",
        "halt",
        "halts",
        "investigation",
        "lawsuit",
        "layoff",
        "layoffs",
        "loss",
        "losses",
        "lower",
        "miss",
        "misses",
        "outage",
        "plunge",
        "plunges",
        "probe",
        "recall",
        "recalls",
        "sanction",
        "sanctions",
        "shortfall",
        "sink",
        "sinks",
        "slide",
        "slides",
        "slump",
        "slumps",
        "sue",
        "sued",
        "sues",
        "tumble",
        "tumbles",
        "warn",
        "warning",
        "warns",
        "weak",
        "weaker",
        "worst",
        "worse",
    ]
)
"""Words that speak against it."""

_NEGATIONS = frozenset(
    ["no", "not", "never", "without", "denies", "deny", "denied", "isn't", "wasn't", "doesn't", "didn't", "won't"]
)
_WORD = re.compile(r"[a-z][a-z'\-]*")


def score_text(text: str) -> int:
    """Return -100 (all against) to +100 (all for); 0 when no word is known."""
    words = _WORD.findall(text.lower())
    total = hits = 0
    for at, word in enumerate(words):
        value = (word in POSITIVE) - (word in NEGATIVE)
        if value:
            if _NEGATIONS.intersection(words[max(0, at - 3) : at]):
                value = -value
            total += value
            hits += 1
    return round(100 * total / hits) if hits else 0


def score_many(texts: Iterable[str]) -> int:
    """Return the mean score of the texts that hold a known word; 0 when none does."""
    scores = [score for score in map(score_text, texts) if score]
    return round(sum(scores) / len(scores)) if scores else 0
