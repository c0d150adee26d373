"""Checks of the desk: the configuration, the files of keys, keys in the environment, runs that were left behind.

Not a run: nothing is started and no vendor is asked. No key is ever shown, only where it is.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bus.errors import OutcryError, UsageError
from outcry import _landlock
from outcry._doctor import Check, Finding, fail, ok, warn
from outcry._reading import common_reading
from outcry.logs import is_secret
from outcry.rundir import is_alive, read_run_file

if TYPE_CHECKING:
    from execution.keys import Keys
    from outcry.config import Config

__all__ = ["desk_checks"]

_UNFINISHED = ("starting", "running", "stopping")


def _load(path: Path | None) -> Config:
    from outcry.config import load_config

    return load_config(path)


def _config(path: Path | None) -> Iterator[Finding]:
    from outcry.plan import make_terms

    name = str(path) if path is not None else "the defaults"
    try:
        config = _load(path)
        make_terms(config)
    except OutcryError as error:
        yield fail("configuration", str(error), "correct what it names")
        return
    yield ok("configuration", f"{name}: mode {config.desk.mode}, feed {config.feed.source}, model {config.model.name}")
    if config.desk.mode == "live" and _landlock.abi() < 1:
        yield fail(
            "real money", "stages cannot be confined here, so that desk.mode = 'live' is refused", "see landlock above"
        )


def _keys_files(path: Path | None) -> dict[str, Path]:
    """Return client → keys file, as far as the configuration can be read."""
    try:
        config = _load(path)
    except OutcryError:
        return {}
    brokers = {config.desk.client: config.broker}
    brokers |= {name: client.broker for name, client in config.clients.items()}
    return {name: Path(broker.keys_file) for name, broker in brokers.items() if broker.keys_file}


def _read(file: Path) -> Keys:
    from execution.keys import read_keys

    return read_keys(file)


def _keys(path: Path | None) -> Iterator[Finding]:
    files = _keys_files(path)
    if not files:
        yield ok("keys", "no client's broker needs any")
    for client, file in files.items():
        name = f"keys of {client}"
        try:
            _read(file)
            common_reading([file.absolute()])
        except OutcryError as error:
            yield fail(name, str(error), "correct that: the gateway refuses to start")
            continue
        mode = stat.S_IMODE(file.parent.stat().st_mode)
        if mode & 0o022:
            todo = f"chmod go-w {file.parent}"
            yield warn(name, f"{file} can be exchanged by others: its folder has mode {mode:04o}", todo)
        else:
            yield ok(name, f"{file}: readable by its owner only, and by that client's gateway only")
    if len({file.resolve() for file in files.values()}) < len(files):
        yield warn("keys", "two clients share a keys file", "give each client keys of its own")


def _environment(path: Path | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    from outcry.handover import KEYS_OF

    names = sorted(name for name, value in environ.items() if value and is_secret(name))
    if not names:
        yield ok("environment", "no variable looks like a key")
    told: dict[str, str] = {}
    for client, file in _keys_files(path).items():
        try:
            keys = _read(file)
        except OutcryError:
            continue
        told |= dict.fromkeys((word for word in (keys.key_id, keys.secret, keys.password) if word), client)
    for name in names:
        stages = [stage for stage, beginnings in KEYS_OF.items() if name.startswith(beginnings)]
        given = f"given to {' and '.join(stages)} only" if stages else "taken from every stage"
        client = told.get(environ[name])
        if client is not None:
            todo = f"unset it: it belongs in the keys file of {client} alone"
            yield fail("environment", f"{name} is a broker's key of {client}, {given}", todo)
        elif "KEY_ID" in name or "API_KEY" in name or stages:
            yield ok("environment", f"{name} is set: {given}")
        else:
            yield warn("environment", f"{name} looks like a key: {given}", "unset it where the desk is started")


def _runs(runs: Path, desks: Path) -> Iterator[Finding]:
    stale: list[str] = []
    alive = 0
    for file in (*runs.glob("*/run.json"), *desks.glob("*/runs/*/run.json")):
        try:
            content = read_run_file(file.parent)
        except UsageError:
            stale.append(f"{file.parent} (run.json cannot be read)")
            continue
        if is_alive(content):
            alive += 1
        elif content.state in _UNFINISHED:
            stale.append(str(file.parent))
    if stale:
        what = f"{len(stale)} ended without a word: {', '.join(stale[:3])}{' …' if len(stale) > 3 else ''}"
        todo = "read logs/supervisor.log there; where orders went to a broker, look at its account; then remove it"
        yield warn("runs", what, todo)
    else:
        yield ok("runs", f"{alive} alive, none left behind under {runs}")


def _socket_folders() -> Finding:
    left: list[str] = []
    for folder in Path(tempfile.gettempdir()).glob("outcry-*"):
        try:
            if folder.stat().st_uid == os.geteuid() and not _served(folder):
                left.append(str(folder))
        except OSError:
            continue
    if left:
        return warn("socket folders", f"{len(left)} are left behind", f"remove them: rm -r {' '.join(left[:5])}")
    return ok("socket folders", "none is left behind")


def _served(folder: Path) -> bool:
    """Whether somebody listens on a socket in a folder."""
    listening = Path("/proc/net/unix").read_text(encoding="utf-8")
    return f" {folder}/" in listening


def desk_checks(config: Path | None, runs: Path, desks: Path, environ: Mapping[str, str]) -> list[tuple[str, Check]]:
    """Return the checks of the desk.

    Args:
        config: The configuration file, None for the defaults.
        runs: Where runs are kept.
        desks: Where desks for tools are kept.
        environ: The environment that a desk would be started with.
    """
    return [
        ("configuration", lambda: _config(config)),
        ("keys", lambda: _keys(config)),
        ("environment", lambda: _environment(config, environ)),
        ("runs", lambda: _runs(runs, desks)),
        ("socket folders", _socket_folders),
    ]
