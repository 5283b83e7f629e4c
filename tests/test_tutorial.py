"""docs/add-a-term.md works: its commands, run in order on a copy of the repository, add a term."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kg.terms import ROOT

PAGE = ROOT / "docs" / "add-a-term.md"
STEPS = {
    text.partition("\n")[0]: re.findall(r"^```bash\n(.*?)^```", text, re.S | re.M)
    for text in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]
}
COPIED = ("bench", "docs", "kg", "loaders", "ontology", "queries", "tests")
TERM = "stroma:AllogeneicADMSCTherapyRegimen"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What each command of each step printed, having run in the order of the page."""
    copy = tmp_path_factory.mktemp("copy")
    for room in COPIED:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(copy),
        "KG_VAR": str(copy / "var"),
    }
    return {
        step: [_run(command, copy, environment) for command in commands] for step, commands in STEPS.items()
    }


def _run(command: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command.replace(".venv/bin/", "")],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def _of(outputs: dict[str, list[str]], number: str) -> str:
    return "".join(text for step, texts in outputs.items() if step.startswith(number) for text in texts)


def test_every_step_of_the_page_has_commands_and_they_run(outputs: dict[str, list[str]]) -> None:
    with_commands = [step[0] for step, texts in outputs.items() if texts]
    assert with_commands == ["1", "2", "3", "4", "5", "6"]


def test_the_search_of_step_1_finds_neighbours_and_not_the_term_itself(outputs: dict[str, list[str]]) -> None:
    assert '"adipose MSC therapy regimen"' in _of(outputs, "1")
    assert '"allogeneic adipose MSC therapy regimen"' not in _of(outputs, "1")


def test_the_checks_of_step_3_and_6_are_green(outputs: dict[str, list[str]]) -> None:
    lines = (_of(outputs, "3") + _of(outputs, "6").rpartition("ok    syntax")[2]).splitlines()
    assert sum(line.startswith("ok ") for line in lines) >= 6
    assert not any(line.startswith("FAIL") for line in lines)


def test_the_mapping_and_the_rows_are_accepted(outputs: dict[str, list[str]]) -> None:
    assert "form, labels and verified ids hold" in _of(outputs, "4")
    assert re.search(r"\d+ passed", _of(outputs, "5"))
    assert "failed" not in _of(outputs, "5")


def test_the_graph_recognises_the_regimens_the_page_promises(outputs: dict[str, list[str]]) -> None:
    answer, _, why = _of(outputs, "6").partition("Inferred, graph:inferred/type")
    regimens = set(re.findall(r"^https://w3id\.org/stroma/regimen/([^,]+),", answer, re.M))
    # Cx611 at three doses (Alvaro-Gracia 2017) and the registered record of the same trial, at three.
    assert {name.partition("/")[0] for name in regimens} == {"alvaro-gracia-2017", "NCT01663116"}
    assert len(regimens) == 6
    assert "adipose tissue" in why
