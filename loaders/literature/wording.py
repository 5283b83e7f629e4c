"""What became of the ledger's wording: tables that a curator reviews.

The ledger of claims has free text in its columns; the claims have terms. Each table of `wording/` lists the
texts of one column with the terms they became, how many rows each, and a curator's note. Nothing is loaded
from them: they are read by people, and tests compare them with the tables in `records/`.

    python -m loaders.literature.wording LEDGER    writes them anew, notes kept; LEDGER holds claims_*.tsv
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from loaders import tables
from loaders.literature.verify import RECORDS, SOURCE

FOLDER = Path(__file__).resolve().parent / "wording"
# The table of each column of the ledger.
COLUMNS = {
    "predicates": "predicate",
    "subjects": "subject",
    "objects": "object",
    "populations": "population",
    "timepoints": "timepoint",
    "units": "unit",
    "statistics": "statistic",
}
HEADER = ("wording", "rows", "text", "terms", "note")
_CHINESE = re.compile("[\u3400-\u9fff\uf900-\ufaff]+")
_NUMBERS = ("integer", "decimal", "date", "boolean")

Row = Mapping[str, str]


def computed(ledger: Path, records: Path = RECORDS) -> dict[str, dict[str, tuple[int, int, str]]]:
    """For each table and wording: how many rows have it, how many of them are text claims, what they became.

    `ledger` is the folder of claims_*.tsv. The terms are written "stroma:enhances 4, stroma:valueText 2": how
    many rows became each, the most frequent first.
    """
    read = {name: list(_rows(records / f"{name}.tsv")) for name in ("claims", "statements", "observations")}
    observations = {f"observation:{row['id']}": row for row in read["observations"]}
    claims = {row["id"]: row for row in read["claims"]}
    statements: dict[str, list[Row]] = {}
    for row in read["statements"]:
        statements.setdefault(row["claim"], []).append(row)
    rows: dict[str, Counter[str]] = {name: Counter() for name in COLUMNS}
    text: dict[str, Counter[str]] = {name: Counter() for name in COLUMNS}
    became: dict[str, dict[str, Counter[str]]] = {name: {} for name in COLUMNS}
    for path in sorted(ledger.glob("claims_*.tsv")):
        for row in _rows(path):
            said = statements.get(row["claim_id"], [])
            for name, column in COLUMNS.items():
                if wording := _public(row, column):
                    rows[name][wording] += 1
                    text[name][wording] += not said
                    found = set(_terms(name, claims[row["claim_id"]], said, observations))
                    became[name].setdefault(wording, Counter()).update(found)
    return {
        name: {
            wording: (count, text[name][wording], _listed(became[name][wording]))
            for wording, count in sorted(rows[name].items())
        }
        for name in COLUMNS
    }


def _public(row: Row, column: str) -> str:
    """The ledger's text without what stays out of the repository: the documents' own wording, and persons."""
    if column == "object" and row["predicate"] == "has_authors":
        return ""
    return _CHINESE.sub("…", row[column])


def _terms(table: str, claim: Row, said: list[Row], observations: Mapping[str, Row]) -> Iterator[str]:
    """What one claim's statements are, as far as one column of the ledger can have led to it."""
    for row in said:
        observation = observations.get(row["subject"])
        number = row["datatype"] in _NUMBERS
        denied = "not " if row["polarity"] else ""
        if table == "predicates":
            yield denied + row["predicate"]
        elif table == "subjects":
            yield observation["group"].replace(" ", " + ") if observation else row["subject"]
        elif table == "objects":
            if observation:
                yield observation["measure"]
            elif row["datatype"] == "iri":
                yield row["object"]
        elif table == "statistics":
            if number:
                yield row["predicate"]
        elif table == "units":
            if observation and number:
                yield observation["unit"] or "no unit"
            elif row["predicate"] == "stroma:doseUnit":
                yield row["object"]
        elif table == "populations" and observation:
            yield observation["group"].replace(" ", " + ")
        elif table == "timepoints" and observation:
            if observation["months"]:
                yield f"month {observation['months']}"
            elif observation["label"]:
                yield f'"{observation["label"]}"'


def _listed(found: Counter[str]) -> str:
    return ", ".join(f"{term} {n}" for term, n in sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _rows(path: Path) -> Iterator[Row]:
    for row in tables.rows(path, source=SOURCE):
        yield row.fields


def written(name: str, folder: Path = FOLDER) -> dict[str, dict[str, str]]:
    """A table as it stands: wording -> its row."""
    return {row["wording"]: dict(row) for row in _rows(folder / f"{name}.tsv")}


def write(ledger: Path, folder: Path = FOLDER) -> None:
    """Write every table anew from the ledger and the records; a note stays with its wording."""
    for name, found in computed(ledger).items():
        path = folder / f"{name}.tsv"
        notes = {w: row["note"] for w, row in written(name, folder).items()} if path.exists() else {}
        lines = [
            f"# Stroma curators, CC-BY-4.0. What the ledger's wording of the {COLUMNS[name]} became:",
            "# rows that have it, rows kept as text, terms with the rows that became each; our note.",
            "# Written by python -m loaders.literature.wording, notes apart.",
            "\t".join(HEADER),
        ]
        for wording, (rows, text, terms) in found.items():
            lines.append("\t".join((wording, str(rows), str(text), terms, notes.get(wording, ""))))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
