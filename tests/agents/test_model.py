"""The port to a model, with the real client against a server that speaks the real protocol."""

from __future__ import annotations

import logging
import traceback

import pytest

from agents.model import ModelAnswer, ModelRequest, make_model
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
def test_the_client_asks_with_a_strict_schema_a_seed_and_a_temperature_of_zero() -> None:
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
    [
        ("slow", "slow"),
        ("error", "down"),
        ("denied", "refused"),
        ("refusal", "refused"),
        ("cut", "nonsense"),
        ("html", "nonsense"),
        ("broken", "nonsense"),
        ("list", "nonsense"),
        ("empty", "nonsense"),
        ("null", "nonsense"),
        ("surrogate", "nonsense"),
        ("huge", "nonsense"),
    ],
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


@pytest.mark.requirement("model:protocol")
def test_a_server_that_does_not_count_tokens_is_read_all_the_same() -> None:
    with FakeOpenAI("odd-usage") as server:
        assert model(server).ask(QUESTION) == ModelAnswer("{}", 0, 0)


@pytest.mark.requirement("model:deadline")
@pytest.mark.timeout(20)
def test_a_server_that_drips_blanks_is_slow() -> None:
    with FakeOpenAI("drip") as server, pytest.raises(ModelError) as caught:
        model(server, 0.3).ask(QUESTION)
    assert caught.value.reason == "slow"
    assert len(server.asked) == 1


@pytest.mark.requirement("model:deadline")
@pytest.mark.timeout(20)
def test_a_server_that_asks_for_a_longer_wait_than_there_is_time_is_down_at_once() -> None:
    with FakeOpenAI("busy-long") as server, pytest.raises(ModelError) as caught:
        model(server).ask(QUESTION)
    assert caught.value.reason == "down"
    assert len(server.asked) == 1


@pytest.mark.requirement("model:options")
def test_an_option_that_a_server_refuses_is_left_out_from_then_on() -> None:
    with FakeOpenAI("picky") as server:
        asking = model(server)
        assert asking.ask(QUESTION).text == asking.ask(QUESTION).text
    kept = [
        sorted({"temperature", "max_tokens", "max_completion_tokens", "seed"}.intersection(body))
        for body in server.asked
    ]
    assert kept == [
        ["max_tokens", "seed", "temperature"],
        ["max_completion_tokens", "seed", "temperature"],
        ["max_completion_tokens", "seed"],
        ["max_completion_tokens", "seed"],
    ]


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


@pytest.mark.requirement("model:key")
@pytest.mark.parametrize("key", ["sk-secret\nx-other: 1", "sk-s\N{LATIN SMALL LETTER E WITH ACUTE}cret", "sk secret"])
def test_a_key_that_fits_no_header_is_refused_and_never_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY") as caught:
        make_model(ModelSpec("openai:any"))
    assert "cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.requirement("model:key")
@pytest.mark.parametrize("key", ["sk-secret\nx-other: 1", "sk-s\N{LATIN SMALL LETTER E WITH ACUTE}cret"])
def test_a_client_that_cannot_send_its_key_does_not_show_it(key: str) -> None:
    with FakeOpenAI() as server, pytest.raises(ModelError) as caught:
        OpenAIModel("test", ModelSpec(timeout_s=2.0), server.base_url, key).ask(QUESTION)
    assert "cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.requirement("model:key")
def test_a_key_with_a_line_end_around_it_is_sent_without(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeOpenAI() as server:
        monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\r\n")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        make_model(ModelSpec("openai:any")).ask(QUESTION)
    assert server.keys == [f"Bearer {KEY}"]


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
