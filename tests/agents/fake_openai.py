"""A loopback server that speaks the chat completions protocol and misbehaves on request. The client is the real one."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, cast

from agents.model import ModelRequest
from agents.scripted import ScriptedModel

__all__ = ["FakeOpenAI"]


_BODIES = {
    "broken": b'{"choices": [{"index": 0,',
    "list": b"[1, 2]",
    "empty": b'{"choices": []}',
    "null": b'{"choices": [{"finish_reason": "stop", "message": null}]}',
    "surrogate": b'{"choices": [{"finish_reason": "stop", "message": {"content": "\\ud800"}}]}',
    "huge": b'{"choices": [{"finish_reason": "stop", "message": {"content": "' + b"x" * 2_000_000 + b'"}}]}',
    "odd-usage": b'{"choices": [{"message": {"content": "{}"}}], "usage": {"prompt_tokens": null}}',
}
"""Bodies of status 200 that no chat completion has, by mode; the last one is odd but whole."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    mode: str
    asked: list[dict[str, Any]]
    keys: list[str]
    release: threading.Event


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        del format, args  # a quiet server

    def do_POST(self) -> None:
        server = cast("_Server", self.server)
        length = int(self.headers.get("content-length", "0"))
        body: dict[str, Any] = json.loads(self.rfile.read(length))
        server.asked.append(body)
        server.keys.append(self.headers.get("authorization", ""))
        mode = server.mode
        if mode == "slow":
            server.release.wait(30)
            self.close_connection = True
            return
        if mode == "drip":
            self._drip()
            return
        if mode == "picky" and (refused := {"temperature", "max_tokens"}.intersection(body)):
            told = {"message": "not with this model", "type": "invalid_request_error", "param": min(refused)}
            self._send(400, {"error": told})
            return
        if mode == "busy-long":
            self._send_bytes(429, b"{}", "application/json", retry_after="600")
            return
        if mode in _BODIES:
            self._send_bytes(200, _BODIES[mode], "application/json")
            return
        if mode == "error" or (mode == "once-busy" and len(server.asked) == 1):
            self._send(500 if mode == "error" else 429, {"error": {"message": "busy", "type": "server_error"}})
            return
        if mode == "denied":
            self._send(401, {"error": {"message": "bad key", "type": "invalid_request_error"}})
            return
        if mode == "html":
            self._send_bytes(200, b"<html>not json</html>", "text/html")
            return
        self._send(200, _completion(body, mode))

    def _send(self, status: int, content: dict[str, Any]) -> None:
        self._send_bytes(status, json.dumps(content).encode(), "application/json")

    def _drip(self) -> None:
        """Keep the line warm with blanks, as some busy services do, and never come to the answer."""
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        try:
            while not cast("_Server", self.server).release.wait(0.02):
                self.wfile.write(b"1\r\n \r\n")
        except OSError:
            return

    def _send_bytes(self, status: int, data: bytes, kind: str, retry_after: str = "0") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("retry-after", retry_after)
        self.end_headers()
        self.wfile.write(data)


def _completion(body: dict[str, Any], mode: str) -> dict[str, Any]:
    text: str | None = "I would buy some, if I were you."
    if mode in ("ok", "once-busy", "cut", "picky"):
        text = _scripted(body)
    if mode == "wild":
        text = json.dumps({"orders": [], "stances": [{"symbol": "ACME", "bias": "sideways", "confidence_pct": 4000}]})
    message = {"role": "assistant", "content": None if mode == "refusal" else text}
    if mode == "refusal":
        message["refusal"] = "I cannot help with that."
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "finish_reason": "length" if mode == "cut" else "stop", "message": message}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }


def _scripted(body: dict[str, Any]) -> str:
    name: str = body["response_format"]["json_schema"]["name"]
    role = "analyst" if name.startswith("analyst") else "trader"
    context: dict[str, Any] = json.loads(body["messages"][1]["content"])
    return ScriptedModel(1).ask(ModelRequest(role, "", context, name, {})).text


class FakeOpenAI:
    """The server; use it as a context manager.

    Modes: ``ok`` (answers as the scripted model does), ``nonsense``, ``wild`` (JSON out of range), ``cut``,
    ``refusal``, ``slow`` (never answers), ``drip`` (blanks for ever), ``error`` (500), ``once-busy`` (429, then ok),
    ``busy-long`` (429, come back in ten minutes), ``denied`` (401), ``picky`` (400 while it is sent a temperature or
    ``max_tokens``), ``html``, and ``broken list empty null surrogate huge odd-usage`` (bodies of ``_BODIES``).
    """

    def __init__(self, mode: str = "ok") -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.mode = mode
        self._server.asked = []
        self._server.keys = []
        self._server.release = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def base_url(self) -> str:
        """What OPENAI_BASE_URL is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The bodies of all requests."""
        return self._server.asked

    @property
    def keys(self) -> list[str]:
        """The authorization headers of all requests."""
        return self._server.keys

    def __enter__(self) -> FakeOpenAI:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
