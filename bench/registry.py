"""Input as large as the registry: studies whose fields are drawn anew from the real records, by a seed.

The real registry (over half a million studies) is not here; 1,240 archived records of the classic form and
80 of API v2 are. A generated study is put together of modules, each whole out of one real record of the same
form, the forms as often as in the archive (94 to 6):

  arms        design, phase, arms, interventions, outcomes, and the results section with its groups
  status      status, dates, enrolment: of a record of the same study type; of the arms' own record where
              that has results, so that results, dates and numbers of participants fit
  topic       titles, summary, description, conditions, keywords
  eligibility, places (sponsors, locations), references, oversight, identity (other numbers, acronym)

NCT numbers are new, unique, beyond any that the registry has given (NCT5...), and as sparse as real ones.
Other identifiers and PubMed ids get other letters and digits, the same for the same one within each run of
as many studies as there are real records: so studies share as many as in the archive. In each longer text
one plain word is exchanged for one of another text: nearly every text is then its own, as in the registry.
The same seed gives the same bytes (of one version of zlib) whatever the number of studies, except for the
last file; each file has a seed of its own and can be written alone.

Kept: sizes of records and of their parts and the skew of both; phases, statuses, designs, dates; lengths and
words of texts; results in 3 %. Lost: correlations between modules (a title need not fit the arms); records
registered twice; new vocabulary (conditions, sponsors, places, interventions and words are those of the
archive, each named 420 times as often at 560,000 studies: what studies share has more studies than in the
real registry, dictionaries and search indexes are smaller); and the registry's breadth: every study is about
mesenchymal stromal cells or from the one other set. People are not in it: what the loader would cut out of
the graph is cut before anything is drawn, and citations, which name authors, are other text.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import multiprocessing
import random
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kg.errors import UsageError
from kg.terms import ROOT
from loaders import privacy
from loaders.clinicaltrials.protocol import people
from loaders.record import Record

REAL = ROOT.parent / "shared" / "data" / "clinicaltrials"
STUDIES = 560_000  # of the registry in 2025
EXPECTED = 70_000_000  # quads, the most that these were expected to give
PER_FILE = 10_000
SEED = 7

# One registration in so many numbers: the real ones have reached NCT07 million for 0.56 million studies.
_SPREAD = 13
_FIRST, _OTHER_FIRST, _MOST = 50_000_000, 90_000_000, 3_000_000
_PUBMED_FIRST = 50_000_000  # PubMed has reached 41 million

# Whose record a field is drawn with: the longest of these that a field's name begins with; else "arms".
_MODULES = {
    "identity": "NCTId OrgStudyId SecondaryId Acronym Rank",
    "topic": "BriefTitle OfficialTitle BriefSummary DetailedDescription Keyword Condition",
    "status": "OverallStatus LastKnownStatus WhyStopped Status StartDate PrimaryCompletion Completion "
    "StudyFirst LastUpdate Enrollment VersionHolder DelayedPosting HasExpandedAccess ExpandedAccess "
    "Results Disp Submission Unposted",
    "eligibility": "EligibilityCriteria Gender MinimumAge MaximumAge StdAge HealthyVolunteers",
    "places": "LeadSponsor Collaborator Location RemovedCountry OrgClass OrgFullName ResponsibleParty "
    "OverallOfficial CentralContact PointOfContact",
    "references": "Reference Retraction SeeAlso",
    "oversight": "Oversight IsFDA IsUSExport IsUnapproved IsPPSD FDAAA IPD AvailIPD LargeDoc",
}
_MODULES_V2 = {
    "identity": "identificationModule",
    "topic": "identificationModule.briefTitle identificationModule.officialTitle descriptionModule "
    "conditionsModule conditionBrowseModule",
    "status": "statusModule designModule.enrollmentInfo miscInfoModule",
    "eligibility": "eligibilityModule",
    "arms": "eligibilityModule.studyPopulation eligibilityModule.samplingMethod",
    "places": "sponsorCollaboratorsModule contactsLocationsModule identificationModule.organization "
    "moreInfoModule.pointOfContact",
    "references": "referencesModule",
    "oversight": "oversightModule ipdSharingStatementModule documentSection",
}
_NAMES = ("identity", "topic", "status", "eligibility", "places", "references", "oversight", "arms")
_SECTIONS = (
    "protocolSection",
    "derivedSection",
    "resultsSection",
)  # of API v2: their modules are looked into

_IDENTIFIERS = {"OrgStudyId", "SecondaryId", "NCTIdAlias", "nctIdAliases", "ExpandedAccessNCTId"}
_PUBMED = {"ReferencePMID", "RetractionPMID", "pmid"}
_OUTCOMES = {"PrimaryOutcomeMeasure", "SecondaryOutcomeMeasure", "OtherOutcomeMeasure", "measure"}
_PROSE = _OUTCOMES | {
    "BriefTitle", "OfficialTitle", "BriefSummary", "DetailedDescription", "EligibilityCriteria",
    "StudyPopulation", "WhyStopped", "ArmGroupDescription", "InterventionDescription", "FlowGroupDescription",
    "PrimaryOutcomeDescription", "SecondaryOutcomeDescription", "OtherOutcomeDescription",
    "OutcomeMeasureDescription", "OutcomeMeasurePopulationDescription", "OutcomeGroupDescription",
    "BaselineGroupDescription", "EventGroupDescription",
    "briefTitle", "officialTitle", "briefSummary", "detailedDescription", "eligibilityCriteria",
    "studyPopulation", "whyStopped", "description", "populationDescription",
}  # fmt: skip
_SHORT = (
    40  # characters; shorter texts ("Adverse events", "Placebo") come in many studies of the registry too
)
_WORD = re.compile(r"(?<![^\s(])[a-z]{4,}(?![^\s,.;:)])")
_NCT = re.compile(r"NCT\d{8}")
_WITHHELD = "Name withheld"
_FILLER = "The words of a citation, which names the authors of an article, are not drawn. "

T = TypeVar("T")
Fields = dict[str, Any]  # by name, of API v2 by section, module and name: "protocolSection.statusModule.x"


@dataclass(frozen=True)
class Donor:
    """A real record by modules, without people; `kind` is its study type, `results` whether it has any."""

    modules: Mapping[str, Fields]
    kind: str
    results: bool


@dataclass(frozen=True)
class Sample:
    """The real records of both forms, and the plain words of their texts, each as often as it is there."""

    donors: tuple[Sequence[Donor], Sequence[Donor]]  # classic form, API v2
    without_results: tuple[Mapping[str, Sequence[Donor]], Mapping[str, Sequence[Donor]]]  # by study type
    words: Sequence[str]
    sha256: str  # of the files

    @classmethod
    def read(cls, folder: Path = REAL) -> Sample:
        """Read the archived records of a folder."""
        classic, v2 = (folder / name for name in ("classic-msc-1241.jsonl.gz", "v2-studies-80.json"))
        with gzip.open(classic, "rt", encoding="utf-8") as lines:
            # One record stands there twice.
            flat = {record["NCTId"][0]: record for record in map(json.loads, lines)}
        digest = hashlib.sha256(classic.read_bytes() + v2.read_bytes()).hexdigest()
        forms: list[list[Donor]] = []
        words: list[str] = []
        for records in (list(flat.values()), json.loads(v2.read_bytes())):
            read = [_fields(_without_people(record)) for record in records]
            forms.append([_donor(fields) for fields in read])
            words += [word for fields in read for text in _prose(fields) for word in _WORD.findall(text)]
        by_kind = [
            {kind: [each for each in donors if each.kind == kind and not each.results] for kind in kinds}
            for donors in forms
            for kinds in [{donor.kind for donor in donors}]
        ]
        return cls((forms[0], forms[1]), (by_kind[0], by_kind[1]), words, digest)

    @property
    def records(self) -> int:
        """How many real records there are."""
        return len(self.donors[0]) + len(self.donors[1])


# ------------------------------------------------------------------------------------------- a study


def studies(sample: Sample, file: int, count: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """The first `count` studies of one file, in the form in which the registry gives them."""
    rng = random.Random(f"{seed}/{file}")
    for number in range(file * PER_FILE, file * PER_FILE + count):
        yield _study(sample, number, rng, seed)


def _study(sample: Sample, number: int, rng: random.Random, seed: int) -> dict[str, Any]:
    v2 = rng.random() >= len(sample.donors[0]) / sample.records
    donors = sample.donors[v2]
    drawn = {name: _one(donors, rng) for name in _NAMES}
    arms = drawn["arms"]
    drawn["status"] = arms if arms.results else _one(sample.without_results[v2][arms.kind] or [arms], rng)
    fresh = _Fresh(sample, rng, f"{seed}/{number // sample.records}", keep_outcomes=arms.results)
    fields = {
        name: fresh.value(name.rpartition(".")[2], value)
        for module in _NAMES
        for name, value in drawn[module].modules.get(module, {}).items()
    }
    nct = f"NCT{_FIRST + number * _SPREAD + int(rng.random() * _SPREAD):08d}"
    if v2:
        fields["protocolSection.identificationModule.nctId"] = nct
    else:
        fields["NCTId"] = [nct]
    return _nested(fields) if v2 else fields


def _one(of: Sequence[T], rng: random.Random) -> T:
    return of[int(rng.random() * len(of))]


def _another(letter: str, number: int) -> str:
    for kind in (string.digits, string.ascii_uppercase, string.ascii_lowercase):
        if letter in kind:
            return kind[number % len(kind)]
    return letter


class _Fresh:
    """What of a value becomes new in one study: identifiers, PubMed ids, a word of each text.

    The same text becomes the same within a study, so that what is joined by its words stays joined.
    """

    def __init__(self, sample: Sample, rng: random.Random, block: str, *, keep_outcomes: bool) -> None:
        self._words, self._rng, self._block = sample.words, rng, block
        # Reported outcomes are known by the words of the planned ones.
        self._prose = _PROSE - _OUTCOMES if keep_outcomes else _PROSE
        self._known: dict[str, str] = {}

    def value(self, name: str, value: Any) -> Any:
        """A field's value for this study, of the same shape."""
        if isinstance(value, str):
            return self._text(name, value)
        if isinstance(value, list):
            return [self.value(name, item) for item in value]
        if isinstance(value, dict):
            if name in ("orgStudyIdInfo", "secondaryIdInfos"):
                return value | {"id": self._identifier(value["id"])} if "id" in value else value
            return {key: self.value(key if key != "id" else "", item) for key, item in value.items()}
        return value

    def _text(self, name: str, text: str) -> str:
        if name in _IDENTIFIERS:
            return self._identifier(text)
        if name in _PUBMED:
            return str(_PUBMED_FIRST + self._hash(text) % (100_000_000 - _PUBMED_FIRST))
        if "NCT" in text:
            text = _NCT.sub(lambda found: self._identifier(found[0]), text)
        if len(text) < _SHORT or name not in self._prose:
            return text
        if text not in self._known:
            self._known[text] = self._reworded(text)
        return self._known[text]

    def _identifier(self, text: str) -> str:
        if _NCT.fullmatch(text):
            return f"NCT{_OTHER_FIRST + self._hash(text) % (100_000_000 - _OTHER_FIRST):08d}"
        # Letters too: some ids are, or begin with, the name of an investigator.
        random_bytes = itertools.cycle(self._hash(text).to_bytes(8))
        return re.sub(r"[0-9A-Za-z]", lambda found: _another(found[0], next(random_bytes)), text)

    def _hash(self, text: str) -> int:
        digest = hashlib.blake2b(f"{self._block}/{text}".encode(), digest_size=8).digest()
        return int.from_bytes(digest)

    def _reworded(self, text: str) -> str:
        found = _WORD.search(text, int(self._rng.random() * len(text))) or _WORD.search(text)
        if found is None:
            return text
        return text[: found.start()] + _one(self._words, self._rng) + text[found.end() :]


