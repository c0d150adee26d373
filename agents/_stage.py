"""What every agents' stage does the same: answer a repeated question as before, without thinking again.

Not a stage itself. The memory is the last few questions of this process; a restarted stage computes again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from agents.answers import AnalystAnswer, TraderAnswer, schema_of
from agents.model import ModelPort, ModelRequest
from bus.codec import canonical
from bus.errors import BusError, ModelError
from bus.ids import digest
from bus.messages import Message, ModelCall, Ok, Ping, StageRequest, StageResult
from bus.transport import Client

__all__ = ["ANALYST_SCHEMA", "TRADER_SCHEMA", "Stage", "ask_feed", "ask_model"]

_REMEMBERED = 16
_FEED_S = 10.0
_T = TypeVar("_T")

ANALYST_SCHEMA = schema_of(AnalystAnswer)
TRADER_SCHEMA = schema_of(TraderAnswer)


class Stage:
    """A handler of one kind of ask."""

    name = "stage"

    def __init__(self) -> None:
        """Start with nothing remembered."""
        self._remembered: OrderedDict[bytes, StageResult] = OrderedDict()

    def handle(self, request: Message) -> Message:
        """Answer one question."""
        if isinstance(request, Ping):
            return Ok(self.name)
        if not isinstance(request, StageRequest):
            raise BusError(f"{self.name} does not answer {type(request).__name__}; it answers StageRequest and Ping")
        key = canonical(request)
        known = self._remembered.get(key)
        if known is None:
            known = self._remembered[key] = self.answer(request)
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return known

    def answer(self, request: StageRequest) -> StageResult:
        """Return the result of a question that was not asked lately; every stage has its own."""
        raise BusError(f"{self.name} does not answer {type(request.ask).__name__}; ask the stage it is for")


def ask_feed(feed: Client, request: Message, kind: type[_T]) -> _T:
    """Ask the feed and check what came.

    Raises:
        BusError: The feed cannot be reached or answered something else.
    """
    answer = feed.call(request, _FEED_S)
    if isinstance(answer, kind):
        return answer
    raise BusError(f"the feed answered {type(answer).__name__}; allowed is {kind.__name__}: update both")


def ask_model(model: ModelPort, request: ModelRequest) -> tuple[str, ModelCall, str]:
    """Ask a model; a failure is told, not raised.

    Returns:
        The text (empty on failure), the record for the event log, and the degradation (empty when all is well).
    """
    prompt = digest(request.system, request.user, size=16)
    try:
        answer = model.ask(request)
    except ModelError as error:
        return "", ModelCall(model.name, prompt, "", f"{error.reason}: {error}", 0, 0), f"model_{error.reason}"
    call = ModelCall(model.name, prompt, answer.text, "", answer.prompt_tokens, answer.answer_tokens)
    return answer.text, call, ""
