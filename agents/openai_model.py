"""Any OpenAI-compatible server as a model: OpenAI, vLLM, Ollama, llama.cpp, through the official client.

Not a retry machine: one deadline over everything, also over a server that drips its answer or keeps the line warm with
blanks. The key comes from this process's environment and goes nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agents.model import ModelAnswer, ModelRequest
from agents.spec import ModelSpec
from bus.clock import NS, monotonic_ns, sleep_s
from bus.errors import ModelError

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

__all__ = ["OpenAIModel"]

_TRIES = 2
_PAUSE_S = 0.2
_CONNECT_S = 5.0
_MAX_TOKENS = 2000
_MAX_BYTES = 1 << 20
_BUSY = frozenset({408, 409, 429})
_OPTIONAL = frozenset({"temperature", "seed", "max_tokens"})


class _DownError(ModelError):
    """A failure that may be over after ``wait_s`` seconds."""

    def __init__(self, message: str, wait_s: float = _PAUSE_S) -> None:
        super().__init__("down", message)
        self.wait_s = wait_s


class _Said(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Said
    finish_reason: str | None = None


class _Reply(msgspec.Struct):
    choices: list[_Choice]
    usage: Any = None


_REPLY = msgspec.json.Decoder(_Reply)


class OpenAIModel:
    """One model on one server."""

    def __init__(self, name: str, spec: ModelSpec, base_url: str, key: str) -> None:
        """Make a client; nothing is sent yet.

        Args:
            name: The model's name on the server.
            spec: Seed and time limit.
            base_url: The server; empty for OpenAI's own.
            key: Its key.
        """
        from openai import OpenAI

        self._model = name
        self._timeout_s = spec.timeout_s
        self._options: dict[str, Any] = {"temperature": 0, "seed": spec.seed, "max_tokens": _MAX_TOKENS}
        self._client: OpenAI = OpenAI(api_key=key, base_url=base_url or None, max_retries=0)

    def __repr__(self) -> str:
        """Return the model's name; never its key."""
        return f"OpenAIModel({self._model!r})"

    @property
    def name(self) -> str:
        """How it is called in the event log."""
        return f"openai:{self._model}"

    def ask(self, request: ModelRequest) -> ModelAnswer:
        """Return the answer; a server that is busy or fails is asked once more when the time limit allows.

        No try starts after the time limit. One that is under way ends at its next byte after the limit, or after a
        silence as long as the time it started with.

        Raises:
            ModelError: The model is down, slow, refuses or answers nonsense.
        """
        deadline_ns = monotonic_ns() + int(self._timeout_s * NS)
        tries = 0
        while True:
            tries += 1
            try:
                return self._read(self._fetch(request, deadline_ns))
            except _DownError as error:
                if tries == _TRIES or error.wait_s >= (deadline_ns - monotonic_ns()) / NS:
                    raise
                sleep_s(error.wait_s)

    def _fetch(self, request: ModelRequest, deadline_ns: int) -> bytes:
        """Return the body of a successful answer.

        Errors of the client are never chained: their requests hold the key.
        """
        import openai

        try:
            return self._stream(request, deadline_ns)
        except ModelError:
            raise
        except openai.APITimeoutError:
            raise self._slow() from None
        except openai.APIConnectionError:
            raise _DownError(f"{self.name} cannot be reached; is OPENAI_BASE_URL right?") from None
        except openai.APIStatusError as error:
            if not self._adapt(error):
                raise self._status(error) from None
        except Exception as error:
            if monotonic_ns() >= deadline_ns:
                raise self._slow() from None
            raise _DownError(f"{self.name} broke off its answer ({type(error).__name__})") from None
        return self._fetch(request, deadline_ns)

    def _stream(self, request: ModelRequest, deadline_ns: int) -> bytes:
        import openai

        left_s = (deadline_ns - monotonic_ns()) / NS
        if left_s <= 0:
            raise self._slow()
        schema: dict[str, Any] = {"name": request.schema_name, "schema": request.schema, "strict": True}
        body = bytearray()
        ask: Any = self._client.chat.completions.with_streaming_response.create
        with ask(
            model=self._model,
            messages=[{"role": "system", "content": request.system}, {"role": "user", "content": request.user}],
            response_format={"type": "json_schema", "json_schema": schema},
            timeout=openai.Timeout(left_s, connect=min(left_s, _CONNECT_S)),
            **self._options,
        ) as reply:
            for chunk in reply.iter_bytes():
                body += chunk
                if monotonic_ns() >= deadline_ns:
                    raise self._slow()
                if len(body) > _MAX_BYTES:
                    raise ModelError("nonsense", f"{self.name} answered more than {_MAX_BYTES:,} bytes")
        return bytes(body)

    def _slow(self) -> ModelError:
        return ModelError("slow", f"{self.name} gave no answer in {self._timeout_s:g} s")

    def _status(self, error: APIStatusError) -> ModelError:
        told = f"{self.name} answered with status {error.status_code}"
        if error.status_code < 500 and error.status_code not in _BUSY:
            return ModelError("refused", told)
        try:
            return _DownError(told, max(0.0, float(error.response.headers.get("retry-after", _PAUSE_S))))
        except ValueError:
            return _DownError(told)

    def _adapt(self, error: APIStatusError) -> bool:
        """Leave out an option that the server says its model does not take; reasoning models refuse all three."""
        option = error.param
        if error.status_code != 400 or option not in _OPTIONAL or option not in self._options:
            return False
        value = self._options.pop(option)
        if option == "max_tokens":
            self._options["max_completion_tokens"] = value
        return True

    def _read(self, body: bytes) -> ModelAnswer:
        try:
            reply = _REPLY.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ModelError("nonsense", f"{self.name} answered what is no chat completion") from None
        if not reply.choices:
            raise ModelError("nonsense", f"{self.name} answered without a choice")
        choice = reply.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise ModelError("refused", f"{self.name} refused to answer")
        if choice.finish_reason == "length" or not choice.message.content:
            raise ModelError("nonsense", f"{self.name} answered nothing whole")
        return ModelAnswer(
            choice.message.content, _count(reply.usage, "prompt_tokens"), _count(reply.usage, "completion_tokens")
        )


def _count(usage: Any, name: str) -> int:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0
