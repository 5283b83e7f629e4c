"""What an outcome's text says: which measure it is, and the times in months.

Hides the patterns. They read only what is certain: a text with two measures gives none.
"""

from __future__ import annotations

import re
from decimal import Decimal

from pyoxigraph import NamedNode

from kg.terms import STROMA

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
_UNIT = r"hours?|hrs?|days?|weeks?|wks?|months?|mos?|years?|yrs?"
# "1, 3, 6 and 12 months", "6-12 months", "28±3 days", "one year"
_AFTER = re.compile(
    rf"((?:(?:{_NUMBER})\s*(?:,|and|or|to|&|/|-|–|±\s*\d+)?\s*)+)[\s-]*({_UNIT})\b", re.IGNORECASE
)
# "Day 28", "weeks 4, 8 and 12", "day 28±3"
_BEFORE = re.compile(
    rf"\b({_UNIT})\s*((?:\d+(?:\.\d+)?(?:\s*±\s*\d+)?\s*(?:,|and|or|to|&|/|-|–)?\s*)+)", re.IGNORECASE
)

# "DAS28", "DAS 28", "DAS(Disease activity scores)28"
_DAS28 = r"\bDAS(?:\s*\([^()]{0,40}\))?[\s-]*28"
# Each pattern with its measure; more special names first. A hit hides its text from the later ones.
_MEASURES: tuple[tuple[re.Pattern[str], NamedNode], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), STROMA("Measure" + name))
    for pattern, name in (
        (r"\bACR[\s-]*20\b|american college of rheumatology[^.;]{0,25}\b20\b", "ACR20"),
        (r"\bACR[\s-]*50\b", "ACR50"),
        (r"\bACR[\s-]*70\b", "ACR70"),
        (rf"{_DAS28}[\s-]*\(?-?ESR\)?|{_DAS28}[^.;]{{0,30}}erythrocyte", "DAS28ESR"),
        (rf"{_DAS28}[\s-]*\(?-?CRP\)?|{_DAS28}[^.;]{{0,30}}c-reactive", "DAS28CRP"),
        (rf"{_DAS28}\b|disease activity score[\s-]*28", "DAS28"),
        (r"\bEULAR (good )?response|\bEULAR\b[^.;]{0,20}response", "EULARResponse"),
        (r"\bCDAI\b", "CDAI"),
        (r"\bSDAI\b", "SDAI"),
        (r"\bHAQ([\s-]*DI)?\b|health assessment questionnaire", "HAQDI"),
        (r"\bSF[\s-]*36\b|short[\s-]form[\s-]*36", "SF36"),
        (r"\bWOMAC\b|western ontario", "WOMAC"),
        (r"\bVAS\b[^.;]{0,25}pain|visual analog\w*[^.;]{0,20}pain", "PainVAS"),
        (r"pain[^.;]{0,40}(\bVAS\b|visual analog)", "PainVAS"),
        (r"\bCRP\b|c[\s-]reactive protein", "CRP"),
        (r"\bESR\b|erythrocyte sedimentation|erythrosedimentation", "ESR"),
        (r"\banti[\s-]?CCP\b|\bACPA\b|citrullinated", "AntiCCPLevel"),
        (r"rheumatoid factor", "RFLevel"),
        (r"\bIL[\s-]?6\b|interleukin[\s-]?6\b", "IL6"),
        (r"\bIL[\s-]?10\b|interleukin[\s-]?10\b", "IL10"),
        (r"\bIL[\s-]?17\w?\b|interleukin[\s-]?17", "IL17"),
        (r"\bTNF|tumou?r necrosis factor", "TNFalpha"),
        (r"dose[\s-]limiting toxicit", "DoseLimitingToxicity"),
        (r"serious adverse (event|reaction|effect)s?|\bSAEs?\b", "SeriousAdverseEvents"),
        (r"(treatment[\s-](related|emergent) )?adverse (event|reaction|effect)s?", "AdverseEvents"),
        (r"\bTE?AEs?\b|\bAEs\b", "AdverseEvents"),
        (r"infusion(al)?[\s-](related )?(reaction|toxicit)", "InfusionReaction"),
        (r"\bGVHD\b|graft[\s-]versus[\s-]host", "GVHD"),
        (r"swollen joint", "SwollenJointCount"),
        (r"tender joint", "TenderJointCount"),
        (r"morning stiffness", "MorningStiffness"),
    )
)  # fmt: skip


def months(text: str) -> list[Decimal]:
    """The times a text names, in months (30.4375 days), ascending, each once; "baseline" is 0."""
    found = {Decimal(0)} if re.search(r"\bbaseline\b", text, re.IGNORECASE) else set()
    rest = text
    for match in _AFTER.finditer(text):
        found |= {_number(n) * _unit(match.group(2)) for n in _numbers(match.group(1))}
        rest = rest.replace(match.group(0), " ", 1)
    for match in _BEFORE.finditer(rest):
        found |= {_number(n) * _unit(match.group(1)) for n in _numbers(match.group(2))}
    return sorted({value.quantize(Decimal("0.01")).normalize() + 0 for value in found})


def _numbers(text: str) -> list[str]:
    return re.findall(_NUMBER, re.sub(r"±\s*\d+", " ", text), re.IGNORECASE)


def _number(text: str) -> Decimal:
    return Decimal(_NUMBERS.index(text.lower()) + 1) if text.lower() in _NUMBERS else Decimal(text)


def _unit(text: str) -> Decimal:
    return _MONTHS[text.lower().removesuffix("s")]


def measure(text: str) -> NamedNode | None:
    """The one measure a text names, or None when it names none, or several."""
    found = set()
    for pattern, term in _MEASURES:
        rest = pattern.sub(" ", text)
        if rest != text:
            found.add(term)
            text = rest
    return found.pop() if len(found) == 1 else None


def analysis_set(text: str | None) -> NamedNode | None:
    """The analysis set a population description names."""
    if text is None:
        return None
    for pattern, term in (
        (r"intent(ion)?[\s-]to[\s-]treat|\bm?ITT\b|all randomi[sz]ed", STROMA.SetAllRandomised),
        (r"safety (population|set|analysis)", STROMA.SetSafety),
        (r"per[\s-]protocol|completers", STROMA.SetCompleters),
        (r"(efficacy|evaluable) (population|set|analysis)", STROMA.SetEfficacy),
    ):
        if re.search(pattern, text, re.IGNORECASE):
            return term
    return None
