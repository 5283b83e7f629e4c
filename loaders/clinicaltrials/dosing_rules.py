"""What free text says of dosing: how many cells, how many times, at which interval.

Hides the patterns and the ways a number is printed ("4x10^7", "2×107" with its superscript lost, "1-2
million"). Concentrations, totals and limits are no doses; two different answers in one text are no answer,
but dose levels may be several.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from pyoxigraph import Literal

from kg.terms import XSD
from loaders.clinicaltrials.text_rules import Reading
from loaders.patterns import Hinted, folded, stands

_I = re.IGNORECASE


@dataclass(frozen=True)
class Dose:
    """One dose level in `{cells}` or `{cells}/kg`: one amount, or a range when `high` is set."""

    rule: str
    low: Decimal
    high: Decimal | None
    unit: str
    words: str


# --------------------------------------------------------------------------------------------- doses

_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_RAISED = r"[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,2}"
_TIMES = r"\s*[x×X*∗✕·]\s*"
_DECIMAL = r"\d+(?:[.,]\d+)?"
_POWER = rf"10\s*(?:{_RAISED}|(?:\^|E|e|\*\*)?\s*\(?\^?\s*\d{{1,2}}\)?)"
_PLAIN = r"\d{1,3}(?:,\d{3})+|\d{6,10}"
_RANGE = r"\s*(?:-|–|—|to|~|or|and|,)\s*"
_CELLS = (
    r"(?:(?:human|allogene?ic|autologous|viable|expanded|cultured|umbilical cord|adipose|bone marrow|"
    r"placenta|derived|ex vivo|total|live|living|mesenchymal|stem|stromal|precursor|UC|BM|AD)[\s,-]*){0,6}"
    r"(?:cells?|(?:[a-z]+ )?\w{0,7}-?MSCs?|(?:[a-z]+ )?mesenchymal (?:stem|stromal) cells?"
    r"|e?ASCs?|MPCs?|\w{0,2}ADSCs?)\b"
)
_PER_KG = r"\s*(?:/|per|\.)\s*(?:(?:kilo(?:gram)?s?|kgs?)(?:\s*(?:bw|b\.w\.))?\b)(?:\s*\(?kg\)?)?"
_NUMERAL = (
    rf"(?:(?P<a>{_DECIMAL})(?:(?P<sep>{_RANGE})(?P<b>{_DECIMAL}))?{_TIMES}(?P<power>{_POWER})"
    rf"|(?P<c>{_DECIMAL}){_TIMES}(?P<power2>{_POWER}){_RANGE}(?P<d>{_DECIMAL}){_TIMES}(?P<power3>{_POWER})"
    rf"|(?P<e>{_DECIMAL})(?:(?P<sep2>{_RANGE})(?P<f>{_DECIMAL}))?"
    r"\s*(?P<million>million|billion|M(?=\s*(?:cells|MSC)))"
    rf"|(?P<g>{_DECIMAL}[eE]\d{{1,2}})"
    rf"|(?P<h>{_PLAIN})(?:{_RANGE}(?P<i>{_PLAIN}))?)"
)
_DOSE = re.compile(
    rf"(?<![\d.^/]){_NUMERAL}\s*(?:(?:of\s+)?(?P<cells>{_CELLS})|(?=\s*(?:/|per)\s*k))\s*(?P<kg>{_PER_KG})?"
    r"(?P<bad>\s*(?:/|per|in)\s*\d*\s*"
    r"(?:m[lL]|cc\b|cm|[µμu][lL]|L\b|liter|litre|m2|m²|mm|square|(?:entry |injection )?sites?|points?))?",
    _I,
)
_DOSE_WORDS = ("cell", "msc", "asc", "mpc", "adsc", "kg", "kilo")  # a dose has one of them, or is none
_TOTAL = re.compile(r"\b(?:total|max(?:imum|imal)?|minimum|up to|at least)(?: dose)?(?: of)?(?: a)?\s*$")


_IN_TURN = re.compile(
    r"\bfirst (?:dose|infusion|injection)\b.*\bsecond (?:dose|infusion|injection)\b", _I | re.DOTALL
)


def doses(text: str) -> list[Dose]:
    """Every dose level the text names, each once; concentrations (cells/ml) are no doses."""
    found: dict[tuple[Decimal, Decimal | None, str], Dose] = {}
    if not stands(_DOSE_WORDS, folded(text)):
        return []
    for match in _DOSE.finditer(text):
        if match.group("bad") or not (match.group("cells") or match.group("kg")):
            continue
        before = text[max(0, match.start() - 20) : match.start()].lower()
        # A total over several doses is no dose; what follows it tells too little to divide it.
        if _TOTAL.search(before):
            continue
        unit = "{cells}/kg" if match.group("kg") else "{cells}"
        between = before.rstrip().endswith("between")
        for low, high, rule in _amounts(match, between):
            # Below ten thousand cells a kilogram, or over ten to the eleventh, it is no dose of cells.
            top = high or low
            if low < (1_000 if match.group("kg") else 10_000) or top > Decimal("1e11"):
                continue
            key = (low, high, unit)
            found.setdefault(key, Dose(rule, low, high, unit, match.group(0).strip()))
    # "5 to 10 million ... 10 million is the maximum": the bounds of a range are no levels of their own.
    bounds = {(bound, dose.unit) for dose in found.values() if dose.high for bound in (dose.low, dose.high)}
    levels = [dose for dose in found.values() if dose.high or (dose.low, dose.unit) not in bounds]
    # "20 million cells per subject (0.5x10^6 per kg)" is one dose said twice; the first saying is kept.
    levels = [dose for dose in levels if dose.unit == levels[0].unit]
    # "The first dose will be ..., the second ...": one regimen whose doses differ, which we cannot say.
    return [] if len(levels) > 1 and _IN_TURN.search(text) else levels


def _amounts(match: re.Match[str], between: bool) -> Iterator[tuple[Decimal, Decimal | None, str]]:
    part = match.groupdict()
    if part["a"]:
        power, rule = _power(part["power"])
        yield from _pair(part["a"], "-" if between else part["sep"], part["b"], power, rule)
    elif part["c"]:
        (first, rule), (second, _) = _power(part["power2"]), _power(part["power3"])
        yield _times(part["c"], first), _times(part["d"], second), rule
    elif part["e"]:
        scale = Decimal(10) ** (9 if part["million"].lower() == "billion" else 6)
        yield from _pair(part["e"], "-" if between else part["sep2"], part["f"], scale, "dose-in-millions")
    elif part["g"]:
        yield Decimal(part["g"].replace(",", ".")), None, "dose-in-e-notation"
    else:
        low = Decimal(part["h"].replace(",", ""))
        high = Decimal(part["i"].replace(",", "")) if part["i"] else None
        yield low, high, "dose-in-digits"


def _pair(
    low: str, separator: str | None, high: str | None, scale: Decimal, rule: str
) -> Iterator[tuple[Decimal, Decimal | None, str]]:
    """ "0.75 or 1.5" are two levels, "2.0-2.86" is one range."""
    if high is None or separator is None:
        yield _times(low, scale), None, rule
    elif separator.strip().lower() in ("or", "and", ","):
        yield _times(low, scale), None, rule
        yield _times(high, scale), None, rule
    elif _times(low, scale) < _times(high, scale):
        yield _times(low, scale), _times(high, scale), rule


def _times(number: str, scale: Decimal) -> Decimal:
    return (Decimal(number.replace(",", ".")) * scale).normalize() + 0


def _power(text: str) -> tuple[Decimal, str]:
    """ "10^6" or "10E6"; "106" after a times sign is a superscript that was lost on the way."""
    marked = re.search(rf"[\^Ee*(]|{_RAISED}", text) is not None
    digits = re.sub(r"[^0-9]", "", text.translate(_SUPERSCRIPT))[2:]
    return Decimal(10) ** int(digits), "dose-as-power" if marked else "dose-with-lost-superscript"


# ------------------------------------------------------------------------------------------ schedule

_COUNTS = {
    "one": 1, "single": 1, "once": 1, "two": 2, "twice": 2, "double": 2, "three": 3, "thrice": 3, "four": 4,
    "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12,
}  # fmt: skip
_COUNT = r"(\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten|twelve)"
_GIVEN_WORDS = "dose|infusion|injection|administration|transplantation|treatments"
_GIVEN = r"(?:doses?|infusions?|injections?|administrations?|transplantations?|treatments)"
_BETWEEN = (
    r"(?:(?:consecutive|repeated?|separate|weekly|monthly|intravenous|IV|i\.v\.|intrathecal|intra-?articular|"
    r"equal|of|MSCs?|UC-MSCs?|stem|cell|cells?)\s+){0,3}"
)
_SINGLE = Hinted(
    "single",
    r"\b(?:a\s+|one\s+)?single[\s-]+(?:[\w.-]+\s+){0,2}?(?:dose|infusion|injection|administration|transplantation)\b"
    r"(?P<each>\s*[,(:]?\s*(?:of\s+|with\s+)?\d)?",
)
_AND_AGAIN = re.compile(r"[^.;]{0,60}\b(?:and|then) (?:again )?(?:at|on|after|(?:a )?second)\b", _I)
_REPEATED = tuple(
    (rule, Hinted(words, pattern))
    for rule, words, pattern in (
        (
            "number-of-doses",
            _GIVEN_WORDS,
            rf"\b{_COUNT}\s+{_BETWEEN}{_GIVEN}\b(?!\s*(?:levels?|groups?|cohorts?|arms?))",
        ),
        ("number-of-times", "times", rf"\b{_COUNT}\s+times(?:\s+(?:of\s+)?{_BETWEEN}{_GIVEN})"),
        (
            "number-of-times",
            "times",
            rf"(?:infus|inject|administ|transplant|treated|repeat)[^.;]{{0,40}}\bfor {_COUNT} times\b",
        ),
    )
)
_DAYS = Hinted(
    "day|week|month", r"\b(?:on |at )?(day|week|month)s?\s+((?:\d+\s*(?:,|and|&)\s*)+(?:and\s+)?\d+)\b"
)
_UNIT_DAYS = {"day": Decimal(1), "week": Decimal(7), "month": Decimal("30.4375")}
_INTERVALS = tuple(
    (rule, Hinted(words, pattern))
    for rule, words, pattern in (
        (
            "interval-of",
            "interval",
            r"\binterval(?: time)?\s*(?:is|of|:|between[^.;]{0,30}(?:is|of))\s*(?:about\s+)?"
            rf"{_COUNT}[\s-]*(day|week|month)s?",
        ),
        (
            "interval-before",
            "interval",
            rf"\b(?:at|with|in)\s+(?:an?\s+)?{_COUNT}[\s-]*(day|week|month)s?\s+intervals?",
        ),
        ("interval-apart", "apart", rf"\b{_COUNT}\s*(day|week|month)s?\s+apart"),
        ("interval-every", "every", rf"\bevery\s+{_COUNT}?\s*(day|week|month)s?\b"),
        (
            "interval-once-a",
            "once|one time",
            r"\b(?:once|one time)\s+(?:a|per|every|each)\s+()(day|week|month)\b",
        ),
        (
            "interval-weekly",
            "weekly|monthly",
            r"\b()(week|month)ly\s+(?:intravenous\s+|IV\s+)?(?:doses?|infusions?|injections?)",
        ),
    )
)
_SENTENCE_END = re.compile(r"(?<=[a-z)])[.;](?:\s|$)|\n")
_GIVING = re.compile(r"infus|inject|\bdos(?:e|es|ing)\b|administ|transplant|treat|repeat|MSC|cells", _I)
_VISIT = re.compile(r"follow|visit|assess|monitor|evaluat|examin|culture|passag", _I)


# What stands before a number that is the end of a range or a limit.
_UNSURE = re.compile(
    r"(?:\d\s*(?:-|–|to|or)\s*|\bup to (?:a total of )?|\bat least |\bm(?:ax|in)imum (?:of )?|"
    r"\bone (?:to|or) |\babout |\bpossible )$",
    _I,
)


def number_of_doses(text: str) -> Reading | None:
    """How many times the cells are given; None where the text does not say, or contradicts itself."""
    found: dict[int, Reading] = {}
    lower = folded(text)
    for rule, pattern in _REPEATED:
        for match in pattern.finditer(text, lower):
            count = _count(match.group(1))
            # "15 injections" are sites of one treatment; "3-5 doses" and "up to 2" are no number.
            sites = "injection" in match.group(0).lower() and count > 6
            # "One dose of 10^6 cells once a day" says how big a dose is.
            if count == 1 and re.match(r"\s*(?:of\s+)?\d", text[match.end() :]):
                continue
            if 1 <= count <= 30 and not sites and not _UNSURE.search(text[: match.start()]):
                found.setdefault(count, Reading(rule, _integer(count), match.group(0)))
    listed = _listed_days(text, lower)
    if listed is not None:
        found.setdefault(len(listed[0]), Reading("doses-on-days", _integer(len(listed[0])), listed[1]))
    single = list(_SINGLE.finditer(text, lower))
    if any(_AND_AGAIN.match(text, match.end()) for match in single):
        return None
    if single and not found:
        end = single[0].start("each") if single[0].group("each") else single[0].end()
        return Reading("single-dose", ONCE, text[single[0].start() : end])
    # "single dose, 4x10^7 cells ... 4 times" says how big one dose is.
    if any(not match.group("each") for match in single) and set(found) != {1}:
        return None
    return next(iter(found.values())) if len(found) == 1 else None


def interval(text: str) -> Reading | None:
    """Days between two doses; None where the text does not say, or says several."""
    found: dict[Decimal, Reading] = {}
    lower = folded(text)
    patterns = [(rule, pattern) for rule, pattern in _INTERVALS if stands(pattern.words, lower)]
    for sentence in _SENTENCE_END.split(text) if patterns else ():
        if not _GIVING.search(sentence) or _VISIT.search(sentence):
            continue
        for rule, pattern in patterns:
            for match in pattern.finditer(sentence, lower):
                if _UNSURE.search(sentence[: match.start(1) if match.group(1) else match.start()]):
                    continue
                days = _count(match.group(1) or "one") * _UNIT_DAYS[match.group(2).lower()]
                found.setdefault(days, Reading(rule, _days(days), match.group(0)))
    listed = _listed_days(text, lower)
    if listed is not None:
        steps = {b - a for a, b in zip(listed[0], listed[0][1:], strict=False)}
        if len(steps) == 1:
            days = steps.pop()
            found.setdefault(days, Reading("interval-of-days", _days(days), listed[1]))
        else:
            return None
    return next(iter(found.values())) if len(found) == 1 else None


def _listed_days(text: str, lower: str) -> tuple[list[Decimal], str] | None:
    """The one list of days on which something is given ("at days 1, 8 and 15"), where all lists agree."""
    found: dict[tuple[Decimal, ...], str] = {}
    for match in _DAYS.finditer(text, lower):
        start = max(text.rfind(".", 0, match.start()), text.rfind("\n", 0, match.start())) + 1
        before = text[start : match.start()]
        if _GIVING.search(before) and not _VISIT.search(before):
            days = tuple(
                int(n) * _UNIT_DAYS[match.group(1).lower()] for n in re.findall(r"\d+", match.group(2))
            )
            if list(days) == sorted(set(days)):
                found[days] = match.group(0)
    if len(found) != 1:
        return None
    days, words = next(iter(found.items()))
    return list(days), words


def _integer(count: int) -> Literal:
    return Literal(str(count), datatype=XSD.integer)


def _days(days: Decimal) -> Literal:
    return Literal(f"{days:f}", datatype=XSD.decimal)


ONCE = _integer(1)  # the number of doses of a treatment given once


def _count(text: str) -> int:
    return int(text) if text.isdigit() else _COUNTS[text.lower()]
