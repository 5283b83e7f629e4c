"""Run measurements by name; without arguments all but those with a target of their own in the Makefile."""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from bench import (
    building,
    figures,
    hostile,
    pages,
    peers,
    questions,
    reasoners,
    registry_size,
    scale,
    searching,
    soak,
    streaming,
)

RESULTS = Path(__file__).resolve().parent / "results"
Row = tuple[str, float | int | str, str]  # what, value, unit or remark

MEASUREMENTS: dict[str, Callable[[], Iterator[Row]]] = {
    "build": building.build_times,
    "loaders": building.loader_pace,
    "memory": building.memory_as_records_grow,
    "reasoners": reasoners.reasoners,
    "axioms": reasoners.axioms_that_rows_need,
    "questions": questions.question_times,
    "search": searching.search_times,
    "pages": pages.first_views,
}
# What is more than rows: the newest run of each, as JSON.
REPORTS: dict[str, Callable[[], dict[str, Any]]] = {
    "peers": lambda: peers.against_peers(print),
    "scale": scale.as_it_grows,
    "streaming": streaming.as_they_come,
    "hostile": hostile.hostile,
    "soak": soak.soak,
}
_OWN_TARGET = ("hostile", "soak")


def main(names: list[str]) -> int:
    """Run each named measurement; returns an exit code."""
    if names == ["figures"]:
        figures.write()
        return 0
    known = [*MEASUREMENTS, *REPORTS]
    unknown = [name for name in names if name not in known] if names[:1] != ["registry"] else []
    if unknown:
        print(
            f"no measurement is called {unknown[0]!r}; there are: {', '.join(known)}, registry",
            file=sys.stderr,
        )
        return 2
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024**3
    machine = f"{os.cpu_count()} cores of {_processor()}, {memory} GiB"
    RESULTS.mkdir(exist_ok=True)
    stamp = {"date": date.today().isoformat(), "commit": commit, "machine": machine}
    if names[:1] == ["registry"]:
        # Hours, at a size and in stages of its own, each with its own stamp.
        return registry_size.main(names[1:], RESULTS / "registry.json", stamp)
    for name in names or [each for each in known if each not in _OWN_TARGET]:
        if name in REPORTS:
            report = json.dumps({**stamp, **REPORTS[name]()}, indent=1, ensure_ascii=False)
            (RESULTS / f"{name}.json").write_text(report + "\n", encoding="utf-8")
            continue
        path = RESULTS / f"{name}.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["date", "commit", "machine", "what", "value", "unit"])
            for what, value, unit in MEASUREMENTS[name]():
                shown = f"{value:.3g}" if isinstance(value, float) else str(value)
                print(f"{name:8} {what:58} {shown:>10} {unit}", flush=True)
                writer.writerow([date.today().isoformat(), commit, machine, what, shown, unit])
    return 0


def _processor() -> str:
    """What Linux calls the processor; elsewhere its architecture."""
    with suppress(OSError):
        named = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
        if named is not None:
            return named[1]
    return platform.machine()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
