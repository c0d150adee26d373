"""Imports one exchange of ccxt's without the hundred others: 0.7 s instead of 4 s, and a restart must trade in two.

Not a copy of ccxt: its package's ``__init__`` is left out while its modules are imported, and what was put in its place
is taken away again, so that a later ``import ccxt`` is the whole of it, with the same classes.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["Exchange", "errors", "exchange_class"]

_PACKAGE = "ccxt"


def _load(name: str) -> ModuleType:
    if _PACKAGE in sys.modules:
        return importlib.import_module(f"{_PACKAGE}.{name}")
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("no module named 'ccxt'", name=_PACKAGE)
    bare = ModuleType(_PACKAGE)
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules[_PACKAGE] = bare
    try:
        return importlib.import_module(f"{_PACKAGE}.{name}")
    finally:
        if sys.modules.get(_PACKAGE) is bare:
            del sys.modules[_PACKAGE]


def exchange_class(name: str) -> type[Any]:
    """Return ccxt's class of an exchange, whose id must be one of ccxt's."""
    found: type[Any] = getattr(_load(name), name)
    return found


if TYPE_CHECKING:
    from ccxt.base import errors
    from ccxt.base.exchange import Exchange
else:
    errors = _load("base.errors")
    Exchange = _load("base.exchange").Exchange
