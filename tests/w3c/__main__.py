"""`python -m tests.w3c [folder]`: run the W3C's suite and write docs/conformance.md and .ttl."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from kg.terms import ROOT
from tests.w3c.report import EARL, PAGE, earl, page
from tests.w3c.runs import run

SUITE = ROOT.parent / "shared" / "rdf-tests" / "sparql" / "sparql11"


def main(arguments: list[str]) -> int:
    """Write both reports; returns an exit code."""
    folder = Path(arguments[0]) if arguments else SUITE
    if not (folder / "manifest-all.ttl").is_file():
        print(f"{folder}: no copy of the W3C's suite (its folder sparql/sparql11) is here", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as work:
        outcomes = run(folder, Path(work))
    for file, text in ((PAGE, page(outcomes, folder)), (EARL, earl(outcomes, folder))):
        file.write_text(text, encoding="utf-8", newline="\n")
        print(file.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
