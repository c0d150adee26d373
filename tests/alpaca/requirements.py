"""What the Alpaca source promises; each id is carried by a test."""

from __future__ import annotations

REQUIREMENTS: dict[str, str] = {
    "alpaca:halts": "Trading halts and resumptions reach the feed; other statuses do not.",
    "alpaca:keys": "Keys come from the environment as a whole pair, and no error, log or repr shows one.",
    "alpaca:settings": "A setting that cannot be is refused when the source is opened, with what is allowed.",
    "alpaca:exact": "Prices and sizes are the exact billionths of the vendor's decimal text.",
    "alpaca:pages": "Bars, trades and news come whole, over all pages, in order, each once, in the interval asked for.",
    "alpaca:spans": "A bar ends where its timeframe ends; days, weeks and months follow the venue's sessions.",
    "alpaca:truthful": "Only timeframes that the vendor counts as we do are offered, and nothing it does not have.",
    "alpaca:complete": "A bar that is not complete by the vendor's clock and by ours is not given.",
    "alpaca:hygiene": "Malformed, impossible and foreign records are left out and counted, never repaired.",
    "alpaca:busy": "HTTP 429 is told with how long to wait, and the question was sent once.",
    "alpaca:outage": "An outage, a time-out or nonsense is an error within the time-out, and nothing is made up.",
    "alpaca:refused": "Refused keys are told with the variables to check.",
    "alpaca:instruments": "Instruments come with the vendor's steps; what is neither share nor coin is refused.",
    "alpaca:quotes": "The latest quote of each symbol that is quoted on both sides is given, and no other.",
    "alpaca:news": "News is given as it read at its last update, as plain text that can be encoded.",
    "alpaca:stream": "A stream authenticates, subscribes to bars, corrections, quotes and news, and delivers them.",
    "alpaca:reconnect": "A stream that is refused, cut or not answered says why and connects again by itself.",
    "alpaca:silent": "A stream that is connected but silent while its venue is open is connected again and reported.",
    "alpaca:malformed": "What a stream cannot read is counted by reason, and what comes after it is delivered.",
    "alpaca:desk": "A live feed stands on this source: history, the newest bar, and an outage that is told.",
    "alpaca:close": "Closing a stream ends its thread, whatever it was waiting for.",
}
