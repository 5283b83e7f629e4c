"""Rules on one thing said in two ways: values, bounds, magnitudes, moved numbers, opposite edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from pyoxigraph import NamedNode

from kg.evidence.findings import Finding, Used, uses
from kg.evidence.reported import Claim, Level, Observation, Proposition, Reported, Thing, Value
from kg.evidence.scope import AMOUNTS, COUNTS, agree, by_scope, concerned, described, edges_compared
from kg.terms import BASE, STROMA

# ------------------------------------------------------------------------------------ different values


def different_values(reported: Reported) -> Iterator[Finding | None]:
    """Two values of one kind for the same group, measure, time, analysis set and row of a table.

    Counts, percentages, means, rates and ranges are compared each with its own kind. Values agree that can be
    the same number rounded to fewer digits ("85.5" and "86"), and approximate ones within a tenth.

    Left alone: every other scope (another arm, another month, completers against all randomised, a published
    against a registered group), and values printed as bounds ("< 1").

    Major where percentages are 10 points or more apart, other values by a fifth.
    """
    for observation in reported.observations:
        yield from _two_in_one(reported, observation)
    for found in by_scope(reported.observations).values():
        if len(found) < 2:
            continue
        told: dict[tuple[str, ...], list[tuple[Observation, ...]]] = {}
        for one, other in combinations(found, 2):
            if {one.operator, other.operator} & {"<", "<=", ">", ">="}:
                continue
            approximate = "~" in (one.operator, other.operator)
            both = [(p, a, b) for p in (*COUNTS, *AMOUNTS) if (a := one.get(p)) and (b := other.get(p))]
            apart = [(p, a, b) for p, a, b in both if not agree(a, b, approximate=approximate)]
            if both and not apart:
                yield None
            if apart:
                values = tuple(text for _, a, b in apart for text in (a.text, b.text))
                told.setdefault(values, []).append((one, other))
        for same in told.values():
            yield _differ(reported, [*dict.fromkeys(o for pair in same for o in pair)], same[0])


def _two_in_one(reported: Reported, observation: Observation) -> Iterator[Finding]:
    """Two values that two claims give one observation."""
    for predicate in (*COUNTS, *AMOUNTS):
        for one, other in combinations(observation.all(predicate), 2):
            if not agree(one, other, approximate=observation.operator == "~"):
                yield Finding(
                    "DifferentValues",
                    _far(predicate, one, other),
                    f"{described(reported, observation)}: two values ({reported.label(predicate)} {one.text} "
                    f"and {other.text})",
                    f"{_difference(reported, predicate, one, other)}.",
                    (Used.of(observation, one), Used.of(observation, other)),
                    concerned(observation),
                )


def _differ(reported: Reported, observations: list[Observation], two: tuple[Observation, ...]) -> Finding:
    one, other = two
    apart = [
        (p, a, b)
        for p in (*COUNTS, *AMOUNTS)
        if (a := one.get(p)) and (b := other.get(p)) and not agree(a, b)
    ]
    said = "; ".join(f"{reported.label(p)} {a.text} and {b.text}" for p, a, b in apart)
    return Finding(
        "DifferentValues",
        any(_far(p, a, b) for p, a, b in apart),
        f"{described(reported, one)}: two values ({said})",
        "; ".join(_difference(reported, p, a, b) for p, a, b in apart) + ".",
        tuple(u for o in observations for u in uses(o, *(p for p, _, _ in apart))),
        concerned(one),
    )


def _difference(reported: Reported, predicate: NamedNode, one: Value, other: Value) -> str:
    if one.number is None or other.number is None:
        return f"{one.text} is not {other.text}"
    return f"{reported.label(predicate)}: |{one.text} - {other.text}| = {abs(one.number - other.number)}"


def _far(predicate: NamedNode, one: Value, other: Value) -> bool:
    if one.number is None or other.number is None:
        return False
    apart = abs(one.number - other.number)
    if predicate == STROMA.percentage:
        return apart >= 10
    # A count of a few participants more is told by its percentage; alone, a fifth is a lot.
    return apart * 5 >= max(abs(one.number), abs(other.number))


# -------------------------------------------------------------------------------------- thresholds


def threshold_stated_two_ways(reported: Reported) -> Iterator[Finding | None]:
    """One limit of one score that a document draws on two sides: "at most 3.2" and "below 3.2".

    Compared are the thresholds of measures that are cut-offs of the same score (stroma:thresholdOf), and the
    numbers observed under them, within one document. A participant at the limit itself is counted by one
    statement and not by the other.

    Left alone: other numbers (a stricter band is another band), other scores, and documents against each
    other.

    Minor: few participants score exactly the limit.
    """
    told: dict[tuple[NamedNode, NamedNode, Decimal], dict[str, list[Used]]] = {}
    for score, document, number, operator, used in _limits(reported):
        told.setdefault((score, document, number), {}).setdefault(operator, []).extend(used)
    for (score, document, number), by_operator in told.items():
        sides = {"in" if operator in ("<=", ">=") else "out" for operator in by_operator}
        if len(sides) == 1:
            yield None
            continue
        shown = " and ".join(f"{operator} {number}" for operator in sorted(by_operator))
        yield Finding(
            "ThresholdBoundary",
            False,
            f"{reported.label(score)}: the limit {number} is drawn in two ways ({shown}), "
            f"document {_name(document)}",
            f"A value of exactly {number} meets one of {shown} and not the other.",
            tuple(used for operator in sorted(by_operator) for used in by_operator[operator]),
            (score, *dict.fromkeys(u.subject for us in by_operator.values() for u in us if _is_measure(u))),
        )


def _is_measure(used: Used) -> bool:
    return used.subject.value.startswith(BASE + "ontology/")


def _limits(
    reported: Reported,
) -> Iterator[tuple[NamedNode, NamedNode, Decimal, str, list[Used]]]:
    """Score, document, number and operator of each limit that a document states."""
    for thing in reported.of_kind("ontology"):
        for score in thing.nodes(STROMA.thresholdOf):
            for value in thing.all(STROMA.threshold):
                for operator in thing.all(STROMA.thresholdOperator):
                    for claim in set(value.claims) & set(operator.claims):
                        if claim.span is not None and value.number is not None:
                            used = [Used(thing.iri, _by(value, claim)), Used(thing.iri, _by(operator, claim))]
                            yield score, claim.span.document, value.number, operator.text, used
    for observation in reported.observations:
        scores = reported.thing(observation.measure).nodes(STROMA.thresholdOf) if observation.measure else ()
        number = observation.get(STROMA.numericValue)
        if number is None or number.number is None or not observation.operator:
            continue
        for score in scores:
            for document in sorted({c.span.document for c in number.claims if c.span}, key=lambda d: d.value):
                yield (
                    score,
                    document,
                    number.number,
                    observation.operator,
                    list(uses(observation, STROMA.numericValue)),
                )


def _by(value: Value, claim: Claim) -> Value:
    """A value as one of its claims states it."""
    return Value(value.predicate, value.term, value.graph, (claim,))


def range_stated_two_ways(reported: Reported) -> Iterator[Finding | None]:
    """Two ranges of one quantity in one document that share one end and differ at the other.

    Doses of regimens in the same unit, and numbers of doses, as a document gives them for its collections of
    trials: "2.5e7 to 3e8 cells" and "2.5e7 to 5e8 cells". The shared end says that one range is meant.

    Left alone: ranges that differ at both ends, other units (cells, cells per kilogram), and single values.

    Minor: a range that holds of more trials can be wider.
    """
    told: dict[tuple[str, str, NamedNode], list[_Range]] = {}
    for document, quantity, unit, found in _ranges(reported):
        told.setdefault((quantity, unit, document), []).append(found)
    for (quantity, _, document), ranges in told.items():
        for one, other in combinations(ranges, 2):
            same_low, same_high = (
                a.value.number == b.value.number for a, b in ((one.low, other.low), (one.high, other.high))
            )
            if same_low and same_high:
                yield None
            if same_low != same_high:
                yield Finding(
                    "ThresholdBoundary",
                    False,
                    f"{quantity}, document {_name(document)}: two ranges, {one} and {other}",
                    f"{one.name}: {one}. {other.name}: {other}. "
                    f"The {'upper' if same_low else 'lower'} ends differ.",
                    (one.low, one.high, other.low, other.high),
                )


@dataclass(frozen=True)
class _Range:
    """Both ends of a range, and what has it."""

    name: str
    low: Used
    high: Used

    def __str__(self) -> str:
        return f"{_plain(self.low.value)} to {_plain(self.high.value)}"


def _ranges(reported: Reported) -> Iterator[tuple[NamedNode, str, str, _Range]]:
    """Document, quantity, unit and ends of each range that a document states."""
    for thing in reported.of_kind("regimen"):
        low, high, unit = (
            _only(thing, STROMA(name), Level.STATED) for name in ("doseLow", "doseHigh", "doseUnit")
        )
        if low and high and unit:
            found = _Range(reported.label(thing.iri), Used(thing.iri, low), Used(thing.iri, high))
            for document in _documents(low, high):
                yield document, "dose", unit.text, found
    for o in reported.observations:
        low, high = o.get(STROMA.rangeLow), o.get(STROMA.rangeHigh)
        if o.level is Level.STATED and o.measure == STROMA.MeasureNumberOfDoses and low and high:
            found = _Range(reported.label(o.group), Used.of(o, low), Used.of(o, high))
            for document in _documents(low, high):
                yield document, reported.label(o.measure), o.unit, found


def _name(document: NamedNode) -> str:
    return document.value.rpartition("/")[2]


def _only(thing: Thing, predicate: NamedNode, level: Level) -> Value | None:
    values = [value for value in thing.all(predicate) if value.level is level]
    return values[0] if len(values) == 1 else None


def _documents(*values: Value) -> list[NamedNode]:
    """The documents that state all these values."""
    each = [{c.span.document for c in value.claims if c.span} for value in values]
    return sorted(set.intersection(*each), key=lambda document: document.value)


def _plain(value: Value) -> str:
    """ "25000000" -> "2.5e7", for people."""
    number = value.number
    if number is None or abs(number) < 100_000:
        return value.text
    digits, _, exponent = f"{number:.3e}".partition("e+")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


# -------------------------------------------------------------------------------------- magnitudes

_FAR = 100  # times below the least or above the greatest of all others
_ENOUGH = 4  # other values, at least, of two other studies or documents


def implausible_magnitude(reported: Reported) -> Iterator[Finding | None]:
    """A number a hundred times below or above every other of its measure and unit.

    Doses of cells are compared within studies and reviews of rheumatoid arthritis, by unit; means and medians
    by measure and unit. At least four other values are needed. A power of ten too few or too many is a common
    error of transcription.

    Left alone: zero and negative values (changes), and animals' doses.

    Major, since a hundredfold is never a matter of rounding.
    """
    return judge_magnitudes([magnitudes(reported)])


@dataclass(frozen=True, slots=True)
class Magnitude:
    """A number above zero, the statement of it, and what has it; those of equal numbers have an order."""

    number: Decimal
    order: tuple[int, str, int]
    used: Used
    of: str


@dataclass(frozen=True, slots=True)
class Magnitudes:
    """Numbers of one measure and unit: how many there are, and the two least and the two greatest."""

    count: int
    least: tuple[Magnitude, ...]
    greatest: tuple[Magnitude, ...]

    @classmethod
    def of(cls, count: int, some: Iterable[Magnitude]) -> Magnitudes:
        """Those of so many numbers, of which `some` have the least and the greatest."""
        each = {one.order: one for one in some}.values()
        ordered = sorted(each, key=lambda one: (one.number, one.order))
        return cls(count, tuple(ordered[:2]), tuple(ordered[-2:]))


def magnitudes(reported: Reported) -> dict[tuple[str, str], Magnitudes]:
    """What `implausible_magnitude` compares, by quantity and unit."""
    found: dict[tuple[str, str], list[Magnitude]] = {}
    numbers = (_doses_of_regimens(reported), _doses_observed(reported), _numbers(reported))
    for kind, told in enumerate(numbers):
        for place, (quantity, unit, used, of) in enumerate(told):
            number = used.value.number
            if number is not None and number > 0:
                one = Magnitude(number, (kind, used.subject.value, place), used, of)
                found.setdefault((quantity, unit), []).append(one)
    return {key: Magnitudes.of(len(some), some) for key, some in found.items()}


def judge_magnitudes(
    parts: Iterable[dict[tuple[str, str], Magnitudes]],
) -> Iterator[Finding | None]:
    """The comparisons of `implausible_magnitude`, over the parts in which the numbers were gathered."""
    found: dict[tuple[str, str], Magnitudes] = {}
    for part in parts:
        for key, some in part.items():
            own = found.get(key, Magnitudes(0, (), ()))
            ends = (*own.least, *own.greatest, *some.least, *some.greatest)
            found[key] = Magnitudes.of(own.count + some.count, ends)
    for (quantity, unit), told in found.items():
        if told.count <= _ENOUGH:
            continue
        (first, second), (last_but_one, last) = told.least, told.greatest
        for one, nearest, ends, way in (
            (first, second, (second, last), "below the least"),
            (last, last_but_one, (first, last_but_one), "above the greatest"),
        ):
            times = max(one.number, nearest.number) / min(one.number, nearest.number)
            if times < _FAR:
                yield None
                continue
            low, high = (_plain(end.used.value) for end in ends)
            yield Finding(
                "ImplausibleMagnitude",
                True,
                f"{quantity}, {one.of}: {_plain(one.used.value)} {unit} is {times:.0f} times {way} other "
                "value",
                f"The other {told.count - 1} values in {unit} run from {low} to {high}; the nearest is "
                f"{_plain(nearest.used.value)} ({nearest.of}).",
                (one.used, nearest.used),
                (),
                key=(one.used,),
            )


def _doses_of_regimens(reported: Reported) -> Iterator[tuple[str, str, Used, str]]:
    """Doses of cells in studies and reviews of rheumatoid arthritis: quantity, unit, statement, of what."""
    for thing in reported.of_kind("regimen"):
        units = {value.text for value in thing.all(STROMA.doseUnit)}
        if len(units) != 1 or not _in_ra(reported, thing.iri):
            continue
        unit = units.pop()
        if not unit.startswith("{cells}"):
            continue
        for predicate in (STROMA.doseAmount, STROMA.doseLow, STROMA.doseHigh):
            for value in thing.all(predicate):
                yield "dose", unit, Used(thing.iri, value), reported.label(thing.iri)


def _doses_observed(reported: Reported) -> Iterator[tuple[str, str, Used, str]]:
    for o in reported.observations:
        if o.measure == STROMA.MeasureCellDose and o.unit.startswith("{cells}"):
            for used in uses(o, STROMA.numericValue, STROMA.rangeLow, STROMA.rangeHigh):
                yield "dose", o.unit, used, reported.label(o.group)


def _in_ra(reported: Reported, regimen: NamedNode) -> bool:
    trials = reported.trials.get(regimen, ())
    if any(STROMA.MSCTherapyForRAStudy in reported.thing(trial).types for trial in trials):
        return True
    return any(regimen in thing.nodes(STROMA.hasIntervention) for thing in reported.of_kind("collection"))


def _numbers(reported: Reported) -> Iterator[tuple[str, str, Used, str]]:
    for o in reported.observations:
        if o.measure is None or o.measure == STROMA.MeasureCellDose or not o.unit or o.operator:
            continue
        for predicate in (STROMA.meanValue, STROMA.medianValue):
            for used in uses(o, predicate):
                yield reported.label(o.measure), o.unit, used, reported.label(o.group)


# ----------------------------------------------------------------------------------- moved numbers


def value_moved_to_another_measure(reported: Reported) -> Iterator[Finding | None]:
    """A number that one line gives for one group, and another line of the document for another measure.

    One line gives measure M for two groups, x for the first and y for the second. Another line gives the
    second group y of M again, and x of another measure. So x seems to have lost its group: what was said of
    the first group's M is said of the second group's other measure.

    Left alone: numbers of fewer than three digits, and 100, which recur by chance; and pairs of which one
    number only recurs.

    Major: a response rate is given to the wrong measure or arm.
    """
    by_line: dict[tuple[NamedNode, int], list[tuple[Observation, Value]]] = {}
    for o in reported.observations:
        value = o.get(STROMA.percentage)
        if value is None or len(value.text.replace(".", "").strip("0")) < 3:
            continue
        for claim in value.claims:
            if claim.span is not None:
                by_line.setdefault((claim.span.document, claim.span.line), []).append((o, value))
    for (document, line), pair in by_line.items():
        for (one, x), (two, y) in ((a, b) for a in pair for b in pair):
            if one.measure != two.measure or one.group == two.group or x.number == y.number:
                continue
            for (document_2, line_2), again in by_line.items():
                if document_2 != document or line_2 == line:
                    continue
                of_second = [(o, v) for o, v in again if o.group == two.group]
                repeated = [o for o, v in of_second if o.measure == two.measure and v.number == y.number]
                if not repeated:
                    continue
                moved = [o for o, v in of_second if o.measure != two.measure and v.number == x.number]
                if not moved:
                    yield None
                    continue
                yield _moved(reported, one, two, repeated[0], moved[0])


def _moved(
    reported: Reported, one: Observation, two: Observation, again: Observation, moved: Observation
) -> Finding:
    x, y = one.get(STROMA.percentage), two.get(STROMA.percentage)
    texts = [value.text if value else "" for value in (x, y)]
    measure, other = (reported.label(o.measure) for o in (one, moved) if o.measure)
    return Finding(
        "MeasureMixUp",
        True,
        f"{texts[0]} %: {measure} of {reported.label(one.group)} in one place, {other} of "
        f"{reported.label(moved.group)} in another",
        f"One line gives {measure} as {texts[0]} % and {texts[1]} % for the two groups; another gives the "
        f"second group {texts[1]} % of {measure} again, and {texts[0]} % of {other}.",
        tuple(u for o in (one, two, again, moved) for u in uses(o, STROMA.percentage)),
        concerned(one, moved),
    )


# ----------------------------------------------------------------------------------- opposite edges


def opposite_claims(reported: Reported) -> Iterator[Finding | None]:
    """One edge that is affirmed and denied, or the opposite said of the same things.

    Opposite are the relations and values that the ontology marks so ("opposite of"): enhances and impairs,
    increases and reduces, promotes and suppresses, improves and worsens, between the same two things; a large
    and a small sample, said of one study; and a positive and a negative proposition of one edge, whoever
    claims them.

    Left alone: edges of other subjects or objects, narrower ones included (a dose, a model, a state are
    things of their own here), claims of different populations, and recommendations.

    Major between two asserted claims; minor where one is hedged.
    """
    for one, other, opposed in edges_compared(reported):
        if not isinstance(one.object, NamedNode) or not (_spoken(one) and _spoken(other)):
            continue
        if not opposed:
            yield None
            continue
        together = [(a, b) for a in _spoken(one) for b in _spoken(other) if a.population == b.population]
        yield _opposed(reported, one, other, together) if together else None


def _spoken(p: Proposition) -> list[Claim]:
    return [claim for claim in p.claims if claim.modality != STROMA.ModalityRecommended]


def _opposed(
    reported: Reported, one: Proposition, other: Proposition, together: Iterable[tuple[Claim, Claim]]
) -> Finding:
    shown = [
        f"{reported.label(p.subject)} {'' if p.positive else 'not '}{reported.label(p.predicate)} "
        f"{reported.label(p.object) if isinstance(p.object, NamedNode) else p.object.value}"
        for p in (one, other)
    ]
    asserted = all(c.modality == STROMA.ModalityAsserted for c in next(iter(together)))
    used = tuple(
        Used(p.subject, Value(p.predicate, p.object, p.claims[0].graph, p.claims), p.positive)
        for p in (one, other)
    )
    objects = dict.fromkeys(p.object for p in (one, other) if isinstance(p.object, NamedNode))
    same = "Subject and object are the same" if len(objects) == 1 else "The subject is the same"
    return Finding(
        "OppositeClaims", asserted, f"{shown[0]}; {shown[1]}",
        f"{same}, and so are the populations of the claims.", used, (one.subject, *objects),
    )  # fmt: skip
