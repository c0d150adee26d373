"""Vendor calls in flight: equal and overlapping questions wait for one call, on a bounded number of threads (law 10).

Not the cache: what is missing and what is done with an answer is told by who asks. When the vendor asks to be left
alone, nobody calls it before the time it named; who can wait so long waits, the others are told until when.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, Literal, TypeVar

from bus.clock import NS, monotonic_ns
from bus.errors import OutcryError, SourceBusyError, SourceError
from feed._cache_ranges import Range, minus

__all__ = ["Answer", "Fetch", "Flights"]

_LOG = logging.getLogger("feed")
_T = TypeVar("_T")
Fetch = Callable[[tuple[str, ...], int, int], None]
"""``(keys, start, end)``: ask the vendor and keep what it gave."""

_MOST_OPEN = 512
_FIRST_BACK_OFF_S = 1.0
_LONGEST_BACK_OFF_S = 60.0


class Answer(Future[_T]):
    """An answer that is here or comes.

    Attributes:
        how: Whether it was there, waited for calls of others, or made a call itself.
    """

    def __init__(self) -> None:
        """Start unanswered; it cannot be cancelled."""
        super().__init__()
        self.how: Literal["cached", "joined", "called"] = "cached"
        self.set_running_or_notify_cancel()


class _Asker:
    """One question that waits for calls."""

    def __init__(self, flights: int, answer: Callable[[], Any], deadline_ns: int) -> None:
        self.future: Answer[Any] = Answer()
        self.deadline_ns = deadline_ns
        self.left = flights
        self.answer = answer


class _Flight:
    """One vendor call and who waits for it."""

    def __init__(self, keys: tuple[str, ...], span: Range, fetch: Fetch) -> None:
        self.keys = keys
        self.span = span
        self.fetch = fetch
        self.askers: list[_Asker] = []


class Flights:
    """Runs vendor calls, each once however many ask.

    Attributes:
        calls: Vendor calls begun.
        joined: Questions that only waited for calls of others.
        from_cache: Questions for which nothing had to be called.
    """

    def __init__(self, name: str, workers: int) -> None:
        """Start with nothing asked.

        Args:
            name: The vendor, for people.
            workers: How many calls may be made at once.
        """
        self._name = name
        self._most = workers
        self._lock = Lock()
        self._open: dict[str, list[_Flight]] = {}
        self._count = 0
        self._queue: SimpleQueue[_Flight | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._idle = 0
        self._closed = Event()
        self._busy_until_ns = 0
        self._back_off_s = 0.0
        self.calls = 0
        self.joined = 0
        self.from_cache = 0

    @property
    def busy_s(self) -> float:
        """For how many seconds the vendor wants to be left alone; 0 when it does not."""
        return max(0, self._busy_until_ns - monotonic_ns()) / NS

    def ask(
        self,
        keys: Iterable[str],
        gaps: Callable[[str], list[Range]],
        fetch: Fetch,
        answer: Callable[[], _T],
        patience_s: float,
    ) -> Answer[_T]:
        """Answer a question once nothing of it is missing.

        Args:
            keys: What is asked about.
            gaps: Key → the ranges of it that are missing.
            fetch: Calls the vendor for keys that miss the same range.
            answer: Gives the answer from what is kept.
            patience_s: How long the asker would wait for a vendor that is busy.

        Returns:
            A future: done at once when nothing is missing.
        """
        deadline_ns = monotonic_ns() + int(patience_s * NS)
        with self._lock:
            joins, starts = self._plan(keys, gaps, fetch)
            asker = _Asker(len(joins) + len(starts), answer, deadline_ns)
            if not joins and not starts:
                self.from_cache += 1
            else:
                refused = self._refusal(len(starts), deadline_ns)
                if refused is not None:
                    asker.future.set_exception(refused)
                    return asker.future
                asker.future.how = "called" if starts else "joined"
                self.joined += not starts
                for flight in (*joins, *starts):
                    flight.askers.append(asker)
                for flight in starts:
                    self._begin(flight)
        if asker.left == 0:
            _settle(asker)
        return asker.future

    def close(self) -> None:
        """Let nobody call any more; who waits is told. Returns without waiting for calls under way."""
        with self._lock:
            self._closed.set()
            threads = len(self._threads)
            waiting = {id(flight): flight for flights in self._open.values() for flight in flights}
            askers = [asker for flight in waiting.values() for asker in flight.askers]
            self._open.clear()
        for _ in range(threads):
            self._queue.put(None)
        for asker in askers:
            _fail(asker, SourceError("the feed is being stopped; ask again when it runs"))

    # --- planning, under the lock -------------------------------------------------------------------------------------

    def _plan(
        self, keys: Iterable[str], gaps: Callable[[str], list[Range]], fetch: Fetch
    ) -> tuple[list[_Flight], list[_Flight]]:
        joins: dict[int, _Flight] = {}
        groups: dict[Range, list[str]] = {}
        for key in keys:
            under_way = self._open.get(key, [])
            for start, end in gaps(key):
                overlapping = [one for one in under_way if one.span[0] < end and start < one.span[1]]
                joins.update((id(one), one) for one in overlapping)
                for rest in minus((start, end), [one.span for one in overlapping]):
                    groups.setdefault(rest, []).append(key)
        return list(joins.values()), [_Flight(tuple(found), span, fetch) for span, found in groups.items()]

    def _refusal(self, starts: int, deadline_ns: int) -> SourceError | None:
        if self._closed.is_set():
            return SourceError("the feed is being stopped; ask again when it runs")
        if deadline_ns < self._busy_until_ns:
            return self._busy_error()
        if self._count + starts > _MOST_OPEN:
            return SourceError(
                f"{self._count:,} questions to {self._name} wait already, {_MOST_OPEN:,} is most; ask for less at once"
            )
        return None

    def _busy_error(self) -> SourceBusyError:
        left_s = self.busy_s
        return SourceBusyError(
            f"{self._name} asked to be left alone for {max(left_s, 0.1):.1f} s more; nobody asks it before then: "
            "ask again after that, or for what is cached",
            left_s,
        )

    def _begin(self, flight: _Flight) -> None:
        for key in flight.keys:
            self._open.setdefault(key, []).append(flight)
        self._count += 1
        self._queue.put(flight)
        if self._count > len(self._threads) < self._most:
            thread = Thread(target=self._work, name=f"vendor-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    # --- on the vendor's threads --------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (flight := self._queue.get()) is not None:
            error = self._fly(flight)
            with self._lock:
                if self._closed.is_set():
                    return
                for key in flight.keys:
                    others = self._open[key]
                    others.remove(flight)
                    if not others:
                        del self._open[key]
                self._count -= 1
                done: list[_Asker] = []
                for asker in flight.askers:
                    asker.left -= 1
                    if asker.left == 0 or error is not None:
                        done.append(asker)
            for asker in done:
                if error is None:
                    _settle(asker)
                else:
                    _fail(asker, error)

    def _fly(self, flight: _Flight) -> OutcryError | None:
        """Call the vendor, after the time it asked for; None when it answered."""
        while True:
            while (left_s := self.busy_s) > 0:
                if self._closed.wait(left_s):
                    return SourceError("the feed is being stopped")
            with self._lock:
                self.calls += 1
            try:
                flight.fetch(flight.keys, *flight.span)
            except SourceBusyError as error:
                if not self._wait_for(flight, error):
                    return self._busy_error()
                continue
            except OutcryError as error:
                return error
            except Exception as error:
                _LOG.exception("asking %s failed", self._name)
                return SourceError(
                    f"{self._name} could not be asked: {type(error).__name__}; nothing was made up in its place: "
                    "ask again, and read the feed's log if it stays"
                )
            self._back_off_s = 0.0
            return None

    def _wait_for(self, flight: _Flight, error: SourceBusyError) -> bool:
        """Leave the vendor alone; tell those who cannot wait so long. Returns whether somebody does wait."""
        with self._lock:
            if error.retry_after_s > 0:
                wait_s = error.retry_after_s
            else:
                self._back_off_s = min(max(2 * self._back_off_s, _FIRST_BACK_OFF_S), _LONGEST_BACK_OFF_S)
                wait_s = self._back_off_s
            self._busy_until_ns = max(self._busy_until_ns, monotonic_ns() + int(wait_s * NS))
            impatient = [asker for asker in flight.askers if asker.deadline_ns < self._busy_until_ns]
            flight.askers = [asker for asker in flight.askers if asker.deadline_ns >= self._busy_until_ns]
            patient = bool(flight.askers)
            if not patient:
                flight.askers = impatient
                return False
            told = self._busy_error()
        for asker in impatient:
            _fail(asker, told)
        return True


def _settle(asker: _Asker) -> None:
    if asker.future.done():
        return
    try:
        answer = asker.answer()
    except Exception as error:
        _fail(asker, error)
        return
    with contextlib.suppress(InvalidStateError):  # another of its calls has failed in the meantime
        asker.future.set_result(answer)


def _fail(asker: _Asker, error: Exception) -> None:
    with contextlib.suppress(InvalidStateError):
        asker.future.set_exception(error)
