"""The whole suite, in a process for each processor: each takes the next file of tests that nobody has taken.

    python -m tests.suite [options and files, as pytest takes them]

Every file's seconds are told as it ends, what the processes' pytest has to say at the end. pytest-xdist would
do, but its workers have threads, and what has threads must not fork, as our builds do (`kg/workers.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest

from kg.terms import ROOT

_TAKE = "--take"  # followed by a folder: be one of the processes
_COUNTS = "counts.json"
_NOTHING = int(pytest.ExitCode.NO_TESTS_COLLECTED)
# These take longest, the longest first: nobody should begin one of them when the others are at their end.
FIRST = (
    "test_loading.py",
    "test_browser.py",
    "test_remote.py",
    "test_build.py",
    "test_evaluation.py",
    "test_three_engines.py",
    "test_findings.py",
    "test_cli.py",
    "test_entailments.py",
    "test_federation.py",
    "test_docs.py",
    "test_engine.py",
    "test_release.py",
    "test_bad_input.py",
)


class Taking:
    """A plugin of pytest: runs those files of a session that no other process has taken."""

    def __init__(self, folder: Path, told: int) -> None:
        self._folder, self._told = folder, told
        self._outcomes: Counter[str] = Counter()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """As pytest's own, but that which item is next is known only when its file has been taken."""
        if session.testsfailed or session.config.option.collectonly:
            return None  # pytest's own loop says so
        files = self._files(session.items)
        items = next(files, [])
        while items:
            began, before = time.perf_counter(), self._outcomes.copy()
            following: list[pytest.Item] = []
            for at, item in enumerate(items):
                if item is items[-1]:
                    following = next(files, [])
                after = items[at + 1 :] or following
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=after[0] if after else None)
                if session.shouldfail or session.shouldstop:
                    (self._folder / "stop").touch()
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
                if session.shouldstop:
                    raise session.Interrupted(session.shouldstop)
            outcomes = ", ".join(f"{n} {name}" for name, n in sorted((self._outcomes - before).items()))
            line = f"{items[0].path.name:<34} {time.perf_counter() - began:6.1f} s  {outcomes}\n"
            os.write(self._told, line.encode())
            items = following
        return True

    def _files(self, items: Sequence[pytest.Item]) -> Iterator[list[pytest.Item]]:
        files = [(path, list(those)) for path, those in groupby(items, lambda item: item.path)]
        places = {name: place for place, name in enumerate(FIRST)}
        for path, those in sorted(files, key=lambda file: places.get(file[0].name, len(FIRST))):
            if (self._folder / "stop").exists():
                return
            try:
                (self._folder / str(path).replace(os.sep, "%")).touch(exist_ok=False)
            except FileExistsError:
                continue
            yield those

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self._outcomes["error" if report.failed and report.when != "call" else report.outcome] += 1

    def pytest_sessionfinish(self) -> None:
        (self._folder / f"{os.getpid()}.{_COUNTS}").write_text(json.dumps(self._outcomes))


def main(arguments: Sequence[str]) -> int:
    """Run the suite; the exit code is 0 where every process's pytest ended well."""
    if arguments[:1] == [_TAKE]:
        plugin = Taking(Path(arguments[1]), os.dup(sys.stderr.fileno()))
        return int(pytest.main(list(arguments[2:]), plugins=[plugin]))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        running = []
        for number in range(os.cpu_count() or 1):
            with (folder / f"{number}.log").open("wb") as log:
                command = [sys.executable, "-m", "tests.suite", _TAKE, name, *arguments]
                running.append(subprocess.Popen(command, cwd=ROOT, stdout=log))
        try:
            codes = [each.wait() for each in running]
        except KeyboardInterrupt:  # theirs, too: they tell what they have
            codes = [each.wait() for each in running]
        for number in range(len(running)):
            print((folder / f"{number}.log").read_text(encoding="utf-8", errors="replace"), flush=True)
        outcomes: Counter[str] = Counter()
        for counts in folder.glob(f"*.{_COUNTS}"):
            outcomes.update(json.loads(counts.read_text()))
    said = ", ".join(f"{outcomes[each]} {each}" for each in sorted(outcomes))
    print(f"{said or 'no tests ran'} in {time.perf_counter() - began:.2f}s ({len(running)} processes)")
    # One that found every file taken has run nothing, which is no failure where another has.
    ran = [code for code in codes if code != _NOTHING]
    return max(map(abs, ran), default=_NOTHING)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
