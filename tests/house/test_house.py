"""The rules of the house, each shown by breaking it once."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def ruff(source: str, name: str) -> str:
    done = subprocess.run(
        [BIN / "ruff", "check", "--select", "TID251", "--stdin-filename", name, "-"],
        input=source,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    return done.stdout


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [BIN / "lint-imports", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.requirement("house:wall-clock")
@pytest.mark.parametrize(
    "source",
    [
        "import time\nx = time.time()\n",
        "from time import time_ns\nx = time_ns()\n",
        "import time\ntime.sleep(1)\n",
        "from datetime import datetime\nx = datetime.now()\n",
        "import time as t\nx = t.perf_counter_ns()\n",
    ],
)
def test_the_wall_clock_outside_its_module_fails_the_check(source: str) -> None:
    assert "TID251" in ruff(source, "agents/somewhere.py")
    assert "TID251" not in ruff(source, "bus/clock.py")


@pytest.mark.requirement("house:randomness")
@pytest.mark.parametrize(
    "source",
    [
        "import random\n",
        "from uuid import uuid4\n",
        "import secrets\n",
        "import os\nx = os.urandom(3)\n",
        "import numpy as np\nx = np.random.default_rng()\n",
        "import pickle\n",
    ],
)
def test_randomness_and_pickle_outside_their_module_fail_the_check(source: str) -> None:
    assert "TID251" in ruff(source, "quant/somewhere.py")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the table is about, which passes the check as it is."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("agents", "bus", "execution", "feed", "outcry", "quant", "risk"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    clean = lint_imports(folder)
    assert clean.returncode == 0, clean.stdout
    return folder


@pytest.mark.requirement("house:imports")
@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("bus/fixed.py", "from feed import format\n"),
        ("quant/strategy.py", "from feed import format\n"),
        ("risk/limits.py", "from execution import gateway\n"),
        ("execution/paper.py", "from risk import limits\n"),
        ("agents/graph.py", "from risk import gate\n"),
    ],
)
def test_an_import_against_the_table_fails_the_check(module: str, line: str, tree: Path) -> None:
    target = tree / module
    before = target.read_text(encoding="utf-8")
    target.write_text(before + "\n" + line, encoding="utf-8")
    try:
        broken = lint_imports(tree)
    finally:
        target.write_text(before, encoding="utf-8")
    assert broken.returncode == 1, broken.stdout


@pytest.mark.requirement("house:lock")
def test_the_lock_pins_every_package_with_a_hash_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    packages = re.findall(r"^[a-z0-9][\w.-]*(?:\[[\w,-]+\])?==\S+", text, flags=re.MULTILINE)
    assert len(packages) > 40
    assert text.count("--hash=sha256:") >= len(packages)
    assert "://" not in text


@pytest.mark.requirement("house:no-machine")
def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there are no tracked files to read")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    machine = re.compile(r"(?<![\w.])/(?:work|farm|root|home/\w+)/")
    registry = re.compile(r"https?://[^\s\"']*(?:/simple/|/packages/|\.whl|\.tgz|\.tar\.gz|\.deb)")
    guilty: list[str] = []
    for name in listed:
        path = ROOT / name
        if path.is_file() and path.suffix in {".py", ".md", ".toml", ".lock", ".in", ".txt", ""}:
            text = path.read_text(encoding="utf-8", errors="replace")
            if path != Path(__file__).resolve() and (machine.search(text) or registry.search(text)):
                guilty.append(name)
    assert not guilty
