"""The words registries print in an ICTRP export, and what they say in our vocabulary.

Hides each registry's spelling. A word in no table raises UnknownValue: the tables are of the export of
2020-03 (ChiCTR, ClinicalTrials.gov) and grow when a new word appears.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from pyoxigraph import Literal, NamedNode

from kg.errors import UnknownValue
from kg.terms import OBO, RDF, STROMA
from loaders.emit import string
from loaders.record import Record

Meaning = TypeVar("Meaning")
Fact = tuple[NamedNode, NamedNode | Literal]  # a property of the trial and its value

CLINICAL_TRIAL, RANDOMISED_TRIAL = OBO("OBI_0003699"), OBO("OBI_0004001")

_STATUS = {
    "recruiting": STROMA.StatusRecruiting,
    # The platform folds "not yet", "closed" and "completed" of every registry into this.
    "not recruiting": STROMA.StatusNotRecruiting,
}

_PHASE = {
    "n/a": STROMA.PhaseNotApplicable,
    # ChiCTR: exploratory study. ClinicalTrials.gov calls the same "Early Phase 1 (formerly Phase 0)".
    "0": STROMA.PhaseEarly1,
    "early phase 1": STROMA.PhaseEarly1,
    "1": STROMA.Phase1,
    "phase 1": STROMA.Phase1,
    "1-2": STROMA.Phase1Phase2,
    "phase 1/phase 2": STROMA.Phase1Phase2,
    "2": STROMA.Phase2,
    "phase 2": STROMA.Phase2,
    "2-3": STROMA.Phase2Phase3,
    "phase 2/phase 3": STROMA.Phase2Phase3,
    "3": STROMA.Phase3,
    "phase 3": STROMA.Phase3,
    "4": STROMA.Phase4,
    "phase 4": STROMA.Phase4,
    # ChiCTR offers these in the place of a phase.
    "retrospective study": STROMA.PhaseNotApplicable,
    "new treatment measure clinical study": STROMA.PhaseNotApplicable,
}

_STUDY_TYPE: dict[str, list[Fact]] = {
    "interventional": [(RDF.type, CLINICAL_TRIAL)],
    "interventional study": [(RDF.type, CLINICAL_TRIAL)],
    "treatment study": [(RDF.type, CLINICAL_TRIAL), (STROMA.hasPrimaryPurpose, STROMA.PurposeTreatment)],
    "observational": [(RDF.type, STROMA.ObservationalStudy)],
    "observational study": [(RDF.type, STROMA.ObservationalStudy)],
    "observational [patient registry]": [(RDF.type, STROMA.ObservationalStudy)],
    "expanded access": [(RDF.type, STROMA.ExpandedAccessStudy)],
    "diagnostic test": [(STROMA.hasPrimaryPurpose, STROMA.PurposeDiagnostic)],
    "screening": [(STROMA.hasPrimaryPurpose, STROMA.PurposeScreening)],
    "prevention": [(STROMA.hasPrimaryPurpose, STROMA.PurposePrevention)],
    "basic science": [(STROMA.hasPrimaryPurpose, STROMA.PurposeBasicScience)],
    "health services reaserch": [(STROMA.hasPrimaryPurpose, STROMA.PurposeHealthServicesResearch)],
    # ChiCTR's own kinds, which say neither whether there was an intervention nor what for.
    "epidemilogical research": [],
    "prognosis study": [],
}

_MODEL = {
    "single group assignment": STROMA.ModelSingleGroup,
    "parallel assignment": STROMA.ModelParallel,
    "crossover assignment": STROMA.ModelCrossover,
    "factorial assignment": STROMA.ModelFactorial,
    "sequential assignment": STROMA.ModelSequential,
}
_OBSERVATIONAL_MODEL = {
    "cohort": STROMA.ModelCohort,
    "case-control": STROMA.ModelCaseControl,
    "case-only": STROMA.ModelCaseOnly,
    "case-crossover": STROMA.ModelCaseCrossover,
    "ecologic or community": STROMA.ModelEcologic,
    "family-based": STROMA.ModelFamilyBased,
    "other": STROMA.ModelOther,
}
_ALLOCATION = {
    "randomized": STROMA.AllocationRandomized,
    "non-randomized": STROMA.AllocationNonRandomized,
    "n/a": STROMA.AllocationNotApplicable,
}
_PERSPECTIVE = {
    "prospective": STROMA.PerspectiveProspective,
    "retrospective": STROMA.PerspectiveRetrospective,
    "cross-sectional": STROMA.PerspectiveCrossSectional,
    "other": STROMA.PerspectiveOther,
}
_PURPOSE = {
    "treatment": STROMA.PurposeTreatment,
    "prevention": STROMA.PurposePrevention,
    "diagnostic": STROMA.PurposeDiagnostic,
    "supportive care": STROMA.PurposeSupportiveCare,
    "screening": STROMA.PurposeScreening,
    "health services research": STROMA.PurposeHealthServicesResearch,
    "basic science": STROMA.PurposeBasicScience,
    "device feasibility": STROMA.PurposeDeviceFeasibility,
    "other": STROMA.PurposeOther,
}
_MASKING = {
    "none": STROMA.MaskingNone,
    "single": STROMA.MaskingSingle,
    "single blind": STROMA.MaskingSingle,
    "double": STROMA.MaskingDouble,
    "double blind": STROMA.MaskingDouble,
    "triple": STROMA.MaskingTriple,
    "quadruple": STROMA.MaskingQuadruple,
}

# ChiCTR's one-word designs.
_DESIGN: dict[str, list[Fact]] = {
    "parallel": [(STROMA.hasInterventionModel, STROMA.ModelParallel)],
    "sequential": [(STROMA.hasInterventionModel, STROMA.ModelSequential)],
    "factorial": [(STROMA.hasInterventionModel, STROMA.ModelFactorial)],
    "cross-over": [(STROMA.hasInterventionModel, STROMA.ModelCrossover)],
    "single arm": [(STROMA.hasInterventionModel, STROMA.ModelSingleGroup)],
    "non randomized control": [(STROMA.hasAllocation, STROMA.AllocationNonRandomized)],
    "cluster randomization": [(STROMA.hasAllocation, STROMA.AllocationRandomized)],
    "cohort study": [(STROMA.hasInterventionModel, STROMA.ModelCohort)],
    "case-control study": [(STROMA.hasInterventionModel, STROMA.ModelCaseControl)],
    "case study": [(STROMA.hasInterventionModel, STROMA.ModelCaseOnly)],
    "cross-sectional": [(STROMA.hasTimePerspective, STROMA.PerspectiveCrossSectional)],
    "dose comparison": [],
}

# ClinicalTrials.gov's designs: "Allocation: Randomized. Masking: Single (Participant)." with "." or ",".
_KEY = re.compile(
    r"[.,]?\s*\b(Allocation|Endpoint Classification|Intervention Model|Observational Model|Primary Purpose"
    r"|Masking|Time Perspective):\s*",
    re.IGNORECASE,
)

# As misprinted in the export of 2020-03.
_COUNTRY = {"china": "China", "Chian": "China", "China?": "China", "Chinese": "China", "Wuhan": "China"}

NOTHING = frozenset({"", "-", "/", "0", "??", "blank", "cancelled", "n/a", "na", "nd", "nil", "no", "none"})


def is_nothing(text: str) -> bool:
    """Whether a text is one of the ways to say that a field does not apply."""
    return text.strip(" .;").lower() in NOTHING


def status(record: Record, field: str, text: str) -> NamedNode:
    """The recruitment status."""
    return _look_up(_STATUS, record, field, text)


def phase(record: Record, field: str, text: str) -> Iterator[Fact]:
    """The phase; ChiCTR's "Retrospective study" stands in its place and tells the perspective."""
    yield STROMA.hasPhase, _look_up(_PHASE, record, field, text)
    if text.lower() == "retrospective study":
        yield STROMA.hasTimePerspective, STROMA.PerspectiveRetrospective


