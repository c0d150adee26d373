"""Any OpenAI-compatible server as a model: OpenAI, vLLM, Ollama, llama.cpp, through the official client.

Not a retry machine: one deadline over everything. The key comes from this process's environment and goes nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.model import ModelAnswer, ModelRequest
from agents.spec import ModelSpec
from bus.clock import NS, monotonic_ns
from bus.errors import ModelError

if TYPE_CHECKING:
    from openai import OpenAI

__all__ = ["OpenAIModel"]

_TRIES = 2
_MAX_TOKENS = 2000


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
        self._seed = spec.seed
        self._timeout_s = spec.timeout_s
        self._client: OpenAI = OpenAI(api_key=key, base_url=base_url or None, max_retries=0, timeout=spec.timeout_s)

    def __repr__(self) -> str:
        """Return the model's name; never its key."""
        return f"OpenAIModel({self._model!r})"

    @property
    def name(self) -> str:
        """How it is called in the event log."""
        return f"openai:{self._model}"

    def ask(self, request: ModelRequest) -> ModelAnswer:
        """Return the answer; a server that is busy or fails is asked once more within the time limit."""
        deadline_ns = monotonic_ns() + int(self._timeout_s * NS)
        for attempt in range(_TRIES):
            left_s = (deadline_ns - monotonic_ns()) / NS
            if left_s <= 0:
                raise ModelError("slow", f"{self.name} gave no answer in {self._timeout_s:g} s")
            try:
                return self._once(request, left_s)
            except ModelError as error:
                if error.reason not in ("down",) or attempt + 1 == _TRIES:
                    raise
        raise ModelError("down", f"{self.name} did not answer")

    def _once(self, request: ModelRequest, timeout_s: float) -> ModelAnswer:
        import openai

        schema: dict[str, Any] = {"name": request.schema_name, "schema": request.schema, "strict": True}
        try:
            reply = self._client.chat.completions.create(
                model=self._model,
                messages=[
                    {"role": "system", "content": request.system},
                    {"role": "user", "content": request.user},
                ],
                response_format={"type": "json_schema", "json_schema": schema},  # pyright: ignore[reportArgumentType] - a TypedDict built by hand
                temperature=0,
                seed=self._seed,
                max_tokens=_MAX_TOKENS,
                timeout=timeout_s,
            )
        except openai.APITimeoutError as error:
            raise ModelError("slow", f"{self.name} gave no answer in {self._timeout_s:g} s") from error
        except openai.APIConnectionError as error:
            raise ModelError("down", f"{self.name} cannot be reached; is OPENAI_BASE_URL right?") from error
        except openai.APIStatusError as error:
            reason = "down" if error.status_code >= 500 or error.status_code == 429 else "refused"
            raise ModelError(reason, f"{self.name} answered with status {error.status_code}") from None
        except openai.OpenAIError as error:
            raise ModelError("nonsense", f"{self.name} answered what the client cannot read") from error
        return self._read(reply)

    def _read(self, reply: Any) -> ModelAnswer:
        choices = getattr(reply, "choices", None)
        if not choices:
            raise ModelError("nonsense", f"{self.name} answered without a choice")
        message = choices[0].message
        if getattr(message, "refusal", None):
            raise ModelError("refused", f"{self.name} refused to answer")
        if choices[0].finish_reason == "length" or not message.content:
            raise ModelError("nonsense", f"{self.name} answered nothing whole")
        usage = reply.usage
        prompt, answer = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        return ModelAnswer(message.content, int(prompt), int(answer))
