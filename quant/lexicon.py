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
        "accelerated",
        "accelerates",
        "acquire",
        "acquired",
        "acquires",
        "advance",
        "advanced",
        "advances",
        "approval",
        "approved",
        "approves",
        "beat",
        "beats",
        "best",
        "boost",
        "boosted",
        "boosts",
        "breakthrough",
        "bullish",
        "buyback",
        "climb",
        "climbed",
        "climbs",
        "dividend",
        "exceed",
        "exceeded",
        "exceeds",
        "expand",
        "expanded",
        "expands",
        "gain",
        "gained",
        "gains",
        "grew",
        "growth",
        "higher",
        "improve",
        "improved",
        "improves",
        "innovation",
        "jump",
        "jumped",
        "jumps",
        "outperform",
        "outperformed",
        "outperforms",
        "profit",
        "profitable",
        "raise",
        "raised",
        "raises",
        "rallied",
        "rallies",
        "rally",
        "rebound",
        "rebounded",
        "rebounds",
        "record",
        "rise",
        "rises",
        "rising",
        "robust",
        "rose",
        "soar",
        "soared",
        "soars",
        "solid",
        "strong",
        "stronger",
        "surge",
        "surged",
        "surges",
        "top",
        "topped",
        "tops",
        "upbeat",
        "upgrade",
        "upgraded",
        "upgrades",
        "win",
        "wins",
        "won",
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
        "declined",
        "declines",
        "default",
        "defective",
        "delay",
        "delayed",
        "delays",
        "disappoint",
        "disappointed",
        "disappoints",
        "downgrade",
        "downgraded",
        "downgrades",
        "drop",
        "dropped",
        "drops",
        "fall",
        "falling",
        "falls",
        "fear",
        "fears",
        "fell",
        "fine",
        "fined",
        "fraud",
        "halt",
        "halted",
        "halts",
        "investigated",
        "investigation",
        "lawsuit",
        "lawsuits",
        "layoff",
        "layoffs",
        "loss",
        "losses",
        "lost",
        "lower",
        "lowered",
        "miss",
        "missed",
        "misses",
        "outage",
        "plummet",
        "plummeted",
        "plummets",
        "plunge",
        "plunged",
        "plunges",
        "probe",
        "probes",
        "recall",
        "recalls",
        "sanction",
        "sanctions",
        "sank",
        "shortfall",
        "sink",
        "sinks",
        "slashed",
        "slashes",
        "slid",
        "slide",
        "slides",
        "slipped",
        "slips",
        "slump",
        "slumped",
        "slumps",
        "sue",
        "sued",
        "sues",
        "tumble",
        "tumbled",
        "tumbles",
        "warn",
        "warned",
        "warning",
        "warns",
        "weak",
        "weaker",
        "worse",
        "worst",
    ]
)
"""Words that speak against it."""

_NEGATIONS = frozenset(
    [
        "no",
        "not",
        "never",
        "without",
        "cannot",
        "denies",
        "deny",
        "denied",
        "isn't",
        "aren't",
        "wasn't",
        "weren't",
        "doesn't",
        "don't",
        "didn't",
        "won't",
        "can't",
        "hasn't",
        "haven't",
        "fails",
        "failed",
        "unable",
    ]
)
_WORD = re.compile(r"[a-z][a-z'\-]*")


def score_text(text: str) -> int:
    """Return -100 (all against) to +100 (all for); 0 when no word is known."""
    words = _WORD.findall(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower())
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