# ----------------------------------------------------------------------------------- a real record


def _is_v2(record: Mapping[str, Any]) -> bool:
    return "protocolSection" in record


def _donor(fields: Fields) -> Donor:
    modules: dict[str, Fields] = {}
    for name, value in fields.items():
        modules.setdefault(_module(name), {})[name] = value
    kind = fields.get("protocolSection.designModule.studyType") or fields.get("StudyType")
    results = any(name.startswith(("resultsSection.", "OutcomeMeasureTitle")) for name in fields)
    return Donor(modules, str(kind), results)


def _module(name: str) -> str:
    section, _, inner = name.partition(".")
    known, start = (_PREFIXES[1], inner or section) if section[0].islower() else (_PREFIXES[0], name)
    return next((module for prefix, module in known if start.startswith(prefix)), "arms")


def _prefixes(modules: Mapping[str, str]) -> list[tuple[str, str]]:
    pairs = [(start, module) for module, starts in modules.items() for start in starts.split()]
    return sorted(pairs, key=lambda pair: len(pair[0]), reverse=True)


_PREFIXES = (_prefixes(_MODULES), _prefixes(_MODULES_V2))


def _fields(record: Mapping[str, Any]) -> Fields:
    """By name; of API v2 by section, module and name."""
    fields: Fields = {}
    for name, value in record.items():
        if name not in _SECTIONS:
            fields[name] = value
            continue
        for module, inner in value.items():
            fields |= {f"{name}.{module}.{field}": item for field, item in inner.items()}
    return fields


