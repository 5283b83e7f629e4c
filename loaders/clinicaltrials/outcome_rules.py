"""What an outcome's text says: which measure it is, and the times in months.

Hides the patterns. They read only what is certain: a text with two measures gives none.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from pyoxigraph import NamedNode

from kg.terms import STROMA
from loaders.patterns import Hinted, folded

_MONTHS = {
    "hour": Decimal(1) / Decimal("730.5"),
    "hr": Decimal(1) / Decimal("730.5"),
    "day": Decimal(1) / Decimal("30.4375"),
    "week": Decimal(7) / Decimal("30.4375"),
    "wk": Decimal(7) / Decimal("30.4375"),
    "month": Decimal(1),
    "mo": Decimal(1),
    "year": Decimal(12),
    "yr": Decimal(12),
}
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER = r"\d+(?:\.\d+)?|" + "|".join(_NUMBERS)
_UNIT_WORDS = "hour|hr|day|week|wk|mo|year|yr"
_UNIT = r"hours?|hrs?|days?|weeks?|wks?|months?|mos?|years?|yrs?"
# A number is one atom, (?>...): given back digit by digit, thirty digits without a unit would take for ever.
# "1, 3, 6 and 12 months", "6-12 months", "28±3 days", "one year"
_AFTER = Hinted(_UNIT_WORDS, rf"((?:(?>{_NUMBER})\s*(?:,|and|or|to|&|/|-|–|±\s*\d+)?\s*)+)[\s-]*({_UNIT})\b")
# "Day 28", "weeks 4, 8 and 12", "day 28±3"
_BEFORE = Hinted(
    _UNIT_WORDS, rf"\b({_UNIT})\s*((?:(?>\d+(?:\.\d+)?)(?:\s*±\s*\d+)?\s*(?:,|and|or|to|&|/|-|–)?\s*)+)"
)
_BASELINE = Hinted("baseline", r"\bbaseline\b")
_A_NUMBER = re.compile(_NUMBER, re.IGNORECASE)
_TOLERANCE = re.compile(r"±\s*\d+")
_HUNDREDTH = Decimal("0.01")

# "DAS28", "DAS 28", "DAS(Disease activity scores)28"
_DAS28 = r"\bDAS(?:\s*\([^()]{0,40}\))?[\s-]*28"
# Each pattern with its words and its measure; more special names first. A hit hides its text from the later
# ones; a space takes its place, so that what is left has no word that was not there before.
_MEASURES: tuple[tuple[Hinted, NamedNode], ...] = tuple(
    (Hinted(words, pattern), STROMA("Measure" + name))
    for words, pattern, name in (
        ("acr|american", r"\bACR[\s-]*20\b|american college of rheumatology[^.;]{0,25}\b20\b", "ACR20"),
        ("acr", r"\bACR[\s-]*50\b", "ACR50"),
        ("acr", r"\bACR[\s-]*70\b", "ACR70"),
        ("das", rf"{_DAS28}[\s-]*\(?-?ESR\)?|{_DAS28}[^.;]{{0,30}}erythrocyte", "DAS28ESR"),
        ("das", rf"{_DAS28}[\s-]*\(?-?CRP\)?|{_DAS28}[^.;]{{0,30}}c-reactive", "DAS28CRP"),
        ("das|disease activity", rf"{_DAS28}\b|disease activity score[\s-]*28", "DAS28"),
        ("eular", r"\bEULAR (good )?response|\bEULAR\b[^.;]{0,20}response", "EULARResponse"),
        ("cdai", r"\bCDAI\b", "CDAI"),
        ("sdai", r"\bSDAI\b", "SDAI"),
        ("haq|health", r"\bHAQ([\s-]*DI)?\b|health assessment questionnaire", "HAQDI"),
        ("sf|short", r"\bSF[\s-]*36\b|short[\s-]form[\s-]*36", "SF36"),
        ("womac|western", r"\bWOMAC\b|western ontario", "WOMAC"),
        ("pain", r"\bVAS\b[^.;]{0,25}pain|visual analog\w*[^.;]{0,20}pain", "PainVAS"),
        ("pain", r"pain[^.;]{0,40}(\bVAS\b|visual analog)", "PainVAS"),
        ("crp|reactive", r"\bCRP\b|c[\s-]reactive protein", "CRP"),
        ("esr|eryth", r"\bESR\b|erythrocyte sedimentation|erythrosedimentation", "ESR"),
        ("anti|acpa|citrullinated", r"\banti[\s-]?CCP\b|\bACPA\b|citrullinated", "AntiCCPLevel"),
        ("rheumatoid factor", r"rheumatoid factor", "RFLevel"),
        ("il|interleukin", r"\bIL[\s-]?6\b|interleukin[\s-]?6\b", "IL6"),
        ("il|interleukin", r"\bIL[\s-]?10\b|interleukin[\s-]?10\b", "IL10"),
        ("il|interleukin", r"\bIL[\s-]?17\w?\b|interleukin[\s-]?17", "IL17"),
        ("tnf|necrosis", r"\bTNF|tumou?r necrosis factor", "TNFalpha"),
        ("limiting", r"dose[\s-]limiting toxicit", "DoseLimitingToxicity"),
        ("serious|sae", r"serious adverse (event|reaction|effect)s?|\bSAEs?\b", "SeriousAdverseEvents"),
        (
            "adverse",
            r"(treatment[\s-](related|emergent) )?adverse (event|reaction|effect)s?",
            "AdverseEvents",
        ),
        ("ae", r"\bTE?AEs?\b|\bAEs\b", "AdverseEvents"),
        ("infusion", r"infusion(al)?[\s-](related )?(reaction|toxicit)", "InfusionReaction"),
        ("gvhd|graft", r"\bGVHD\b|graft[\s-]versus[\s-]host", "GVHD"),
        ("swollen", r"swollen joint", "SwollenJointCount"),
        ("tender", r"tender joint", "TenderJointCount"),
        ("morning", r"morning stiffness", "MorningStiffness"),
    )
)  # fmt: skip


_ANALYSIS_SETS = (
    (
        Hinted("intent|itt|all randomi", r"intent(ion)?[\s-]to[\s-]treat|\bm?ITT\b|all randomi[sz]ed"),
        STROMA.SetAllRandomised,
    ),
    (Hinted("safety", r"safety (population|set|analysis)"), STROMA.SetSafety),
    (Hinted("protocol|completers", r"per[\s-]protocol|completers"), STROMA.SetCompleters),
    (Hinted("efficacy|evaluable", r"(efficacy|evaluable) (population|set|analysis)"), STROMA.SetEfficacy),
)


@lru_cache(maxsize=10_000)  # the same few times stand beside most outcomes
def months(text: str) -> tuple[Decimal, ...]:
    """The times a text names, in months (30.4375 days), ascending, each once; "baseline" is 0."""
    lower = folded(text)
    found = {Decimal(0)} if _BASELINE.search(text, lower) else set()
    rest = text
    for match in _AFTER.finditer(text, lower):
        found |= {_number(n) * _unit(match.group(2)) for n in _numbers(match.group(1))}
        rest = rest.replace(match.group(0), " ", 1)
    for match in _BEFORE.finditer(rest, lower):
        found |= {_number(n) * _unit(match.group(1)) for n in _numbers(match.group(2))}
    return tuple(sorted({value.quantize(_HUNDREDTH).normalize() + 0 for value in found}))


def _numbers(text: str) -> list[str]:
    return _A_NUMBER.findall(_TOLERANCE.sub(" ", text))


def _number(text: str) -> Decimal:
    return Decimal(_NUMBERS.index(text.lower()) + 1) if text.lower() in _NUMBERS else Decimal(text)


def _unit(text: str) -> Decimal:
    return _MONTHS[text.lower().removesuffix("s")]


@lru_cache(maxsize=10_000)  # an outcome's words come again with each number reported of it
def measure(text: str) -> NamedNode | None:
    """The one measure a text names, or None when it names none, or several."""
    found = set()
    lower = folded(text)
    for pattern, term in _MEASURES:
        rest = pattern.sub(" ", text, lower)
        if rest != text:
            found.add(term)
            text = rest
    return found.pop() if len(found) == 1 else None


def analysis_set(text: str | None) -> NamedNode | None:
    """The analysis set a population description names."""
    if text is None:
        return None
    lower = folded(text)
    return next((term for pattern, term in _ANALYSIS_SETS if pattern.search(text, lower)), None)
