"""What the ccxt source promises; each id is carried by a test."""

from __future__ import annotations

REQUIREMENTS: dict[str, str] = {
    "ccxt:settings": "A setting that cannot be is refused when the source is opened, with what is allowed.",
    "ccxt:light": "ccxt is imported when a source is opened and not before.",
    "ccxt:truthful": "The traits say what an exchange has in ccxt, and the rest is refused by name.",
    "ccxt:instruments": "Instruments come with the exchange's exact steps; steps that cannot be exact are refused.",
    "ccxt:exact": "Prices and sizes are the exact billionths of the exchange's text, by question and by stream.",
    "ccxt:pages": "Bars and trades come whole, over all pages, in order, each once, in the interval asked for.",
    "ccxt:complete": "A candle that is not complete by the exchange's clock and by ours is not given.",
    "ccxt:spans": "A bar ends where its timeframe ends, months in UTC; weeks that do not begin on Monday are refused.",
    "ccxt:quotes": "The latest quote of each symbol that is quoted on both sides is given, and no other.",
    "ccxt:hygiene": "Malformed and impossible records are left out and counted, never repaired.",
    "ccxt:busy": "A rate limit is told with how long to wait, and the question was sent once.",
    "ccxt:outage": "An outage, a time-out or nonsense is an error within the time-out, and nothing is made up.",
    "ccxt:symbols": "A symbol that the exchange does not have is refused with the nearest ones.",
    "ccxt:stream": "A stream delivers complete candles once, their corrections, and quotes.",
    "ccxt:order": "Candles that come late or out of order are completed in order; what is wrong is counted.",
    "ccxt:reconnect": "A stream that is refused or cut says why and connects again by itself, after a while.",
    "ccxt:silent": "A stream that is connected but silent is reported and connected again.",
    "ccxt:malformed": "A frame that cannot be read is counted, and what comes after it is delivered.",
    "ccxt:interrupted": "A candle whose last word may have been lost with a connection is not called complete.",
    "ccxt:close": "Closing ends threads and sockets, whatever they were waiting for.",
}
