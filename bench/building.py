"""The build: cold and unchanged; the pace of the registry loader; memory as records grow tenfold."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kg.build import build, files_of
from kg.settings import Settings
from kg.terms import ROOT
from loaders.catalog import load

RECORDS = ROOT.parent / "shared" / "data"
Row = tuple[str, float | int | str, str]


def build_times() -> Iterator[Row]:
    """Seconds of a build from nothing, of one with nothing to do, and of one over all real records."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(var=Path(folder))
        for what in ("embedded, cold", "embedded, unchanged"):
            started = time.perf_counter()
            snapshot = build(settings)
            yield what, time.perf_counter() - started, "s"
        yield "embedded", snapshot.quads, "quads"
        if RECORDS.is_dir():
            files, rest = files_of(RECORDS)
            started = time.perf_counter()
            snapshot = build(settings, sources=files, not_loaded=rest)
            yield "all real records", time.perf_counter() - started, "s"
            yield "all real records", snapshot.quads, "quads"


def loader_pace() -> Iterator[Row]:
    """Records a second of the ClinicalTrials.gov loader over the 1,257 archived records."""
    files = [
        RECORDS / "clinicaltrials" / "classic-msc-1241.jsonl.gz",
        *sorted((RECORDS / "clinicaltrials" / "classic-msc-ra").glob("*.json")),
    ]
    part = load("clinicaltrials", files)
    started = time.perf_counter()
    quads = sum(1 for _ in part.quads)
    seconds = time.perf_counter() - started
    yield "archived records", part.account.records, "records"
    yield "their quads", quads, "quads"
    yield "clinicaltrials loader", part.account.records / seconds, "records/s"


def memory_as_records_grow() -> Iterator[Row]:
    """Peak memory of a build over the archived records, and over ten copies of them under new identifiers."""
    archive = RECORDS / "clinicaltrials" / "classic-msc-1241.jsonl.gz"
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for copies in (1, 10):
            grown = Path(folder) / f"times-{copies}.jsonl.gz"
            _copies(archive, grown, copies)
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", _MEASURE, str(grown), str(Path(folder) / f"var{copies}")],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            peak, quads = json.loads(done.stdout.splitlines()[-1])
            peaks.append(peak)
            yield f"build over {copies} x 1,241 records", time.perf_counter() - started, "s"
            yield f"build over {copies} x 1,241 records", quads, "quads"
            yield f"build over {copies} x 1,241 records, peak memory", peak / 1024, "MiB"
    yield "peak memory at ten times the records", peaks[1] / peaks[0], "x"


# ru_maxrss is in KiB on Linux.
_MEASURE = """
import json, resource, sys
from pathlib import Path
from kg.build import build
from kg.settings import Settings
snapshot = build(Settings(var=Path(sys.argv[2])), sources={"clinicaltrials": [Path(sys.argv[1])]})
peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps([peak, snapshot.quads]))
"""


def _copies(source: Path, target: Path, copies: int) -> None:
    with gzip.open(target, "wt", encoding="utf-8") as out:
        for copy in range(copies):
            with gzip.open(source, "rt", encoding="utf-8") as lines:
                for line in lines:
                    record = json.loads(line)
                    if copy:
                        number = int(str(record["NCTId"][0])[3:])
                        record["NCTId"] = [f"NCT{(number + copy * 10_000_000) % 100_000_000:08d}"]
                    out.write(json.dumps(record) + "\n")
