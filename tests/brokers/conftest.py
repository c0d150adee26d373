"""The kit's assertions explain themselves like a test's: without this, a failure in it would show no values."""

from __future__ import annotations

import pytest

for _part in ("base", "ear", "life", "mishaps"):
    pytest.register_assert_rewrite(f"tests.brokers.kit_{_part}")
