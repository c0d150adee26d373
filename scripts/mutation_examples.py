"""A pytest plugin for ``scripts/mutation.py``: fewer examples for each property, always the same, and no deadline.

Not for the suite itself: a change that takes a thousand examples to notice counts as one that was not noticed.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

__all__ = ["pytest_collection_modifyitems"]

_EXAMPLES, _STEPS = 25, 15
_HEALTH = (
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.data_too_large,
    HealthCheck.differing_executors,
)
_PLACE = "_hypothesis_internal_use_settings"


def _fewer(found: settings) -> settings:
    return settings(
        found,
        max_examples=min(found.max_examples, _EXAMPLES),
        stateful_step_count=min(found.stateful_step_count, _STEPS),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=_HEALTH,
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the settings of every property test down."""
    for item in items:
        function: Any = getattr(item, "obj", None)
        for holder, name in (
            (function, _PLACE),
            (getattr(function, "__func__", None), _PLACE),
            (getattr(item, "cls", None), "settings"),
        ):
            found = getattr(holder, name, None)
            if isinstance(found, settings):
                setattr(holder, name, _fewer(found))
