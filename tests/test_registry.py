"""The generator of registry-size input: studies like the real ones, each of which holds together."""

from __future__ import annotations

import gzip
import json
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from kg.errors import UsageError
from kg.parts import Account
from loaders import privacy
from loaders.catalog import load

SOME = 300


@pytest.fixture(scope="module")
def sample(shared: Path) -> registry.Sample:
    return registry.Sample.read(shared / "data" / "clinicaltrials")


@pytest.fixture(scope="module")
def drawn(sample: registry.Sample) -> list[dict[str, Any]]:
    return list(registry.studies(sample, 0, SOME))


@pytest.fixture(scope="module")
def loaded(
    drawn: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Account, list[int]]:
    return _loaded(drawn, tmp_path_factory.mktemp("drawn") / "drawn.jsonl")


def _loaded(studies: list[dict[str, Any]], path: Path) -> tuple[Account, list[int]]:
    """What became of the fields, and the number of quads by study, in the order of their number."""
    path.write_text("".join(json.dumps(study) + "\n" for study in studies), encoding="utf-8")
    part = load("clinicaltrials", [path])
    counts: Counter[str] = Counter()
    for quad in part.quads:
        found = re.search(r"NCT\d{8}", str(quad.subject))
        if found:
            counts[found[0]] += 1
    return part.account, [counts[nct] for nct in sorted(map(_nct, studies))]


def _nct(study: dict[str, Any]) -> str:
    if "protocolSection" in study:
        return str(study["protocolSection"]["identificationModule"]["nctId"])
    return str(study["NCTId"][0])


