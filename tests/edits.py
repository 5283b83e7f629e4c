"""Changes of the real tables of a source, and what is reported with them: what a test plants."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from kg.evidence.reported import Reported, read
from kg.snapshot import line_of
from kg.terms import ROOT
from loaders import catalog

Edit = Callable[[Path], None]  # of the folder with a source's tables


def cell(table: str, column: str, value: str, **where: str) -> Edit:
    """Put `value` in a column of every row that has these cells; one row at least must have them."""

    def edit(folder: Path) -> None:
        path = folder / f"{table}.tsv"
        rows = path.read_text("utf-8").split("\n")
        head = next(row for row in rows if row and not row.startswith("#")).split("\t")
        changed = 0
        for number, row in enumerate(rows):
            cells = dict(zip(head, row.split("\t"), strict=False))
            if row.split("\t") != head and all(cells.get(name) == wanted for name, wanted in where.items()):
                rows[number] = "\t".join({**cells, column: value}.values())
                changed += 1
        assert changed, f"no row of {table} has {where}"
        path.write_text("\n".join(rows), "utf-8")

    return edit


def row(table: str, **cells: str) -> Edit:
    """One row more."""

    def edit(folder: Path) -> None:
        path = folder / f"{table}.tsv"
        text = path.read_text("utf-8").rstrip("\n")
        head = next(line for line in text.split("\n") if not line.startswith("#")).split("\t")
        assert set(cells) <= set(head)
        path.write_text(text + "\n" + "\t".join(cells.get(name, "") for name in head) + "\n", "utf-8")

    return edit


def with_edits(lines: Sequence[bytes], source: str, edits: Sequence[Edit], folder: Path) -> Reported:
    """What is reported when the tables of a source are edited so; `folder` is made for their copy."""
    shutil.copytree(ROOT / "loaders" / source / "records", folder)
    for edit in edits:
        edit(folder)
    part = catalog.load(source, sorted(folder.glob("*.tsv")))
    graph = f" {part.source.graph} .\n".encode()
    kept = [line for line in lines if not line.endswith(graph)]
    return read([*kept, *map(line_of, part.quads)])
