"""The registry's category words and the terms they are.

Hides that API v2 writes `ACTIVE_NOT_RECRUITING` where the classic form writes "Active, not recruiting".
A word in no table stops the build: UnknownValue.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeVar

from pyoxigraph import NamedNode

from kg.errors import UnknownValue
from kg.terms import STROMA
from loaders.record import Record

T = TypeVar("T")
_PUNCTUATION = re.compile(r"[^A-Z0-9]")


def _words(prefix: str, names: str, **special: str) -> dict[str, NamedNode]:
    table = {name.upper(): STROMA(prefix + name) for name in names.split()}
    return table | {word: STROMA(prefix + name) for word, name in special.items()}


CODES: dict[str, dict[str, NamedNode]] = {
    "phase": _words(
        "Phase",
        "",
        EARLYPHASE1="Early1",
        PHASE1="1",
        PHASE1PHASE2="1Phase2",
        PHASE2="2",
        PHASE2PHASE3="2Phase3",
        PHASE3="3",
        PHASE4="4",
        NA="NotApplicable",
        NOTAPPLICABLE="NotApplicable",
    ),
    "status": _words(
        "Status",
        "NotYetRecruiting Recruiting EnrollingByInvitation ActiveNotRecruiting Completed Suspended "
        "Terminated Withdrawn Unknown Available NoLongerAvailable TemporarilyNotAvailable "
        "ApprovedForMarketing Withheld",
        UNKNOWNSTATUS="Unknown",
    ),
    "allocation": _words("Allocation", "Randomized NonRandomized", NA="NotApplicable"),
    "model": _words(
        "Model",
        "SingleGroup Parallel Crossover Factorial Sequential Cohort CaseControl CaseOnly CaseCrossover "
        "FamilyBased DefinedPopulation NaturalHistory Other",
        SINGLEGROUPASSIGNMENT="SingleGroup",
        PARALLELASSIGNMENT="Parallel",
        CROSSOVERASSIGNMENT="Crossover",
        FACTORIALASSIGNMENT="Factorial",
        SEQUENTIALASSIGNMENT="Sequential",
        ECOLOGICORCOMMUNITY="Ecologic",
    ),
    "perspective": _words("Perspective", "Prospective Retrospective CrossSectional Other"),
    "masking": _words("Masking", "None Single Double Triple Quadruple", NONEOPENLABEL="None"),
    "purpose": _words(
        "Purpose",
        "Treatment Prevention Diagnostic SupportiveCare Screening HealthServicesResearch BasicScience "
        "DeviceFeasibility Other",
        ECT="Education",
        EDUCATIONALCOUNSELINGTRAINING="Education",
    ),
    "armtype": _words(
        "ArmType", "Experimental ActiveComparator PlaceboComparator ShamComparator NoIntervention Other"
    ),
}

# Categories that stay words in the graph, under one spelling.
WORDS: dict[str, dict[str, str]] = {
    "datetype": {
        "ACTUAL": "Actual", "ESTIMATED": "Estimated", "ESTIMATE": "Estimated", "ANTICIPATED": "Estimated",
    },
    "studytype": {
        "INTERVENTIONAL": "Interventional",
        "OBSERVATIONAL": "Observational",
        "EXPANDEDACCESS": "Expanded Access",
    },
    "interventiontype": {
        re.sub(r"\W", "", name.upper()): name
        for name in (
            "Biological", "Drug", "Device", "Procedure", "Radiation", "Behavioral", "Genetic",
            "Dietary Supplement", "Combination Product", "Diagnostic Test", "Other",
        )
    },
    "sex": {"ALL": "All", "FEMALE": "Female", "MALE": "Male", "BOTH": "All"},
    "role": {
        "PARTICIPANT": "Participant",
        "CAREPROVIDER": "Care Provider",
        "INVESTIGATOR": "Investigator",
        "OUTCOMESASSESSOR": "Outcomes Assessor",
    },
    "reference": {"BACKGROUND": "background", "RESULT": "result", "DERIVED": "derived"},
    "outcomerole": {
        "PRIMARY": "primary",
        "SECONDARY": "secondary",
        "OTHERPRESPECIFIED": "other",
        "POSTHOC": "other",
    },
    "yesno": {
        "TRUE": "true", "YES": "true", "ACCEPTSHEALTHYVOLUNTEERS": "true",
        "FALSE": "false", "NO": "false",
    },
    "sponsorclass": {
        word: word
        for word in ("NIH", "FED", "OTHER_GOV", "INDIV", "INDUSTRY", "NETWORK", "AMBIG", "OTHER", "UNKNOWN")
    } | {"OTHERGOV": "OTHER_GOV"},
    "agegroup": {"CHILD": "Child", "ADULT": "Adult", "OLDERADULT": "Older Adult"},
    "sampling": {"PROBABILITYSAMPLE": "Probability Sample", "NONPROBABILITYSAMPLE": "Non-Probability Sample"},
    "assessment": {
        "SYSTEMATICASSESSMENT": "Systematic Assessment",
        "NONSYSTEMATICASSESSMENT": "Non-systematic Assessment",
    },
}  # fmt: skip

# How a reported number is to be read: (what it is called here) -> the property that holds it.
STATISTICS: dict[str, NamedNode] = {
    "MEAN": STROMA.meanValue,
    "MEDIAN": STROMA.medianValue,
    "COUNTOFPARTICIPANTS": STROMA.numberAffected,
    "COUNTOFUNITS": STROMA.countValue,
    "NUMBER": STROMA.numericValue,
    "LEASTSQUARESMEAN": STROMA.numericValue,
    "LOGMEAN": STROMA.numericValue,
    "GEOMETRICMEAN": STROMA.numericValue,
    "GEOMETRICLEASTSQUARESMEAN": STROMA.numericValue,
}


@lru_cache(maxsize=10_000)
def normal(word: str) -> str:
    """A category word without case, spaces and punctuation: the key of the tables."""
    return _PUNCTUATION.sub("", word.upper())


def code(kind: str, record: Record, field: str, word: str) -> NamedNode:
    """The term of a category word; raises UnknownValue naming record, field and value."""
    return _look_up(CODES[kind], kind, record, field, word)


def word(kind: str, record: Record, field: str, text: str) -> str:
    """The one spelling of a category that stays a word; raises UnknownValue."""
    return _look_up(WORDS[kind], kind, record, field, text)


def statistic(record: Record, field: str, text: str) -> NamedNode:
    """The property that holds a number of this parameter type; raises UnknownValue."""
    return _look_up(STATISTICS, "statistic", record, field, text)


def _look_up(table: dict[str, T], kind: str, record: Record, field: str, text: str) -> T:
    found = table.get(normal(text))
    if found is None:
        raise UnknownValue(
            f"is no {kind} we know", value=text, advice="Add it to loaders/clinicaltrials/codes.py",
            **record.place(field),
        )  # fmt: skip
    return found
