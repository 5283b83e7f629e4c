"""`python -m tests.suite`: every file of tests is run, by one of the processes; a failure is one of all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from kg.terms import ROOT
from tests.suite import FIRST

ONE = """
from pathlib import Path
import pytest

@pytest.fixture(scope="module", autouse=True)
def opened():
    with Path({log!r}).open("a") as log:
        log.write("begins {name}\\n")
    yield
    with Path({log!r}).open("a") as log:
        log.write("ends {name}\\n")

@pytest.mark.parametrize("number", range(3))
def test_it(number):
    assert number < {below}
"""


def suite(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    files = map(str, sorted(folder.glob("test_*.py")))
    command = [sys.executable, "-m", "tests.suite", *files, *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def write(folder: Path, files: int, below: int = 3) -> Path:
    for number in range(files):
        name = f"test_number_{number}.py"
        (folder / name).write_text(ONE.format(log=str(folder / "log"), name=name, below=below))
    return folder / "log"


def test_every_file_is_run_once_and_its_fixtures_are_ended(tmp_path: Path) -> None:
    log = write(tmp_path, 7)
    done = suite(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^21 passed in [\d.]+s \(\d+ processes\)$", done.stdout, re.M)
    names = [f"test_number_{number}.py" for number in range(7)]
    assert sorted(log.read_text().splitlines()) == sorted(
        [*(f"begins {name}" for name in names), *(f"ends {name}" for name in names)]
    )
    assert sorted(re.findall(r"^(test_\w+\.py) .* 3 passed$", done.stderr, re.M)) == names


def test_what_is_taken_first_is_there() -> None:
    assert [name for name in FIRST if not (Path(__file__).parent / name).is_file()] == []


def test_a_failure_of_one_process_is_one_of_the_suite_and_shown(tmp_path: Path) -> None:
    write(tmp_path, 2, below=2)
    done = suite(tmp_path)
    assert done.returncode == 1
    assert "2 failed, 4 passed in" in done.stdout
    assert done.stdout.count("AssertionError") >= 2


def test_with_x_no_process_takes_another_file_after_a_failure(tmp_path: Path) -> None:
    log = write(tmp_path, 9, below=0)
    done = suite(tmp_path, "-x")
    assert done.returncode != 0
    assert log.read_text().count("begins") < 9


def test_files_without_a_test_that_is_asked_for_are_told_apart_from_success(tmp_path: Path) -> None:
    write(tmp_path, 2)
    done = suite(tmp_path, "-k", "nothing_of_this_name")
    assert done.returncode == 5
    assert "no tests ran in" in done.stdout


def test_files_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, 1)
    command = [sys.executable, "-m", "tests.suite", str(tmp_path), "--import-mode=importlib"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed in" in done.stdout
