"""What both forms of the registry say in the same way: one value under one name.

Hides where each form keeps it: the tables below give the path of API v2 and the name of the classic form.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from decimal import Decimal

from pyoxigraph import Literal, NamedNode

from kg.terms import DCTERMS, OBO, STROMA, XSD
from loaders import emit, privacy
from loaders.clinicaltrials import codes
from loaders.clinicaltrials.study import Facts, Organization, Study
from loaders.record import Record

_DESIGN = "designModule.designInfo."

# Text as it stands: property, path in API v2 below protocolSection, name in the classic form.
_TEXTS: tuple[tuple[NamedNode, str, str], ...] = (
    (DCTERMS.title, "identificationModule.briefTitle", "BriefTitle"),
    (STROMA.officialTitle, "identificationModule.officialTitle", "OfficialTitle"),
    (STROMA.acronym, "identificationModule.acronym", "Acronym"),
    (STROMA.secondaryId, "identificationModule.orgStudyIdInfo.id", "OrgStudyId"),
    (STROMA.secondaryId, "identificationModule.nctIdAliases", "NCTIdAlias"),
    (STROMA.briefSummary, "descriptionModule.briefSummary", "BriefSummary"),
    (STROMA.detailedDescription, "descriptionModule.detailedDescription", "DetailedDescription"),
    (STROMA.eligibilityText, "eligibilityModule.eligibilityCriteria", "EligibilityCriteria"),
    (STROMA.studyPopulationText, "eligibilityModule.studyPopulation", "StudyPopulation"),
    (STROMA.keyword, "conditionsModule.keywords", "Keyword"),
    (STROMA.whyStopped, "statusModule.whyStopped", "WhyStopped"),
    (STROMA.designText, _DESIGN + "interventionModelDescription", "DesignInterventionModelDescription"),
    (STROMA.designText, _DESIGN + "maskingInfo.maskingDescription", "DesignMaskingDescription"),
)

_DATES = (
    (STROMA.startDate, "statusModule.startDateStruct", "StartDate"),
    (STROMA.primaryCompletionDate, "statusModule.primaryCompletionDateStruct", "PrimaryCompletionDate"),
    (STROMA.completionDate, "statusModule.completionDateStruct", "CompletionDate"),
    (STROMA.firstPostedDate, "statusModule.studyFirstPostDateStruct", "StudyFirstPostDate"),
    (STROMA.lastUpdateDate, "statusModule.lastUpdatePostDateStruct", "LastUpdatePostDate"),
    (STROMA.resultsPostedDate, "statusModule.resultsFirstPostDateStruct", "ResultsFirstPostDate"),
    (STROMA.firstSubmittedDate, "statusModule.studyFirstSubmitDate", "StudyFirstSubmitDate"),
)
# Beside these three dates it matters whether they are past or planned.
_DATE_TYPES = {
    STROMA.startDate: STROMA.startDateType,
    STROMA.primaryCompletionDate: STROMA.primaryCompletionDateType,
    STROMA.completionDate: STROMA.completionDateType,
}

# Categories with a term: the table of codes, the part of the properties' names, path, name.
_CODES = (
    ("allocation", "Allocation", _DESIGN + "allocation", "DesignAllocation"),
    ("model", "InterventionModel", _DESIGN + "interventionModel", "DesignInterventionModel"),
    ("model", "InterventionModel", _DESIGN + "observationalModel", "DesignObservationalModel"),
    ("perspective", "TimePerspective", _DESIGN + "timePerspective", "DesignTimePerspective"),
    ("masking", "Masking", _DESIGN + "maskingInfo.masking", "DesignMasking"),
    ("purpose", "PrimaryPurpose", _DESIGN + "primaryPurpose", "DesignPrimaryPurpose"),
    ("status", "Status", "statusModule.overallStatus", "OverallStatus"),
)

_WORDS = (
    ("role", STROMA.masksRole, _DESIGN + "maskingInfo.whoMasked", "DesignWhoMasked"),
    ("sex", STROMA.eligibleSex, "eligibilityModule.sex", "Gender"),
    ("agegroup", STROMA.eligibleAgeGroup, "eligibilityModule.stdAges", "StdAge"),
    ("sampling", STROMA.samplingMethod, "eligibilityModule.samplingMethod", "SamplingMethod"),
    ("datetype", STROMA.enrollmentType, "designModule.enrollmentInfo.type", "EnrollmentType"),
)
_FLAGS = (
    (STROMA.acceptsHealthyVolunteers, "eligibilityModule.healthyVolunteers", "HealthyVolunteers"),
    (STROMA.hasDataMonitoringCommittee, "oversightModule.oversightHasDmc", "OversightHasDMC"),
)
_AGES = (
    (STROMA.minimumAgeYears, STROMA.minimumAgeText, "eligibilityModule.minimumAge", "MinimumAge"),
    (STROMA.maximumAgeYears, STROMA.maximumAgeText, "eligibilityModule.maximumAge", "MaximumAge"),
)
_YEARS = {
    "year": Decimal(1),
    "month": Decimal(1) / 12,
    "week": 7 / Decimal("365.25"),
    "day": 1 / Decimal("365.25"),
    "hour": 1 / Decimal(8766),
    "minute": 1 / Decimal(525960),
}
_AGE = re.compile(r"(\d+) (year|month|week|day|hour|minute)s?")

# Where each form names people: they are read to be kept out, never taken.
_PEOPLE = (
    "OverallOfficialName", "ResponsiblePartyInvestigatorFullName", "CentralContactName",
    "LocationContactName", "PointOfContactTitle",
)  # fmt: skip
_COMMERCIAL = ("INDUSTRY", "NETWORK", "NIH", "FED")  # classes whose names need no institution's word


class Form:
    """A record in one of the two forms; `values` finds a field by its two names."""

    def __init__(self, record: Record, *, classic: bool) -> None:
        self.record, self.classic = record, classic

    def values(self, path: str, name: str) -> Iterator[tuple[Record, str, str]]:
        """Each text under the field, with the view and the name that tell where it stands."""
        view, field = (self.record, name) if self.classic else self._at("protocolSection." + path)
        value = view.take(field)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, bool | int | float | str):
                text = str(item).strip()
                if text:
                    yield view, field, text
            elif item is not None:
                raise view.bad(field, item, "should be text or a number")

    def one(self, path: str, name: str) -> tuple[Record, str, str] | None:
        """The only value of a field; raises BadValue for several."""
        found = list(self.values(path, name))
        if len(found) > 1:
            raise found[0][0].bad(found[0][1], [text for _, _, text in found], "should be one value")
        return found[0] if found else None

    def _at(self, path: str) -> tuple[Record, str]:
        *parents, field = path.split(".")
        view = self.record
        for step in parents:
            view = view.within(step)
        return view, field


def read_protocol(form: Form, study: Study) -> None:
    """Take what both forms say in the same way into `study`."""
    facts = study.facts
    for prop, path, name in _TEXTS:
        facts += [(prop, emit.string(text)) for _, _, text in form.values(path, name)]
    for prop, path, name in _DATES:
        facts += _date(form, prop, path, name)
    for kind, term, path, name in _CODES:
        for view, field, text in form.values(path, name):
            facts.append((STROMA("has" + term), codes.code(kind, view, field, text)))
            facts.append((STROMA(term[0].lower() + term[1:] + "Text"), emit.string(text)))
    for kind, prop, path, name in _WORDS:
        facts += [(prop, emit.string(codes.word(kind, *found))) for found in form.values(path, name)]
    for prop, path, name in _FLAGS:
        for found in form.values(path, name):
            facts.append((prop, Literal(codes.word("yesno", *found), datatype=XSD.boolean)))
    for prop, text_prop, path, name in _AGES:
        facts += _age(form, prop, text_prop, path, name)
    if count := form.one("designModule.enrollmentInfo.count", "EnrollmentCount"):
        facts.append((STROMA.enrollmentCount, emit.integer(*count)))
    facts += _phase(form)
    _type(form, study)
    _as_of(form, study)
    study.conditions += [text for _, _, text in form.values("conditionsModule.conditions", "Condition")]
    study.titles += [value.value for prop, value in facts if prop in (DCTERMS.title, STROMA.officialTitle)]


def _date(form: Form, prop: NamedNode, path: str, name: str) -> Facts:
    struct = path.endswith("Struct")
    found = form.one(path + ".date" if struct else path, name)
    if found is None:
        return []
    facts: Facts = [(prop, emit.date(*found))]
    kind = form.one(path + ".type", name + "Type") if struct else None
    if kind and prop in _DATE_TYPES:
        facts.append((_DATE_TYPES[prop], emit.string(codes.word("datetype", *kind))))
    return facts


def _age(form: Form, prop: NamedNode, text_prop: NamedNode, path: str, name: str) -> Facts:
    found = form.one(path, name)
    if found is None or codes.normal(found[2]) == "NA":
        return []
    view, field, text = found
    match = _AGE.fullmatch(text.lower())
    if match is None:
        raise view.bad(field, text, "is no age", 'Ages are written as "18 Years"')
    years = (int(match.group(1)) * _YEARS[match.group(2)]).quantize(Decimal("0.0001")).normalize()
    return [(prop, Literal(f"{years:f}", datatype=XSD.decimal)), (text_prop, emit.string(text))]


def _phase(form: Form) -> Facts:
    found = list(form.values("designModule.phases", "Phase"))
    if not found:
        return []
    view, field, _ = found[0]
    words = sorted(text for _, _, text in found)
    return [
        (STROMA.hasPhase, codes.code("phase", view, field, "/".join(words))),
        (STROMA.phaseText, emit.string("/".join(words))),
    ]


def _type(form: Form, study: Study) -> None:
    found = form.one("designModule.studyType", "StudyType")
    if found is None:
        # 39 archived records lack it, all of them with an interventional design; nothing is guessed.
        study.classes.append(STROMA.ClinicalStudy)
        return
    word = codes.word("studytype", *found)
    study.facts.append((STROMA.studyType, emit.string(word)))
    if word == "Observational":
        study.classes.append(STROMA.ObservationalStudy)
    elif word == "Expanded Access":
        study.classes.append(STROMA.ExpandedAccessStudy)
    else:
        randomised = (STROMA.hasAllocation, STROMA.AllocationRandomized) in study.facts
        study.classes += [OBO.OBI_0003699, OBO.OBI_0004001] if randomised else [OBO.OBI_0003699]


def _as_of(form: Form, study: Study) -> None:
    """The date the status is of: the registry's data version, else when the sponsor last verified it."""
    verified = form.one("statusModule.statusVerifiedDate", "StatusVerifiedDate")
    if verified:
        study.verified = emit.date(*verified)
        study.facts.append((STROMA.verifiedDate, study.verified))
    if form.classic:
        version = form.one("", "VersionHolder")
    else:
        view = form.record.within("derivedSection").within("miscInfoModule")
        text = view.text("versionHolder")
        version = (view, "versionHolder", text) if text else None
    as_of = emit.date(*version) if version else study.verified
    if as_of is not None and any(prop == STROMA.hasStatus for prop, _ in study.facts):
        study.facts.append((STROMA.statusAsOf, as_of))
    if version and as_of is not None:
        study.retrieved = as_of
    last = form.one("statusModule.lastKnownStatus", "LastKnownStatus")
    if last:
        study.last_known_status = codes.code("status", *last)