def _nested(fields: Fields) -> dict[str, Any]:
    study: dict[str, Any] = {}
    for name, value in fields.items():
        *parents, last = name.split(".")
        place = study
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return study


def _prose(fields: Fields) -> Iterator[str]:
    for name, value in fields.items():
        if name.rpartition(".")[2] in _PROSE:
            yield from [value] if isinstance(value, str) else value


def _without_people(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record's fields with everything cut out that the loader would cut or leave out as personal."""
    named = people(Record("clinicaltrials", "", record), classic=not _is_v2(record))

    def cleaned(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: cleaned(key, item) for key, item in value.items()}
        if isinstance(value, list):
            return [cleaned(name, item) for item in value]
        if not isinstance(value, str) or name in _IDENTIFIERS or name == "id":
            return value
        if name in ("ReferenceCitation", "citation"):
            return (_FILLER * (len(value) // len(_FILLER) + 1))[: len(value)]
        if name in ("LocationFacility", "facility") and not privacy.is_institution(value):
            return _WITHHELD
        if named and privacy.is_one_of(value, named):
            return _WITHHELD
        # What is cut out can bring a second name to light.
        return privacy.clean(privacy.clean(value, named), named)

    return {name: cleaned(name, value) for name, value in record.items()}


# ------------------------------------------------------------------------------------------- files


def write(
    folder: Path,
    count: int,
    *,
    seed: int = SEED,
    processes: int = 1,
    told: Callable[[str], None] = print,
    sample: Sample | None = None,
) -> list[Path]:
    """Write so many studies into `registry-00000.jsonl.gz`, ...: 10,000 a file; returns the files in order.

    `sample` is what studies are drawn from: the real records, read here, unless given.

    Files that this seed, sample and code wrote before are kept, so a run that was broken off is resumed; a
    file comes to its name whole or not at all. Raises UsageError for too many studies, or no real records.
    """
    if not 0 < count <= _MOST:
        raise UsageError(f"{count:,} studies: between 1 and {_MOST:,} can be given numbers")
    if sample is None and not REAL.is_dir():
        raise UsageError(
            f"{REAL}: there is no such folder; the real records that studies are drawn from are in it"
        )
    sample = sample or Sample.read()
    code = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    mark = f"{seed} {sample.sha256} {code}"
    folder.mkdir(parents=True, exist_ok=True)
    due = [(file, min(PER_FILE, count - file * PER_FILE)) for file in range(-(-count // PER_FILE))]
    missing = [each for each in due if not _is_there(folder, *each, mark)]
    if missing:
        # Forked, so that all share the sample that was read once.
        context = multiprocessing.get_context("fork")
        with context.Pool(min(processes, len(missing)), _hold, (sample, folder, seed, mark)) as pool:
            for done, name in enumerate(pool.imap_unordered(_write_file, missing), 1):
                told(f"{name}: {done} of {len(missing)} files written")
    return [folder / _name(file) for file, _ in due]


def _name(file: int) -> str:
    return f"registry-{file:05d}.jsonl.gz"


def _is_there(folder: Path, file: int, count: int, mark: str) -> bool:
    told = folder / f"{_name(file)}.made"
    return (folder / _name(file)).is_file() and told.is_file() and told.read_text() == f"{count} {mark}"


_held: tuple[Sample, Path, int, str]


def _hold(*held: Any) -> None:
    global _held  # what a pool's process was given
    _held = held


def _write_file(which: tuple[int, int]) -> str:
    (sample, folder, seed, mark), (file, count) = _held, which
    target = folder / _name(file)
    told = folder / f"{_name(file)}.made"
    told.unlink(missing_ok=True)
    new = target.with_suffix(".new")
    # No name and no time in the header: the same studies are the same bytes.
    with new.open("wb") as raw, gzip.GzipFile("", "wb", 5, raw, mtime=0) as packed:
        for study in studies(sample, file, count, seed):
            packed.write(json.dumps(study, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    new.replace(target)
    told.write_text(f"{count} {mark}")
    return target.name
