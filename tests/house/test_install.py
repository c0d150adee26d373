"""What a core install brings: counted from the packages' own metadata, without extras."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def closure(name: str) -> set[str]:
    """Return the packages that installing ``name`` brings here, itself included."""
    found: set[str] = set()
    todo: list[tuple[str, frozenset[str]]] = [(name, frozenset())]
    while todo:
        current, extras = todo.pop()
        try:
            requires = distribution(current).requires or []
        except PackageNotFoundError:
            continue
        found.add(canonicalize_name(current))
        for line in requires:
            wanted = Requirement(line)
            marker = wanted.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""})):
                key = canonicalize_name(wanted.name)
                if key not in found:
                    todo.append((key, frozenset(wanted.extras)))
    return found


@pytest.mark.requirement("house:install")
def test_the_core_install_is_at_most_sixty_packages() -> None:
    packages = closure("openoutcry")
    assert {"openoutcry", "langgraph", "openai", "duckdb", "pyzmq"} <= packages
    assert "pandas" not in packages
    assert len(packages) <= 60