def texts(value: Any) -> Iterator[str]:
    """Every text in a value of JSON, but for the names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def _real(folder: Path) -> list[dict[str, Any]]:
    with gzip.open(folder / "classic-msc-1241.jsonl.gz", "rt", encoding="utf-8") as lines:
        classic = list({_nct(record): record for record in map(json.loads, lines)}.values())
    return [*classic, *json.loads((folder / "v2-studies-80.json").read_text(encoding="utf-8"))]


def test_every_study_loads_and_no_field_of_it_is_unread(loaded: tuple[Account, list[int]]) -> None:
    account, _ = loaded
    assert account.records == SOME
    assert not account.unread


def test_a_study_has_about_as_many_quads_as_a_real_one(
    loaded: tuple[Account, list[int]], shared: Path, tmp_path: Path
) -> None:
    """Within 15 % at the quartiles and the mean: as far as two samples of 300 skewed numbers agree."""
    real = _real(shared / "data" / "clinicaltrials")
    _, counts = _loaded(real[:: len(real) // SOME][:SOME], tmp_path / "real.jsonl")
    ours = statistics.quantiles(loaded[1]), statistics.mean(loaded[1])
    theirs = statistics.quantiles(counts), statistics.mean(counts)
    assert ours[0] == pytest.approx(theirs[0], rel=0.15)
    assert ours[1] == pytest.approx(theirs[1], rel=0.15)
    assert max(loaded[1]) > 4 * ours[1]  # few studies are very large, as in the registry


def test_a_record_is_about_as_long_as_a_real_one(drawn: list[dict[str, Any]], shared: Path) -> None:
    lengths, real = (
        [len(json.dumps(study)) for study in studies]
        for studies in (drawn, _real(shared / "data" / "clinicaltrials"))
    )
    assert statistics.mean(lengths) == pytest.approx(statistics.mean(real), rel=0.1)
    assert statistics.median(lengths) == pytest.approx(statistics.median(real), rel=0.1)


def test_both_forms_come_as_often_as_in_the_archive(sample: registry.Sample) -> None:
    many = list(registry.studies(sample, 3, 2000))
    share = sum("protocolSection" in study for study in many) / len(many)
    assert share == pytest.approx(80 / 1320, abs=0.015)


def test_numbers_are_unique_and_none_is_a_real_one(sample: registry.Sample) -> None:
    """Real ones have reached NCT07; also those that a text or an alias names are out of that range."""
    made = [study for file in (0, 1, 55) for study in registry.studies(sample, file, SOME)]
    assert len({_nct(study) for study in made}) == len(made)
    named = {nct for study in made for text in texts(study) for nct in re.findall(r"NCT\d{8}", text)}
    assert len(named) > len(made)
    assert {nct[3] for nct in named} == {"5", "9"}


def test_interventions_are_of_arms_that_are_there(drawn: list[dict[str, Any]]) -> None:
    checked = 0
    for study in drawn:
        if "protocolSection" in study:
            module = study["protocolSection"].get("armsInterventionsModule", {})
            arms = {arm["label"] for arm in module.get("armGroups", [])}
            named = {
                label for each in module.get("interventions", []) for label in each.get("armGroupLabels", [])
            }
        else:
            arms, named = set(study.get("ArmGroupLabel", [])), set(study.get("InterventionArmGroupLabel", []))
        assert named <= arms
        checked += len(named)
    assert checked > SOME


def test_results_come_with_their_date_and_groups(sample: registry.Sample) -> None:
    many = list(registry.studies(sample, 1, 1000))
    flat = [study for study in many if "OutcomeMeasureTitle" in study]
    dated = [study for study in many if "ResultsFirstPostDate" in study]
    assert flat == dated
    assert 15 < len(flat) < 60  # 3 % of the archive
    for study in flat:
        assert set(study.get("OutcomeMeasurementGroupId", [])) <= set(study["OutcomeGroupId"])
    nested = [study for study in many if study.get("hasResults")]
    assert nested
    assert all("resultsSection" in study for study in nested)


def test_statuses_fit_the_type_of_study(sample: registry.Sample) -> None:
    """ "Available" is said of expanded access only, and only that has no number of participants.

    The archived records of API v2 are of completed studies, none of them of expanded access.
    """
    many = [study for study in registry.studies(sample, 2, 1000) if "protocolSection" not in study]
    access = [study for study in many if study.get("StudyType") == ["Expanded Access"]]
    assert access
    assert not [study for study in access if "EnrollmentCount" in study]
    others = {study["OverallStatus"][0] for study in many if study not in access}
    assert not others & {"Available", "No longer available", "Temporarily not available"}


def test_texts_are_nearly_all_their_own_and_keep_their_length(
    sample: registry.Sample, drawn: list[dict[str, Any]]
) -> None:
    texts = [study["BriefSummary"][0] for study in drawn if "BriefSummary" in study]
    assert len(set(texts)) > 0.97 * len(texts)
    real = [donor.modules["topic"]["BriefSummary"][0] for donor in sample.donors[0]]
    assert statistics.mean(map(len, texts)) == pytest.approx(statistics.mean(map(len, real)), rel=0.1)


def test_nothing_that_the_loader_would_cut_out_of_a_text_is_in_a_study(drawn: list[dict[str, Any]]) -> None:
    numbers = {"OrgStudyId", "SecondaryId", "NCTIdAlias", "protocolSection"}
    for study in drawn:
        for text in texts({name: value for name, value in study.items() if name not in numbers}):
            assert privacy.clean(text) == text


def test_ids_that_may_be_names_are_other_letters(
    sample: registry.Sample, drawn: list[dict[str, Any]]
) -> None:
    real = {text for donor in sample.donors[0] for text in donor.modules["identity"].get("OrgStudyId", [])}
    ours = {study["OrgStudyId"][0] for study in drawn if "OrgStudyId" in study}
    assert len(ours) > 0.8 * SOME
    # "1" and "B" become one of a few others, and may be there.
    assert not {text for text in ours & real if len(text) > 3}


def test_the_same_seed_gives_the_same_bytes_and_each_file_can_be_written_alone(
    sample: registry.Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PER_FILE", 40)
    said: list[str] = []
    write = partial(registry.write, told=said.append, sample=sample)
    first = write(tmp_path / "a", 100)
    again = write(tmp_path / "b", 120, processes=2)
    assert [path.name for path in first] == [f"registry-0000{n}.jsonl.gz" for n in range(3)]
    assert first[0].read_bytes() == again[0].read_bytes()
    assert first[1].read_bytes() == again[1].read_bytes()
    assert first[2].read_bytes() != again[2].read_bytes()
    assert first[0].read_bytes() != first[1].read_bytes()
    other = write(tmp_path / "c", 40, seed=8)
    assert other[0].read_bytes() != first[0].read_bytes()

    # What is there stays; what is missing, cut short by a kill, or too few for now comes new.
    written = first[0].stat().st_mtime_ns
    first[1].unlink()
    assert write(tmp_path / "a", 120) == first
    assert first[0].stat().st_mtime_ns == written
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_a_number_of_studies_that_cannot_be_numbered_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="between 1 and 3,000,000"):
        registry.write(tmp_path, 3_000_001)
