"""The embedded table of terms, told anew from ontology files (`kg imports --against DIR` writes it).

Kind and parents of a term come from its own ontology's newest file (`cl-…`
for CL), else from another. The label is that of `ontology/imports/`, seen in the file if the file agrees;
our files lag behind some renamings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from loaders.catalog import describe
from loaders.obo.loader import is_own, read, wanted
from loaders.record import Record

COLUMNS = ("id", "kind", "name", "is_a", "part_of", "seen_in")


def table(files: Sequence[Path]) -> str:
    """The table of every wanted term, sorted, as `records/terms.tsv` holds it."""
    best: dict[str, tuple[tuple[bool, str], Record, Record]] = {}
    for record in read(files, describe("obo")):
        name, file = record.require("id"), record.file or ""
        place = record if is_own(name, file) else record.within("copied")
        if place.text("is_obsolete") == "true":
            continue
        dated = re.search(r"\d{4}.*", file)
        rank = (is_own(name, file), dated[0] if dated else "")
        if name not in best or rank > best[name][0]:
            best[name] = (rank, record, place)
    lines = ["\t".join(COLUMNS)]
    for name, (label, seen) in sorted(wanted().items()):
        kind, parents = "class", ["", ""]
        if name in best:
            _, record, place = best[name]
            kind = record.require("kind")
            parents = [" ".join(place.texts(relation)) for relation in ("is_a", "part_of")]
            if record.text("name") == label:
                seen = record.file or ""
        row = [name, kind, label, *parents, seen]
        lines.append("\t".join(row))
    return "\n".join(lines) + "\n"
