"""Every requirement has a test and every test's requirement is declared: neither list can drift from the other."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent


def declared() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(TESTS.glob("*/requirements.py")):
        module = importlib.import_module(f"tests.{path.parent.name}.requirements")
        for key, sentence in module.REQUIREMENTS.items():
            assert key not in found, f"{key} is declared twice"
            found[key] = sentence
    return found


@cache
def carried() -> tuple[tuple[str, str], ...]:
    return tuple(_carried())


def _carried() -> Iterator[tuple[str, str]]:
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "requirement"
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                yield str(node.args[0].value), f"{path.relative_to(TESTS)}:{node.lineno}"


def test_every_requirement_is_carried_by_a_test() -> None:
    missing = sorted(set(declared()) - {key for key, _ in carried()})
    assert not missing, f"no test shows: {missing}"


def test_every_carried_requirement_is_declared() -> None:
    known = declared()
    unknown = sorted(f"{where} {key}" for key, where in carried() if key not in known)
    assert not unknown, f"not declared: {unknown}"


def test_the_readmes_laws_name_requirements_that_exist() -> None:
    text = (TESTS.parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+)\. .*\| (.*) \|$", text, flags=re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 14))
    named = {key for _, cell in rows for key in re.findall(r"`([a-z:-]+)`", cell)}
    assert len(named) > 20
    assert named <= set(declared())


def test_every_requirement_is_a_sentence() -> None:
    assert all(sentence.endswith(".") and len(sentence) > 20 for sentence in declared().values())
