"""Processes that die, hang or are killed: small real services under the real supervisor and the real fork server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from bus.endpoints import tcp_directory
from bus.messages import Ok, Ping
from bus.zmq_transport import ZmqTransport
from outcry.rundir import RunFile, process_start, read_run_file
from tests.outcry.small_desk import STAGES

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


class Desk:
    def __init__(self, process: subprocess.Popen[str], run_dir: Path) -> None:
        self.process = process
        self.run_dir = run_dir

    def file(self) -> RunFile | None:
        return read_run_file(self.run_dir) if (self.run_dir / "run.json").is_file() else None

    def running(self) -> RunFile | None:
        """What run.json says once every stage runs."""
        content = self.file()
        if self.process.poll() is not None:
            pytest.fail(f"the desk ended: {self.process.communicate()}")
        return content if content is not None and content.state == "running" else None

    def ask(self, stage: str) -> str:
        content = self.file()
        assert content is not None
        transport = ZmqTransport()
        try:
            answer = transport.client(content.endpoints[stage]).call(Ping(), timeout_s=10)
        finally:
            transport.close()
        assert isinstance(answer, Ok)
        return answer.detail

    def finish(self, timeout_s: float = 20) -> dict[str, str]:
        out, err = self.process.communicate(timeout=timeout_s)
        assert "Traceback" not in err, err
        return json.loads(out)


@contextmanager
def desk(run_dir: Path, port: int = 0) -> Generator[Desk]:
    command = [sys.executable, "-m", "tests.outcry.small_desk", str(run_dir), str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Desk(process, run_dir)
        finally:
            if process.poll() is None:
                process.kill()


def until(what: str, condition: Callable[[], T | None], deadline_s: float = 20) -> T:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        os.sched_yield()
    pytest.fail(f"{what}: not within {deadline_s:g} s")


def gone(pids: list[int]) -> bool:
    return not any(process_start(pid) for pid in pids)


def everybody(content: RunFile) -> list[int]:
    return [*content.stages.values(), content.nursery]


def socket_folder(content: RunFile) -> Path:
    return Path(content.endpoints["feed"].removeprefix("ipc://")).parent


@pytest.mark.requirement("outcry:processes")
def test_every_stage_has_its_own_process_and_answers(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        content = until("the desk runs", one.running)
        assert len(set(everybody(content))) == len(STAGES) + 1
        assert [one.ask(stage) for stage in STAGES] == [f"{stage} Ping" for stage in STAGES]
        assert socket_folder(content).stat().st_mode & 0o777 == 0o700
        one.process.send_signal(signal.SIGINT)
        one.finish()
    assert gone(everybody(content))
    assert not socket_folder(content).exists()


@pytest.mark.requirement("outcry:secrets")
def test_only_stages_that_ask_a_model_are_given_its_key(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        content = until("the desk runs", one.running)
        for pid in everybody(content):
            assert b"not-a-key" not in Path(f"/proc/{pid}/environ").read_bytes()
        one.process.send_signal(signal.SIGINT)
        one.finish()
    logs = {stage: (tmp_path / "logs" / f"{stage}.log").read_text(encoding="utf-8") for stage in STAGES}
    assert "environment []" in logs["feed"]
    assert "environment ['OPENAI_API_KEY']" in logs["analyst"]
    assert "not-a-key" not in "".join(logs.values())


@pytest.mark.requirement("outcry:interrupt")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_every_stage_and_ends_with_130(number: signal.Signals, tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        content = until("the desk runs", one.running)
        one.process.send_signal(number)
        one.finish()
        assert one.process.returncode == 130
    assert gone(everybody(content))
    stopped = one.file()
    assert stopped is not None
    assert stopped.state == "stopped"
    assert "stopped" in (tmp_path / "logs" / "feed.log").read_text(encoding="utf-8")


@pytest.mark.requirement("outcry:interrupt")
def test_a_stage_that_does_not_stop_in_time_is_killed(tmp_path: Path) -> None:
    (tmp_path / "deaf").touch()
    with desk(tmp_path) as one:
        content = until("the desk runs", one.running)
        one.process.send_signal(signal.SIGINT)
        one.finish()
        assert one.process.returncode == 130
    assert gone(everybody(content))


@pytest.mark.requirement("outcry:restart")
def test_a_killed_stage_is_started_again_and_answers(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        before = until("the desk runs", one.running).stages["analyst"]
        os.kill(before, signal.SIGKILL)

        def again() -> bool:
            content = one.running()
            return content is not None and content.stages["analyst"] != before and content.restarts == 1

        until("the analyst is started again", again)
        assert one.ask("analyst") == "analyst Ping"
        one.process.send_signal(signal.SIGINT)
        assert one.finish()["restarts"] == 1


@pytest.mark.requirement("outcry:hung")
def test_a_stopped_stage_is_missed_killed_and_started_again(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        before = until("the desk runs", one.running).stages["feed"]
        os.kill(before, signal.SIGSTOP)

        def again() -> bool:
            content = one.running()
            return content is not None and content.stages["feed"] != before

        until("the feed is started again", again)
        assert gone([before])
        assert one.ask("feed") == "feed Ping"


@pytest.mark.requirement("outcry:budget")
def test_a_stage_that_dies_again_and_again_is_given_up_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "crash").touch()
    with desk(tmp_path) as one:
        told = one.finish(40)
        assert one.process.returncode == 1
    assert "analyst" in told["message"]
    assert "supervisor.restarts" in told["message"]
    content = one.file()
    assert content is not None
    assert content.state == "failed"
    assert gone(everybody(content))


@pytest.mark.requirement("outcry:refused")
def test_a_stage_that_refuses_its_spec_ends_the_run_with_its_words(tmp_path: Path) -> None:
    (tmp_path / "refuse").touch()
    with desk(tmp_path) as one:
        told = one.finish()
        assert one.process.returncode == 2
    assert "desk.symbols = NOPE" in told["message"]
    content = one.file()
    assert content is not None
    assert gone(everybody(content))


@pytest.mark.requirement("outcry:orphans")
def test_a_supervisor_killed_with_kill_9_leaves_no_process_and_no_socket(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        content = until("the desk runs", one.running)
        one.process.kill()
        until("every process is gone", lambda: gone(everybody(content)))
        until("the sockets are gone", lambda: not socket_folder(content).exists())


@pytest.mark.requirement("outcry:nursery-killed")
def test_a_killed_nursery_takes_its_stages_with_it_and_all_are_started_again(tmp_path: Path) -> None:
    with desk(tmp_path) as one:
        content = until("the desk runs", one.running)
        os.kill(content.nursery, signal.SIGKILL)

        def again() -> bool:
            now = one.running()
            return now is not None and now.nursery != content.nursery and gone(list(content.stages.values()))

        until("a new nursery runs", again)
        assert [one.ask(stage) for stage in STAGES] == [f"{stage} Ping" for stage in STAGES]
        one.process.send_signal(signal.SIGINT)
        one.finish()
    after = one.file()
    assert after is not None
    assert gone(everybody(after))
    assert not socket_folder(content).exists()


@pytest.mark.requirement("outcry:port")
@pytest.mark.parametrize("service", ["supervisor", "feed", "trader"])
def test_a_port_in_use_is_named_and_nothing_is_left(service: str, tmp_path: Path) -> None:
    offset = int(tcp_directory("127.0.0.1", 20_000)[service].rpartition(":")[2]) - 20_000
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with desk(tmp_path, port - offset) as one:
            told = one.finish()
            assert one.process.returncode == 2
    assert str(port) in told["message"]
    content = one.file()
    assert gone(everybody(content) if content else [])
