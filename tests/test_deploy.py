"""The files of `deploy/`: the unit is valid and locked down, the container runs without privileges."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kg.settings import Settings
from kg.terms import ROOT

UNIT = (ROOT / "deploy" / "stroma.service").read_text(encoding="utf-8")
CONTAINER = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8")

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: apt-get install systemd)"
)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The unit with the program and the user of this machine, as `verify` looks for both."""
    text = UNIT.replace("/opt/stroma/.venv/bin/kg", str(ROOT / ".venv" / "bin" / "kg"))
    file = tmp_path / "stroma.service"
    file.write_text(re.sub(r"(?m)^(User|Group)=.*", r"\1=root", text), encoding="utf-8")
    return file


@needs_systemd
def test_the_unit_is_valid(here: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", str(here)], capture_output=True, text=True)
    assert (done.returncode, done.stderr.replace("\n", "")) == (0, "")


@needs_systemd
def test_the_unit_is_locked_down(here: Path) -> None:
    # 10 is a service without any lock; what is left to ours is the network it serves on.
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(here)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-600:]


@needs_systemd
def test_the_units_filter_lets_workers_lock_themselves() -> None:
    allowed = subprocess.run(
        ["systemd-analyze", "syscall-filter", "@system-service", "@process", "@resources", "@default"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (denied,) = re.findall(r"SystemCallFilter=~(.*)", UNIT)
    out = subprocess.run(
        ["systemd-analyze", "syscall-filter", *denied.split()], capture_output=True, text=True, check=True
    ).stdout
    for call in ("prctl", "setrlimit", "prlimit64", "clone3", "kill", "socketpair", "execve", "memfd_create"):
        assert re.search(rf"(?m)^    {call}$", allowed) or call in ("socketpair", "memfd_create", "kill")
        assert not re.search(rf"(?m)^    {call}$", out)


@pytest.mark.parametrize("text", [UNIT, CONTAINER], ids=["unit", "container"])
def test_what_is_set_is_a_setting(text: str) -> None:
    environ = dict(re.findall(r"\b(KG_[A-Z_]+|HOST|PORT)=(\S+)", text))
    assert {"KG_VAR", "KG_LOG", "HOST", "PORT"} <= set(environ)
    settings = Settings.from_environ(environ)
    assert settings.log == "-"
    known = {f"KG_{name.upper()}" for name in Settings.__dataclass_fields__} | {"HOST", "PORT"}
    assert set(environ) <= known


def test_the_container_copies_what_there_is_and_runs_as_nobody() -> None:
    copied = re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", CONTAINER)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
    stage = CONTAINER.rpartition("\nFROM ")[2]
    assert re.search(r"(?m)^USER [1-9]\d+:[1-9]\d+$", stage)
    assert "RUN" not in stage.partition("USER")[2]
    assert "--require-hashes" in CONTAINER
    assert re.findall(r"(?m)^FROM (\S+)", CONTAINER) == ["docker.io/library/python:3.12-slim-bookworm"] * 2
