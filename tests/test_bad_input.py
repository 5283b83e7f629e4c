"""Bad input names itself and publishes nothing: source, file, record, field, value, and what to do."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kg.build import build
from kg.errors import SourceError
from kg.settings import Settings
from kg.snapshot import Snapshot, current

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
