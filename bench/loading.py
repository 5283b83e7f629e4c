"""Who loads the records faster: processes of ours, or Apache Spark on the same two processors.

`python -m bench.loading ON VAR FILE...` loads files of the clinicaltrials source once, into partitions below
VAR, as the first step of a build does, and prints JSON: a process of its own for each time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kg import loading
from kg.report import Quiet
from loaders import catalog

SOURCE = "clinicaltrials"


def once(on: str, var: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Seconds until each of two who load has loaded a record, then of the whole, then to the end; quads.

    `var` has to be empty, so that nothing is kept of an earlier time.
    """
    info = catalog.describe(SOURCE)
    work = var / "work"
    work.mkdir(parents=True)
    began = time.perf_counter()
    with loading.workers(on) as them:
        first = next(catalog.divide(SOURCE, files))
        short = replace(first, units=first.units[:1])
        # More than there are who load, so that none of them waits for its first.
        for future in [them.submit(short) for _ in range(4)]:
            future.result()
        ready = time.perf_counter()
        source = loading.load(info, files, var, work, them, Quiet())
        done = time.perf_counter()
    return {
        "start, s": round(ready - began, 2),
        "load, s": round(done - ready, 2),
        "end, s": round(time.perf_counter() - done, 2),
        "quads": source.told.quads,
        "partitions": sum(1 for _ in (var / loading.FOLDER / SOURCE).glob("*.json")),
    }


if __name__ == "__main__":
    print(json.dumps(once(sys.argv[1], Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])))
