"""Bad input names itself and publishes nothing: source, file, record, field, value, and what to do."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kg.build import build
from kg.errors import SourceError
from kg.settings import Settings
from kg.snapshot import Snapshot, current
from kg.terms import ROOT
from loaders.literature.verify import RECORDS

# A study as API v2 gives it, cut down to what a trial must have.
STUDY: dict[str, Any] = {
    "protocolSection": {
        "identificationModule": {
            "nctId": "NCT09999901",
            "briefTitle": "Umbilical cord MSCs in rheumatoid arthritis",
            "organization": {"fullName": "A University Hospital", "class": "OTHER"},
        },
        "statusModule": {
            "overallStatus": "RECRUITING",
            "statusVerifiedDate": "2026-01",
            "startDateStruct": {"date": "2025-03-01", "type": "ACTUAL"},
        },
        "sponsorCollaboratorsModule": {"leadSponsor": {"name": "A University Hospital", "class": "OTHER"}},
        "conditionsModule": {"conditions": ["Rheumatoid Arthritis"]},
        "designModule": {"studyType": "INTERVENTIONAL", "phases": ["PHASE1"]},
    }
}


def _study(path: str, value: object) -> dict[str, Any]:
    study = copy.deepcopy(STUDY)
    *steps, last = path.split(".")
    place = study["protocolSection"]
    for step in steps:
        place = place[step]
    place[last] = value
    return study


def _json(*studies: dict[str, Any]) -> bytes:
    return json.dumps({"studies": studies}).encode()


def _ictrp(body: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Trials_downloaded_from_ICTRP>{body}'.encode()


TRIAL = "<Trial><TrialID>ChiCTR2600000001</TrialID><public_title>MSCs in RA</public_title>"

# what is wrong -> (source, file name, content, what the message must say)
CASES: dict[str, tuple[str, str, bytes, list[str]]] = {
    "truncated JSON": ("clinicaltrials", "cut.json", _json(STUDY)[:-40], ["cut.json"]),
    "truncated XML": ("ictrp", "cut.xml", _ictrp(TRIAL), ["cut.xml"]),
    "wrong encoding, JSON": (
        "clinicaltrials",
        "latin.json",
        _json(_study("identificationModule.briefTitle", "Sjögren")).replace(b"\\u00f6", b"\xf6"),
        ["latin.json", "UTF-8"],
    ),
    "unknown phase": (
        "clinicaltrials",
        "phase.json",
        _json(_study("designModule.phases", ["PHASE9"])),
        ["phase.json", "NCT09999901", "phases", "PHASE9"],
    ),
    "unknown status": (
        "clinicaltrials",
        "status.json",
        _json(_study("statusModule.overallStatus", "PAUSED_FOR_LUNCH")),
        ["status.json", "NCT09999901", "overallStatus", "PAUSED_FOR_LUNCH"],
    ),
    "31 February": (
        "clinicaltrials",
        "date.json",
        _json(_study("statusModule.startDateStruct", {"date": "2025-02-31", "type": "ACTUAL"})),
        ["date.json", "NCT09999901", "startDateStruct.date", "2025-02-31", "does not exist"],
    ),
    "duplicate id that differs": (
        "clinicaltrials",
        "twice.json",
        _json(STUDY, _study("identificationModule.briefTitle", "Another title")),
        ["twice.json", "NCT09999901"],
    ),
    "a field of 100 MB": (
        "clinicaltrials",
        "huge.json",
        _json(_study("identificationModule.briefTitle", "x" * 100_000_000)),
        ["huge.json", "briefTitle"],
    ),
    "a term without a label": (
        "obo",
        "cl.obo",
        b"format-version: 1.2\nontology: cl\n\n[Term]\nid: CL:0000134\n",
        ["cl.obo", "CL:0000134", "name"],
    ),
}


@pytest.fixture
def served(embedded: Snapshot, tmp_path: Path) -> Settings:
    """Settings of a folder in which the embedded graph is published."""
    shutil.copytree(embedded.folder.parent.parent, tmp_path / "var", symlinks=True)
    return Settings(var=tmp_path / "var")


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named_and_nothing_is_published(case: str, served: Settings, tmp_path: Path) -> None:
    source, name, content, said = CASES[case]
    (tmp_path / name).write_bytes(content)
    before = (served.var / "current").resolve()
    with pytest.raises(SourceError) as refusal:
        build(served, sources={source: [tmp_path / name]})
    message = str(refusal.value)
    assert len(message) < 1000, "a message is for a person"
    for part in [f"source {source}", *said]:
        assert part in message, f"{part!r} is not in: {message}"
    assert (served.var / "current").resolve() == before


def test_the_good_study_is_published(served: Settings, tmp_path: Path) -> None:
    # Else the cases above could fail for another reason.
    (tmp_path / "good.json").write_bytes(_json(STUDY))
    snapshot = build(served, sources={"clinicaltrials": [tmp_path / "good.json"]})
    assert (now := current(served.var)) is not None
    assert now.hash == snapshot.hash


# ------------------------------------------------------------------ claims of the documents

OBSERVATION = "001-64-yang2025-msc-PrednisoneUse-0m"
# what is wrong -> table, row (its key, words of it), column, what is written there, words of the message
CLAIMS: dict[str, tuple[str, tuple[str, str], str, str, list[str]]] = {
    "a value that is not a number": (
        "statements", ("B157", "percentage"), "object", "eighty-five",
        ["file statements.tsv:", "B157", "field statements.object", "'eighty-five'", "decimal number"],
    ),
    "a value that is not a number for its unit": (
        "statements", ("A132", "rangeLow"), "object", "2.5",
        ["file statements.tsv:", "A132", "'2.5'", "is no number of {doses}", "mend the unit"],
    ),
    "a percent over 100": (
        "statements", ("B157", "percentage"), "object", "855",
        ["file statements.tsv:", "B157", "'855'", "between 0 and 100", "Check it in the document"],
    ),
    "n over N": (
        "statements", ("B156", "numberAffected"), "object", "590",
        ["file statements.tsv:", "B156", "590", "n is over N: 69", "Check both numbers"],
    ),
    "an unknown arm": (
        "observations", (OBSERVATION, ""), "group", "group:yang2025-placebo",
        ["file observations.tsv:", OBSERVATION, "field observations.group", "'group:yang2025-placebo'",
         "Describe the group in entities.tsv"],
    ),
    "an unknown timepoint": (
        "observations", (OBSERVATION, ""), "months", "6",
        ["file observations.tsv:", OBSERVATION, "field observations.months", "no time of timepoints.tsv",
         "add the time to timepoints.tsv"],
    ),
    "a span that moved": (
        "claims", ("A019", ""), "start", "131",
        ["file claims.tsv:", "A019", "field claims.start", "the span moved", "kg verify checks them"],
    ),
    "a claim of a document nobody knows": (
        "claims", ("B258", ""), "document", "003",
        ["file claims.tsv:", "B258", "field claims.document", "'003'", "there are 000, 001, 002"],
    ),
    "a claim that asserts nothing": (
        "statements", ("A011", ""), "claim", "A012",
        ["file claims.tsv:", "A011", "field claims.reason", "asserts nothing and gives no reason",
         "say why it is kept as text"],
    ),
    "a statement of an observation nobody knows": (
        "statements", ("B157", "percentage"), "subject", "observation:nowhere",
        ["file statements.tsv:", "B157", "'observation:nowhere'", "Add it to observations.tsv"],
    ),
}  # fmt: skip


def spoilt(folder: Path, table: str, row: tuple[str, str], column: str, value: str) -> list[Path]:
    """A copy of the tables in which one field of one row is another; its files."""
    shutil.copytree(RECORDS, folder)
    path = folder / f"{table}.tsv"
    lines = path.read_text(encoding="utf-8").split("\n")
    top = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    columns, (key, words) = lines[top].split("\t"), row
    at = next(n for n, line in enumerate(lines) if n > top and line.split("\t")[0] == key and words in line)
    fields = lines[at].split("\t")
    fields[columns.index(column)] = value
    lines[at] = "\t".join(fields)
    path.write_text("\n".join(lines), encoding="utf-8")
    return sorted(folder.glob("*.tsv"))


@pytest.mark.parametrize("case", CLAIMS)
def test_a_bad_claim_is_named_and_nothing_is_published(case: str, served: Settings, tmp_path: Path) -> None:
    table, row, column, value, said = CLAIMS[case]
    files = spoilt(tmp_path / "records", table, row, column, value)
    before = (served.var / "current").resolve()
    with pytest.raises(SourceError) as refusal:
        build(served, sources={"literature": files})
    for part in ["source literature", *said]:
        assert part in str(refusal.value)
    assert (served.var / "current").resolve() == before


def test_the_command_line_says_it_too_and_ends_with_the_code_of_a_source(
    served: Settings, tmp_path: Path
) -> None:
    table, row, column, value, said = CLAIMS["n over N"]
    files = spoilt(tmp_path / "records", table, row, column, value)
    before = (served.var / "current").resolve()
    options = [option for file in files for option in ("--source", f"literature={file}")]
    ended = subprocess.run(
        [sys.executable, "-m", "kg", "build", *options],
        capture_output=True, text=True, cwd=ROOT, env={"PATH": "", "KG_VAR": str(served.var)},
    )  # fmt: skip
    assert ended.returncode == SourceError.exit_code
    for part in said:
        assert part in ended.stderr.replace("\n", " ")
    assert "Traceback" not in ended.stderr
    assert (served.var / "current").resolve() == before


def test_the_tables_as_they_are_build_beside_themselves(served: Settings) -> None:
    # Else the cases above could fail for another reason.
    snapshot = build(served, sources={"literature": sorted(RECORDS.glob("*.tsv"))})
    assert (now := current(served.var)) is not None
    assert now.hash == snapshot.hash
