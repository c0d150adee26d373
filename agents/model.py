"""The port to a model: a question with a JSON schema, an answer as text. Real and scripted ones are behind it.

Not a framework: what is asked is made in ``agents.prompts``, what is believed is checked in ``agents.answers``.
"""

from __future__ import annotations

import os
from typing import Any, Literal, Protocol

import msgspec

from agents.spec import ModelSpec
from bus.errors import ConfigError

__all__ = ["ModelAnswer", "ModelPort", "ModelRequest", "make_model"]


class ModelRequest(msgspec.Struct, frozen=True):
    """One question.

    Attributes:
        role: Who asks.
        system: What the model is told about its task.
        context: What it is shown; plain JSON values.
        schema_name: The name of the answer's schema.
        schema: The JSON schema of the answer.
    """

    role: Literal["analyst", "trader"]
    system: str
    context: dict[str, Any]
    schema_name: str
    schema: dict[str, Any]

    @property
    def user(self) -> str:
        """The context as the text that a model reads."""
        return msgspec.json.encode(self.context, order="sorted").decode()


class ModelAnswer(msgspec.Struct, frozen=True):
    """The text that came back and what it cost, in tokens (0 where the model does not say)."""

    text: str
    prompt_tokens: int = 0
    answer_tokens: int = 0


class ModelPort(Protocol):
    """Anything that answers."""

    @property
    def name(self) -> str:
        """How it is called in the event log."""
        ...

    def ask(self, request: ModelRequest) -> ModelAnswer:
        """Return the answer.

        Raises:
            ModelError: The model is down, slow, refuses or answers nonsense.
        """
        ...


def make_model(spec: ModelSpec) -> ModelPort:
    """Return the model of a spec.

    Raises:
        ConfigError: There is no such model, or what it needs is not in the environment.
    """
    kind, _, name = spec.name.partition(":")
    if spec.name == "scripted":
        from agents.scripted import ScriptedModel

        return ScriptedModel(spec.seed)
    if kind == "openai" and name:
        from agents.openai_model import OpenAIModel

        base_url = os.environ.get("OPENAI_BASE_URL", "")
        key = _key(os.environ.get("OPENAI_API_KEY", ""))
        if not key and not base_url:
            raise ConfigError(
                "model.name: openai needs OPENAI_API_KEY, or OPENAI_BASE_URL of a server that asks for no key; "
                "set one in the environment, or use the model scripted"
            )
        return OpenAIModel(name, spec, base_url, key or "none")
    raise ConfigError(f"model.name: {spec.name!r} is no model; allowed are scripted and openai:NAME")


def _key(value: str) -> str:
    """Return a key that fits a header; one that does not would be shown by the error that comes of it."""
    key = value.strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(
            "OPENAI_API_KEY holds a character that no key has (a blank, a line end or a letter outside ASCII); "
            "copy the key again and set it anew"
        )
    return key
