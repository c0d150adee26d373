"""What stages are held to: planned from their specs, put on by each for good, and told where it cannot be had."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from agents.orchestrator import OrchestratorSpec
from agents.spec import AnalystSpec, ModelSpec, StrategySpec, TraderSpec
from bus.endpoints import ipc_directory, tcp_directory
from bus.errors import ConfigError
from execution.spec import BrokerSpec, GatewaySpec
from feed.source import SourceSpec
from feed.spec import FeedSpec
from outcry import _landlock, _process, _seccomp
from outcry.confine import (
    FIRST_USER,
    Confined,
    Confinement,
    StageTerms,
    confine_stage,
    own_socket_folders,
    plan_confinement,
    read_confinement,
    share_with_users,
    tidy_databases,
    write_confinement,
)
from tests.outcry.in_child import in_child, without_landlock

LANDLOCKED = pytest.mark.skipif(_landlock.abi() < _landlock.ABI_SCOPE, reason="this kernel has no such Landlock")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give stages users of their own")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path: pytest's own may be too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="oo-") as name:
        yield Path(name)


def gateway(run_dir: Path, client: str, keys: str = "", kind: str = "paper") -> GatewaySpec:
    broker = msgspec.convert({"kind": kind, "keys_file": keys}, BrokerSpec)
    return GatewaySpec(client, "run", "replay", str(run_dir / f"{client}.sqlite"), "", 1, broker=broker)


def plan(run_dir: Path, specs: dict[str, msgspec.Struct], *, required: bool = False) -> Confinement:
    (run_dir / "specs").mkdir(parents=True, exist_ok=True)
    return plan_confinement(specs, {}, run_dir, None, required=required, users=0)


def held(terms: StageTerms, *, required: bool = False, group: int = 0) -> Confinement:
    """A plan of one stage, in which everything but what a test names is as on a desk."""
    reads, listed = common()
    return Confinement(required, {"stage": terms}, reads, listed, group)


def common() -> tuple[tuple[str, ...], tuple[str, ...]]:
    from outcry._reading import common_reading

    return common_reading([])


def confined(terms: StageTerms, action: Callable[[], object], *, group: int = 0) -> str:
    """Return what an action came to in a confined child."""

    def run() -> object:
        confine_stage("stage", held(terms, group=group))
        return action()

    return in_child(run)


# --- the plan ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("confine:plan")
def test_each_stage_may_touch_what_its_spec_names(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    alice, bob = tmp_path / "alice.toml", tmp_path / "bob.toml"
    stages = plan(
        run_dir,
        {
            "feed": FeedSpec(day=str(tmp_path / "day"), clock_file=str(run_dir / "feed.clock")),
            "execution": gateway(run_dir, "alice", str(alice), "alpaca"),
            "execution.bob": gateway(run_dir, "bob", str(bob), "fix"),
            "analyst": AnalystSpec(),
            "strategy": StrategySpec(),
            "trader": TraderSpec(model=ModelSpec(name="openai:any")),
            "orchestrator": OrchestratorSpec("run", "alice", 60, 0.0, str(run_dir)),
        },
    ).stages
    assert str(alice) in stages["execution"].reads
    assert str(bob) in stages["execution.bob"].reads
    assert not [name for name, terms in stages.items() if str(alice) in terms.reads and name != "execution"]
    assert [name for name, terms in stages.items() if str(tmp_path / "day") in terms.reads] == ["feed"]
    assert [name for name, terms in stages.items() if terms.folders] == ["execution", "execution.bob"]
    assert stages["orchestrator"].databases == (str(run_dir / "trace.sqlite"), str(run_dir / "graph.sqlite"))
    assert stages["trader"].connect is None
    assert stages["execution"].connect is None
    assert stages["analyst"].connect == stages["strategy"].connect == stages["feed"].connect == ()


@pytest.mark.requirement("confine:plan")
def test_a_live_feed_reaches_its_vendor_and_keeps_its_cache(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache.sqlite")
    feed = FeedSpec(day="", source=SourceSpec(kind="alpaca", symbols=("ACME",)), cache_file=cache)
    terms = plan(tmp_path / "run", {"feed": feed}).stages["feed"]
    assert terms.connect is None
    assert terms.databases == (cache,)
    assert f"{cache}.lock" in terms.files


@pytest.mark.requirement("confine:plan")
def test_on_tcp_a_stage_connects_to_the_desks_ports_and_serves_its_own(tmp_path: Path) -> None:
    directory = tcp_directory("127.0.0.1", 7400)
    specs: dict[str, msgspec.Struct] = {"strategy": StrategySpec(), "feed": FeedSpec(day="day")}
    (tmp_path / "specs").mkdir()
    stages = plan_confinement(specs, directory, tmp_path, None, required=False).stages
    ports = {name: int(where.rpartition(":")[2]) for name, where in directory.items()}
    assert stages["strategy"].connect == tuple(ports.values())
    assert stages["strategy"].bind == (ports["strategy"],)
    assert stages["feed"].bind == (ports["feed"], ports["feed.pub"])


@pytest.mark.requirement("confine:plan")
def test_keys_in_what_every_stage_must_read_are_refused(tmp_path: Path) -> None:
    keys = Path(sys.prefix) / "lib" / "keys.toml"
    with pytest.raises(ConfigError, match=r"keys\.toml lies in .* every stage"):
        plan(tmp_path, {"execution": gateway(tmp_path, "alice", str(keys), "alpaca")})


@pytest.mark.requirement("confine:plan")
def test_a_run_beside_the_packages_is_not_read_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    made = plan(tmp_path / "runs" / "one", {"strategy": StrategySpec()})
    assert str(tmp_path) in made.listed
    assert str(tmp_path) not in made.reads


@pytest.mark.requirement("confine:plan")
def test_the_plan_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    made = plan(tmp_path, {"strategy": StrategySpec()})
    write_confinement(tmp_path, made)
    assert read_confinement(tmp_path) == made
    (tmp_path / "specs" / "confine.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="start the run again"):
        read_confinement(tmp_path)


@pytest.mark.requirement("confine:sockets")
def test_each_stage_has_a_private_folder_for_its_sockets(short: Path) -> None:
    endpoints = own_socket_folders(ipc_directory(short, ("execution.bob",)), short)
    places = {name: Path(where.removeprefix("ipc://")) for name, where in endpoints.items()}
    assert len(set(places.values())) == len(places)
    assert places["feed"].parent == places["feed.pub"].parent
    assert len({place.parent for place in places.values()}) == len(places) - 1
    assert all(place.parent.stat().st_mode & 0o777 == 0o700 for place in places.values())


# --- in force ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("confine:stage")
@LANDLOCKED
def test_a_stage_writes_its_own_databases_and_files_and_makes_no_others(tmp_path: Path) -> None:
    database, file = tmp_path / "own.sqlite", tmp_path / "own.clock"
    (tmp_path / "other.sqlite").write_bytes(b"journal")
    terms = StageTerms("agent", files=(str(file),), databases=(str(database),))

    def work() -> str:
        with closing(sqlite3.connect(database, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("CREATE TABLE t(a)")
            db.execute("INSERT INTO t VALUES (7)")
        file.write_text("now", encoding="utf-8")
        refused: list[str] = []
        for action in (
            lambda: (tmp_path / "other.sqlite").read_bytes(),
            lambda: (tmp_path / "new").touch(),
            lambda: (tmp_path / "other.sqlite").unlink(),
            lambda: file.rename(tmp_path / "moved"),
            lambda: os.listdir(tmp_path),
        ):
            try:
                action()
            except PermissionError as error:
                refused.append(str(error.errno))
        return ",".join(refused)

    assert confined(terms, work) == ",".join(["13"] * 5)
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("SELECT a FROM t").fetchall() == [(7,)]


@pytest.mark.requirement("confine:stage")
@LANDLOCKED
def test_what_sqlite_left_beside_a_database_is_removed_at_the_end(tmp_path: Path) -> None:
    database = tmp_path / "own.sqlite"
    terms = StageTerms("agent", databases=(str(database),))

    def work() -> str:
        with closing(sqlite3.connect(database, isolation_level=None)) as db:
            db.execute("CREATE TABLE t(a)")
        return "done"

    assert confined(terms, work) == "done"
    assert (tmp_path / "own.sqlite-wal").exists()
    tidy_databases(held(terms))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.sqlite"]


@pytest.mark.requirement("confine:stage")
@LANDLOCKED
def test_ports_outside_the_plan_can_be_neither_reached_nor_served() -> None:
    with socket.socket() as allowed, socket.socket() as other:
        for one in (allowed, other):
            one.bind(("127.0.0.1", 0))
            one.listen()
        ports = allowed.getsockname()[1], other.getsockname()[1]

        def reach() -> str:
            told: list[str] = []
            for port in ports:
                with socket.socket() as line:
                    told.append(str(line.connect_ex(("127.0.0.1", port))))
            with socket.socket() as line:
                try:
                    line.bind(("127.0.0.1", 0))
                except PermissionError:
                    told.append("no port to serve")
            return ", ".join(told)

        assert confined(StageTerms("agent", connect=(ports[0],)), reach) == "0, 13, no port to serve"
        assert confined(StageTerms("agent", connect=None), reach) == "0, 0, no port to serve"


@pytest.mark.requirement("confine:stage")
@LANDLOCKED
def test_a_stage_can_signal_its_children_and_nobody_else() -> None:
    parent = os.getpid()

    def send() -> str:
        child = os.fork()
        if child == 0:
            signal.pause()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        try:
            os.kill(parent, 0)
        except PermissionError:
            return "its child only"
        return "its parent too"

    assert confined(StageTerms("agent"), send) == "its child only"


@pytest.mark.requirement("confine:stage")
def test_a_confined_process_has_no_privileges_no_core_and_no_inherited_descriptor(tmp_path: Path) -> None:
    inherited = os.open(tmp_path, os.O_RDONLY)

    def tell() -> str:
        import resource

        core = resource.getrlimit(resource.RLIMIT_CORE)
        try:
            os.fstat(inherited)
            left = True
        except OSError:
            left = False
        return f"{_process.has_privileges()} {core} {_process.is_dumpable()} {left} {os.umask(0):o}"

    assert confined(StageTerms("agent"), tell) == "False (0, 0) False False 77"
    os.close(inherited)


@pytest.mark.requirement("confine:stage")
@LANDLOCKED
def test_rules_hold_in_what_a_stage_starts(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "secret").write_text("secret", encoding="utf-8")

    def start() -> str:
        done = subprocess.run(["/bin/cat", str(tmp_path / "secret")], capture_output=True, text=True, check=False)
        return f"{done.returncode} {done.stdout}"

    assert confined(StageTerms("agent"), start) == "1 "


@pytest.mark.requirement("confine:keys")
def test_a_key_in_the_environment_of_a_stage_it_is_not_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if "KEY" in name or "TOKEN" in name or "SECRET" in name]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    told = confined(StageTerms("agent"), lambda: "in force")
    assert told.startswith("ConfigError: stage was given the environment variable OPENAI_API_KEY")
    assert "not-a-key" not in told
    assert confined(StageTerms("agent", variables=("OPENAI_",)), lambda: "in force") == "in force"


@pytest.mark.requirement("confine:keys")
def test_a_stage_that_the_plan_does_not_know_is_refused() -> None:
    assert in_child(lambda: confine_stage("other", held(StageTerms("agent")))).startswith("ConfigError: nothing says")


@pytest.mark.requirement("confine:stage")
@pytest.mark.skipif(not _seccomp.known_machine(), reason="the system calls of this machine are not known")
def test_a_stage_changes_no_mode_no_owner_and_no_limit_of_another(tmp_path: Path) -> None:
    import resource

    keys = tmp_path / "keys.toml"
    keys.touch(mode=0o600)
    parent = os.getpid()
    attempts: list[Callable[[], object]] = [
        lambda: keys.chmod(0o666),
        lambda: os.chown(keys, os.getuid(), os.getgid()),
        lambda: os.setxattr(keys, "user.mine", b""),
        lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)),
    ]

    def work() -> str:
        told: list[str] = []
        for action in attempts:
            try:
                action()
            except PermissionError as error:
                told.append(str(error.errno))
        own = resource.prlimit(0, resource.RLIMIT_NOFILE)
        return f"{' '.join(told)}; its own limit {own == resource.getrlimit(resource.RLIMIT_NOFILE)}"

    assert confined(StageTerms("agent"), work) == "1 1 1 1; its own limit True"
    assert keys.stat().st_mode & 0o777 == 0o600


# --- without the means ------------------------------------------------------------------------------------------------


def told_without_landlock(*, required: bool) -> str:
    def run() -> str:
        without_landlock()
        return confine_stage("stage", held(StageTerms("agent"), required=required)).words()

    return in_child(run)


@pytest.mark.requirement("confine:missing")
def test_without_landlock_paper_goes_on_and_says_so() -> None:
    told = told_without_landlock(required=False)
    assert told.startswith("confined: modes and limits (seccomp), closed to other processes; missing: ")
    assert "files and other processes are not closed to it" in told


@pytest.mark.requirement("confine:missing")
def test_without_landlock_real_money_is_refused() -> None:
    told = told_without_landlock(required=True)
    assert told.startswith("ConfigError: stage is not started: real money needs a confined stage")
    assert "outcry doctor" in told


@pytest.mark.requirement("confine:missing")
def test_without_landlock_a_desk_for_real_money_is_refused_before_it_starts() -> None:
    from outcry.confine import require_confinement

    def ask(mode: str) -> str:
        without_landlock()
        require_confinement(mode)
        return "allowed"

    assert in_child(lambda: ask("paper")) == "allowed"
    assert in_child(lambda: ask("live")).startswith("ConfigError: desk.mode = 'live' needs stages that cannot reach")


@pytest.mark.requirement("confine:missing")
def test_what_is_in_force_is_one_line() -> None:
    assert (
        Confined("s", 0, ports=False, signals=False, calls=False, hidden=False, user=0).words() == "confined: nothing"
    )
    told = Confined("s", 7, ports=True, signals=True, calls=True, hidden=True, user=5).words()
    assert "\n" not in told
    assert "Landlock 7" in told
    assert told.endswith("user 5")


# --- users ------------------------------------------------------------------------------------------------------------


def let_others_pass(folder: Path) -> None:
    """Let other users through the folders that pytest made for this test, wherever it runs."""
    for each in (folder, *folder.parents):
        if each.name.startswith(("test_", "popen-", "pytest-")):
            each.chmod(0o711)


@pytest.mark.requirement("confine:users")
@ROOT
def test_a_stage_with_a_user_of_its_own_has_no_way_back(tmp_path: Path) -> None:
    own, other = tmp_path / "own.sqlite", tmp_path / "journal.sqlite"
    other.touch(mode=0o600)
    let_others_pass(tmp_path)
    user = FIRST_USER + 3
    terms = StageTerms("agent", reads=(str(other),), databases=(str(own),), user=user)

    def work() -> str:
        told = [str(os.getresuid() == (user, user, user)), str(_process.has_privileges())]
        with closing(sqlite3.connect(own, isolation_level=None)) as db:
            db.execute("CREATE TABLE t(a)")
        for action in (lambda: os.setuid(0), lambda: other.read_bytes(), lambda: other.chmod(0o666)):
            try:
                action()
            except PermissionError as error:
                told.append(str(error.errno))
        return " ".join(told)

    assert confined(terms, work, group=FIRST_USER) == "True False 1 13 1"
    assert own.stat().st_uid == user


@pytest.mark.requirement("confine:users")
@ROOT
def test_the_kernel_still_ends_a_stage_whose_parent_dies_after_it_changed_its_user() -> None:
    def work() -> int:
        _process.set_parent_death_signal(signal.SIGKILL, os.getppid())
        confine_stage("stage", held(StageTerms("agent", user=FIRST_USER + 3)))
        return _process.parent_death_signal()

    assert in_child(work) == str(int(signal.SIGKILL))


@pytest.mark.requirement("confine:users")
@ROOT
def test_users_of_stages_connect_to_every_socket_and_take_no_place(short: Path, tmp_path: Path) -> None:
    endpoints = own_socket_folders(ipc_directory(short), short)
    places = {name: Path(where.removeprefix("ipc://")) for name, where in endpoints.items()}
    let_others_pass(tmp_path)
    (tmp_path / "specs").mkdir()
    own = str(tmp_path / "specs" / "strategy.json")
    Path(own).touch(mode=0o600)
    folder = str(places["strategy"].parent)
    terms = StageTerms("agent", reads=(own,), sockets=(folder,), user=FIRST_USER + 3)
    made = msgspec.structs.replace(held(terms), stages={"strategy": terms}, group=FIRST_USER)
    share_with_users(made, tmp_path, short)
    before = os.umask(0o007)
    try:
        with socket.socket(socket.AF_UNIX) as gate:
            gate.bind(str(places["risk"]))
            gate.listen()

            def work() -> str:
                without_landlock()
                confine_stage("strategy", made)
                told = [str(len(Path(own).read_bytes()))]
                with socket.socket(socket.AF_UNIX) as line:
                    told.append(str(line.connect_ex(str(places["risk"]))))
                with socket.socket(socket.AF_UNIX) as mine:
                    mine.bind(str(places["strategy"]))
                for action in (
                    places["risk"].unlink,
                    lambda: os.rename(folder, f"{folder}2"),
                    lambda: os.listdir(short),
                ):
                    try:
                        action()
                    except PermissionError as error:
                        told.append(str(error.errno))
                return " ".join(told)

            assert in_child(work) == "0 0 13 13 13"
    finally:
        os.umask(before)
    assert places["strategy"].stat().st_gid == FIRST_USER
    assert places["strategy"].stat().st_mode & 0o777 == 0o770
