"""What a hostile agent tries with files, its own memory and programs."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from nacl.signing import SigningKey

from bus.ids import digest
from outcry.logs import is_secret
from tests.hostile.loot import KEY, MODEL_KEY, Attempt, Loot, attempt
from tests.hostile.memory import holds

__all__ = ["ATTEMPTS", "forged_public_key"]

ATTEMPTS: list[Attempt] = []


def forged_public_key(key: SigningKey) -> str:
    public = bytes(key.verify_key)
    return json.dumps({"key_id": digest(public, size=8), "public_key": public.hex()})


def _read(path: str | Path) -> str:
    return Path(path).read_bytes()[:40].hex()


for _name, _path in {
    "read the broker's keys": "{keys_file}",
    "read the order journal": "{run_dir}/journal.sqlite",
    "read the gate's journal": "{run_dir}/gate.sqlite",
    "read the resume key": "{run_dir}/resume.key",
    "read the gate's log": "{run_dir}/logs/risk.log",
    "read the gate's spec": "{run_dir}/specs/risk.json",
    "read the day to come": "{day}/bars_1m.parquet",
    "read the kernel's memory": "/proc/kcore",
    "read the disk": "/dev/vda",
    "read the users' passwords": "/etc/shadow",
}.items():

    def _try(loot: Loot, path: str = _path) -> str:
        return _read(path.format(run_dir=loot.run_dir, keys_file=loot.keys_file, day=loot.day))

    ATTEMPTS.append(Attempt(_name, _try))


@attempt("list the run's folder", ATTEMPTS)
def list_the_run(loot: Loot) -> str:
    return str(os.listdir(loot.run_dir))


@attempt("list the folder of the keys", ATTEMPTS)
def list_the_keys(loot: Loot) -> str:
    return str(os.listdir(Path(loot.keys_file).parent))


@attempt("insert an approval into the gate's journal", ATTEMPTS)
def insert_an_approval(loot: Loot) -> str:
    with closing(sqlite3.connect(f"{loot.run_dir}/gate.sqlite", isolation_level=None)) as db:
        db.execute("INSERT INTO kill_switch(engaged, reason, by, now_ns) VALUES (0, 'resumed', 'me', 0)")
    return "inserted"


@attempt("insert a used ticket into the order journal", ATTEMPTS)
def insert_a_ticket(loot: Loot) -> str:
    with closing(sqlite3.connect(f"{loot.run_dir}/journal.sqlite", isolation_level=None)) as db:
        db.execute("DELETE FROM tickets")
    return "deleted"


@attempt("overwrite the gate's public key", ATTEMPTS)
def overwrite_the_key(loot: Loot) -> str:
    Path(loot.run_dir, "gate.pub").write_text(forged_public_key(SigningKey.generate()))
    return "written"


@attempt("put another public key in its place", ATTEMPTS)
def replace_the_key(loot: Loot) -> str:
    draft = Path(loot.run_dir, ".gate.pub.mine")
    draft.write_text(forged_public_key(SigningKey.generate()))
    os.replace(draft, Path(loot.run_dir, "gate.pub"))
    return "replaced"


@attempt("remove the gate's public key", ATTEMPTS)
def remove_the_key(loot: Loot) -> str:
    os.unlink(f"{loot.run_dir}/gate.pub")
    return "removed"


@attempt("rename the order journal", ATTEMPTS)
def rename_the_journal(loot: Loot) -> str:
    os.rename(f"{loot.run_dir}/journal.sqlite", f"{loot.run_dir}/old.sqlite")
    return "renamed"


@attempt("cut the order journal off", ATTEMPTS)
def truncate_the_journal(loot: Loot) -> str:
    os.truncate(f"{loot.run_dir}/journal.sqlite", 0)
    return "cut off"


@attempt("link the keys into its own folder", ATTEMPTS)
def link_the_keys(loot: Loot) -> str:
    own = Path(loot.endpoints["strategy"].removeprefix("ipc://")).parent / "keys"
    os.link(loot.keys_file, own)
    return _read(own)


@attempt("point to the keys from its own folder", ATTEMPTS)
def point_to_the_keys(loot: Loot) -> str:
    own = Path(loot.endpoints["strategy"].removeprefix("ipc://")).parent / "keys"
    own.symlink_to(loot.keys_file)
    return _read(own)


@attempt("change the plan of what it may touch", ATTEMPTS)
def change_the_plan(loot: Loot) -> str:
    Path(loot.run_dir, "specs", "confine.json").write_text("{}")
    return "changed"


@attempt("change the package's code", ATTEMPTS)
def change_the_code(loot: Loot) -> str:
    del loot
    import risk.checks

    with open(str(risk.checks.__file__), "r+b"):
        return "open for writing"


@attempt("open the keys to everybody", ATTEMPTS)
def open_the_keys(loot: Loot) -> str:
    os.chmod(loot.keys_file, 0o666)
    return "opened"


@attempt("open the gate's journal to everybody", ATTEMPTS)
def open_the_journal(loot: Loot) -> str:
    os.chmod(f"{loot.run_dir}/gate.sqlite", 0o666)
    return "opened"


@attempt("let a program read the keys", ATTEMPTS)
def let_a_program_read(loot: Loot) -> str:
    done = subprocess.run(["/bin/cat", loot.keys_file], capture_output=True, check=False)
    if done.returncode:
        raise PermissionError(13, done.stderr.decode()[-60:])
    return done.stdout.decode()


@attempt("make a device of the disk", ATTEMPTS)
def make_a_device(loot: Loot) -> str:
    own = Path(loot.endpoints["strategy"].removeprefix("ipc://")).parent / "disk"
    os.mknod(own, 0o60600, os.stat("/dev/null").st_rdev)
    return "made"


@attempt("find a key in its environment", ATTEMPTS)
def key_in_the_environment(loot: Loot) -> str:
    del loot
    own = (
        ("OPENAI_",) if MODEL_KEY.search(os.environb.get(b"OPENAI_API_KEY", b"")) else ()
    )  # the trader's, for its model
    found = [name for name in os.environ if is_secret(name) and not name.startswith(own or ("\0",))]
    found += [name for name, value in os.environ.items() if KEY.search(os.fsencode(value))]
    if not found:
        raise LookupError("none")
    return str(found)


@attempt("find a key in its own memory", ATTEMPTS)
def key_in_memory(loot: Loot) -> str:
    del loot
    if not holds(os.getpid(), KEY):
        raise LookupError("none")
    return "found"


@attempt("find a descriptor that was left open", ATTEMPTS)
def left_descriptors(loot: Loot) -> str:
    """Look for open files of the run's, or pipes to the fork server."""
    del loot
    targets: list[str] = []
    for name in os.listdir("/proc/self/fd"):
        try:
            targets.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    mine = ("/dev/null", "socket:", "anon_inode:", "/proc/self", f"/proc/{os.getpid()}")
    found = [one for one in targets if not one.startswith(mine) and not one.endswith(("strategy.log", "trader.log"))]
    if not found:
        raise LookupError("none")
    return str(found)
