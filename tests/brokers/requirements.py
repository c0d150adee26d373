"""What every broker adapter promises: the lists of ``requirements_*.py`` beside this file, one for each adapter."""

from __future__ import annotations

import importlib
from pathlib import Path

__all__ = ["REQUIREMENTS"]

REQUIREMENTS: dict[str, str] = {}

for _path in sorted(Path(__file__).parent.glob("requirements_*.py")):
    _module = importlib.import_module(f"tests.brokers.{_path.stem}")
    for _key, _sentence in _module.REQUIREMENTS.items():
        if _key in REQUIREMENTS:
            raise ValueError(f"{_key} of {_path.name} is declared twice; requirement ids are unique: rename one")
        REQUIREMENTS[_key] = _sentence