def people(record: Record, *, classic: bool) -> frozenset[str]:
    """The people a record names as officials, contacts or sponsors, without titles; no field is taken."""
    found = []
    if classic:
        for name in _PEOPLE:
            found += record.peek(name)
        for kind in ("LeadSponsor", "Collaborator"):
            pairs = zip(record.peek(f"{kind}Name"), record.peek(f"{kind}Class"), strict=False)
            found += [name for name, word in pairs if codes.normal(word) == "INDIV"]
    else:
        protocol = record.within("protocolSection")
        places = protocol.within("contactsLocationsModule")
        sponsors = protocol.within("sponsorCollaboratorsModule")
        holders = [*places.each("overallOfficials"), *places.each("centralContacts")]
        holders += [contact for place in places.each("locations") for contact in place.each("contacts")]
        for sponsor in (sponsors.within("leadSponsor"), *sponsors.each("collaborators")):
            holders += [sponsor] if "INDIV" in sponsor.peek("class") else []
        found += [name for holder in holders for name in holder.peek("name")]
        found += sponsors.within("responsibleParty").peek("investigatorFullName")
        results = record.within("resultsSection").within("moreInfoModule")
        found += results.within("pointOfContact").peek("title")
    return frozenset(name.partition(",")[0].strip() for name in found) - {""}


def organization(
    place: tuple[Record, str], name: str, category: str | None, *, lead: bool, by_investigator: bool
) -> Organization | None:
    """A sponsor as an organisation, or None for one that is or may be a person: names of people stay out.

    A company or agency needs no institution's word in its name, unless it sponsors a study whose responsible
    party is a sponsor-investigator. `place` is where the name stands.
    """
    commercial = category in _COMMERCIAL and not by_investigator
    if category == "INDIV" or not (commercial or privacy.is_institution(name)):
        place[0].leave_out(place[1], "may name a person")
        return None
    return Organization(name, category, lead)


def facility(place: tuple[Record, str], name: str | None, named: Collection[str]) -> str | None:
    """A facility's name, unless it may be a person's or is that of one of the people `named`."""
    if name is None or (privacy.is_institution(name) and not privacy.is_one_of(name, named)):
        return name
    place[0].leave_out(place[1], "may name a person")
    return None


def mesh_id(text: str) -> str:
    """A MeSH id as MeSH writes it: the classic form pads the number of the older ids to nine digits.

    Ids up to D066331 have six digits, later ones nine (D000068105).
    """
    number = int(text[1:])
    return f"{text[0]}{number:06d}" if number <= 66331 else f"{text[0]}{number:09d}"
