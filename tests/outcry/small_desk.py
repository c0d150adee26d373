"""A supervisor of small real services, in a process of its own so that it can be killed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from bus.endpoints import ipc_directory, tcp_directory
from bus.errors import OutcryError
from outcry.link import NurseryLink
from outcry.rundir import RunFile, make_socket_folder, process_start
from outcry.supervisor import Patience, Supervisor

STAGES = ("feed", "analyst", "trader")


def link() -> NurseryLink:
    return NurseryLink((sys.executable, "-P", "-m", "tests.outcry.small_nursery"))


def content(endpoints: dict[str, str]) -> RunFile:
    return RunFile(
        run_id="run-000000000000",
        day="none",
        kind="synthetic",
        mode="replay",
        model="scripted",
        state="starting",
        supervisor=os.getpid(),
        supervisor_start=process_start(os.getpid()),
        endpoints=endpoints,
    )


def main(run_dir: Path, port: int) -> int:
    (run_dir / "logs").mkdir(exist_ok=True)
    nursery = link()
    sockets = None if port else make_socket_folder()
    try:
        endpoints = tcp_directory("127.0.0.1", port) if sockets is None else ipc_directory(sockets)
        supervisor = Supervisor(
            run_dir,
            content(endpoints),
            sockets,
            nursery,
            secrets={"OPENAI_API_KEY": "not-a-key"},
            patience=Patience(heartbeat_s=1.5, start_s=15.0, stop_s=2.0, restarts=3),
            stages=STAGES,
            new_link=link,
        )
        outcome = supervisor.run()
    except OutcryError as error:
        nursery.kill()
        sys.stdout.write(json.dumps({"message": str(error)}))
        return error.exit_code
    failure = outcome.failure
    told = {"restarts": outcome.restarts, "message": failure.message if failure else ""}
    sys.stdout.write(json.dumps(told))
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
