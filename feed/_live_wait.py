"""From answers that come later to one answer of the feed. Not a scheduler: what must come is asked for already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Any

from bus.deferred import Deferred
from bus.errors import OutcryError, SourceError
from bus.messages import Message

__all__ = ["after"]

_LOG = logging.getLogger("feed")


def after(answers: Sequence[Future[Any]], make: Callable[[], Message | Deferred]) -> Message | Deferred:
    """Answer when everything has come: at once where it has.

    Args:
        answers: What must come first.
        make: Makes the answer; it may be a promise again.

    Raises:
        OutcryError: One of the answers that are here is a refusal.
    """
    waiting = [answer for answer in answers if not answer.done()]
    if not waiting:
        _refuse(answers)
        return make()
    promise = Deferred()
    lock = Lock()
    left = [len(waiting)]

    def arrived(_done: Future[Any]) -> None:
        with lock:
            left[0] -= 1
            if left[0]:
                return
        _settle(promise, answers, make)

    for answer in waiting:
        answer.add_done_callback(arrived)
    return promise


def _refuse(answers: Sequence[Future[Any]]) -> None:
    for answer in answers:
        error = answer.exception()
        if error is not None:
            raise error


def _settle(promise: Deferred, answers: Sequence[Future[Any]], make: Callable[[], Message | Deferred]) -> None:
    try:
        _refuse(answers)
        made = make()
    except OutcryError as error:
        promise.fail(error)
    except Exception as error:
        _LOG.exception("an answer could not be made")
        promise.fail(
            SourceError(f"the feed failed with {type(error).__name__}; nothing more is told: read the feed's log")
        )
    else:
        if isinstance(made, Deferred):
            made.on_done(lambda: _pass_on(made, promise))
        else:
            promise.resolve(made)


def _pass_on(made: Deferred, promise: Deferred) -> None:
    try:
        promise.resolve(made.wait(0.0))
    except OutcryError as error:
        promise.fail(error)
