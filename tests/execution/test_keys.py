"""Broker keys: read from a private file by the gateway alone, shown nowhere. The words here are obviously no keys."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.errors import ConfigError
from execution.keys import Keys, read_keys, refuse_keys_in_environment

KEY = "not-a-real-key"
SECRET = "not-a-real-secret"
GOOD = f'key_id = "{KEY}"\nsecret = "{SECRET}"\n'


def written(folder: Path, text: str | bytes = GOOD, mode: int = 0o600) -> Path:
    path = folder / "keys.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def refused(path: Path) -> str:
    """The refusal in words, which must show neither the key nor the secret, nor must what caused it."""
    with pytest.raises(ConfigError) as caught:
        read_keys(path)
    shown = [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    if not caught.value.__suppress_context__:
        shown.append(repr(caught.value.__context__))
    assert not any(KEY in text or SECRET in text for text in shown)
    return str(caught.value)


@pytest.mark.requirement("execution:keys:read")
def test_a_private_file_gives_its_keys(tmp_path: Path) -> None:
    keys = read_keys(written(tmp_path))
    assert (keys.key_id, keys.secret, keys.password) == (KEY, SECRET, "")
    keys = read_keys(str(written(tmp_path, GOOD + 'password = "not-a-real-word"\n', 0o400)))
    assert keys.password == "not-a-real-word"


@pytest.mark.requirement("execution:keys:private")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_a_file_that_anybody_else_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    assert "chmod 600" in refused(written(tmp_path, mode=mode))


@pytest.mark.requirement("execution:keys:private")
def test_a_link_is_refused_even_to_a_private_file(tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(written(tmp_path))
    assert "not a link" in refused(link)


@pytest.mark.requirement("execution:keys:private")
def test_what_is_no_plain_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    assert "no plain file" in refused(pipe)
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    assert "no plain file" in refused(folder)


@pytest.mark.requirement("execution:keys:private")
def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    assert "keys_file" in refused(tmp_path / "nothing.toml")


@pytest.mark.requirement("execution:keys:private")
def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    if os.geteuid() == 0:
        os.chown(path, 65_534, 65_534)
    else:
        monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    assert "belongs to user" in refused(path)


@pytest.mark.requirement("execution:keys:refused")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'key_id = "{KEY}"\nsecret = {SECRET}\n', "no TOML"),
        (b"\xff\xfe" + SECRET.encode(), "no TOML"),
        (f'secret = "{SECRET}"\n', "key_id"),
        (f'key_id = "{KEY}"\nsecret = ""\n', "secret"),
        (f'key_id = "{KEY}"\nsecret = " {SECRET}"\n', "secret"),
        (f'key_id = 5\nsecret = "{SECRET}"\n', "key_id"),
        (f'[keys]\nkey_id = "{KEY}"\nsecret = "{SECRET}"\n', "not known"),
        (GOOD + f'"{SECRET}" = 1\n', "not known"),
        (GOOD + "#" * 20_000, "bytes"),
        ("", "key_id"),
    ],
)
def test_a_file_that_is_wrong_is_refused_without_quoting_it(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert said in refused(written(tmp_path, text))


@pytest.mark.requirement("execution:keys:environment")
@pytest.mark.parametrize("name", ["APCA_API_SECRET_KEY", "ALPACA_SECRET_KEY", "OUTCRY_BROKER_KEY"])
def test_keys_in_the_environment_are_refused_without_showing_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, SECRET)
    assert name in refused(written(tmp_path))
    with pytest.raises(ConfigError):
        refuse_keys_in_environment({name: SECRET})
    refuse_keys_in_environment({name: "", "PATH": "/bin"})


def shown_in_words(keys: Keys) -> str:
    return f"{keys!r} {keys} {keys!s} {keys:>40} {[keys]} {(keys,)!r} " + str({"keys": keys})


def shown_in_a_traceback(keys: Keys) -> str:
    try:
        raise ValueError(keys, "a mistake")
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


@pytest.mark.requirement("execution:keys:shown")
@pytest.mark.parametrize("show", [shown_in_words, shown_in_a_traceback])
def test_keys_show_nothing_of_themselves(tmp_path: Path, show: Callable[[Keys], str]) -> None:
    shown = show(read_keys(written(tmp_path)))
    assert "Keys(...)" in shown
    assert KEY not in shown
    assert SECRET not in shown


@pytest.mark.requirement("execution:keys:shown")
@pytest.mark.parametrize("give", [pickle.dumps, copy.copy, copy.deepcopy, vars])
def test_keys_cannot_be_written_or_copied(tmp_path: Path, give: Callable[[Keys], object]) -> None:
    with pytest.raises(TypeError):
        give(read_keys(written(tmp_path)))


@pytest.mark.requirement("execution:keys:shown")
def test_a_process_that_read_its_keys_has_them_in_no_environment_and_no_argument(tmp_path: Path) -> None:
    program = (
        "import sys; from execution.keys import read_keys; keys = read_keys(sys.argv[1]); "
        "print(keys, open('/proc/self/environ').read(), open('/proc/self/cmdline').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(written(tmp_path))],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert "Keys(...)" in done.stdout
    assert SECRET not in done.stdout + done.stderr
