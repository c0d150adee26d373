"""From a spec to a source: the one place that knows which module speaks to which vendor. Not the vendors themselves.

A vendor's SDK is imported when its source is opened, so that nobody pays for one that is not used.
"""

from __future__ import annotations

from collections.abc import Mapping

from feed.source import Source, SourceSpec

__all__ = ["open_source"]


def open_source(spec: SourceSpec, environ: Mapping[str, str]) -> Source:
    """Return the source of a spec; the vendor need not be up.

    Args:
        spec: Which one.
        environ: Where a vendor's keys are; they are read from nowhere else.

    Raises:
        ConfigError: Something in the spec or a key is missing or not allowed, or the vendor's extra is not installed.
    """
    match spec.kind:
        case "alpaca":
            from feed._alpaca import open_alpaca

            return open_alpaca(spec, environ)
        case "ccxt":
            from feed._ccxt import open_ccxt

            return open_ccxt(spec)
        case "folder":
            from feed._folder import open_folder

            return open_folder(spec)