def study_type(record: Record, field: str, text: str) -> list[Fact]:
    """The class of the study, and its purpose where the type names that instead."""
    return _look_up(_STUDY_TYPE, record, field, text)


def design(record: Record, field: str, text: str) -> Iterator[Fact]:
    """Allocation, model, masking, purpose and perspective as far as the printed design states them."""
    _, *pairs = _KEY.split(text)
    if not pairs:
        yield from _look_up(_DESIGN, record, field, text)
        return
    for key, printed in zip(pairs[::2], pairs[1::2], strict=True):
        value = printed.strip(" .,")
        match key.lower():
            case "allocation":
                yield STROMA.hasAllocation, _look_up(_ALLOCATION, record, field, value)
            case "intervention model":
                yield STROMA.hasInterventionModel, _look_up(_MODEL, record, field, value)
            case "observational model":
                yield STROMA.hasInterventionModel, _look_up(_OBSERVATIONAL_MODEL, record, field, value)
            case "primary purpose":
                yield STROMA.hasPrimaryPurpose, _look_up(_PURPOSE, record, field, value)
            case "time perspective":
                yield STROMA.hasTimePerspective, _look_up(_PERSPECTIVE, record, field, value)
            case "masking":
                level, _, roles = value.partition("(")
                yield STROMA.hasMasking, _look_up(_MASKING, record, field, level.strip())
                for role in roles.rstrip(")").split(","):
                    if role and role != "Open Label":
                        yield STROMA.masksRole, string(role.strip())


def country(printed: str) -> str:
    """The country's name; misprints seen in the real export are mended."""
    return _COUNTRY.get(printed, printed)


def _look_up(table: Mapping[str, Meaning], record: Record, field: str, text: str) -> Meaning:
    try:
        return table[text.lower()]
    except KeyError:
        raise UnknownValue(
            "is a value we have no term for",
            value=text, advice="Add it to the tables of loaders/ictrp/words.py", **record.place(field),
        ) from None  # fmt: skip
