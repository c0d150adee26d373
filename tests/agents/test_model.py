"""The port to a model, with the real client against a server that speaks the real protocol."""

from __future__ import annotations

import logging

import pytest

from agents.model import ModelRequest, make_model
from agents.openai_model import OpenAIModel
from agents.spec import ModelSpec
from bus.errors import ConfigError, ModelError
from tests.agents.fake_openai import FakeOpenAI

KEY = "sk-this-must-stay-secret"
CONTEXT = {
    "now": "2024-03-13 14:00:00Z",
    "news": [],
    "symbols": [{"symbol": "ACME", "change_bps_5_bars": 9, "change_bps_30_bars": 40}],
}
QUESTION = ModelRequest("analyst", "Judge.", CONTEXT, "analyst_answer", {"type": "object"})


def model(server: FakeOpenAI, timeout_s: float = 5.0) -> OpenAIModel:
    return OpenAIModel("test", ModelSpec("openai:test", 3, timeout_s), server.base_url, KEY)


@pytest.mark.requirement("model:protocol")
def test_the_client_asks_with_a_strict_schema_a_seed_and_no_temperature() -> None:
    with FakeOpenAI() as server:
        answer = model(server).ask(QUESTION)
    body = server.asked[0]
    assert '"bias":"bullish"' in answer.text
    assert (answer.prompt_tokens, answer.answer_tokens) == (11, 7)
    assert body["model"] == "test"
    assert body["seed"] == 3
    assert body["temperature"] == 0
    assert body["response_format"]["json_schema"]["strict"] is True
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


@pytest.mark.requirement("model:fails")
@pytest.mark.parametrize(
    ("mode", "reason"),
    [("slow", "slow"), ("error", "down"), ("denied", "refused"), ("refusal", "refused"), ("cut", "nonsense")],
)
def test_a_model_that_fails_says_how(mode: str, reason: str) -> None:
    with FakeOpenAI(mode) as server, pytest.raises(ModelError) as caught:
        model(server, 0.3 if mode == "slow" else 5.0).ask(QUESTION)
    assert caught.value.reason == reason


@pytest.mark.requirement("model:fails")
def test_a_server_that_is_not_there_is_down() -> None:
    with pytest.raises(ModelError) as caught:
        OpenAIModel("test", ModelSpec(timeout_s=2.0), "http://127.0.0.1:9/v1", KEY).ask(QUESTION)
    assert caught.value.reason == "down"


@pytest.mark.requirement("model:retry")
def test_a_server_that_is_busy_once_is_asked_once_more() -> None:
    with FakeOpenAI("once-busy") as server:
        assert model(server).ask(QUESTION).text
    assert len(server.asked) == 2


@pytest.mark.requirement("model:key")
@pytest.mark.parametrize("mode", ["ok", "error", "denied", "html"])
def test_the_key_goes_to_its_server_and_nowhere_else(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    said = ""
    with caplog.at_level(logging.DEBUG), FakeOpenAI(mode) as server:
        asking = model(server)
        try:
            asking.ask(QUESTION)
        except ModelError as error:
            said = repr(error) + str(error)
    assert server.keys[0] == f"Bearer {KEY}"
    assert KEY not in caplog.text + said + repr(asking)


@pytest.mark.requirement("model:names")
@pytest.mark.parametrize("name", ["", "openai", "openai:", "abacus", "scripted:1"])
def test_a_model_that_is_none_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ConfigError, match="scripted and openai:NAME"):
        make_model(ModelSpec(name))


@pytest.mark.requirement("model:names")
def test_openai_without_a_key_or_a_server_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        make_model(ModelSpec("openai:any"))
