"""Rules on words: significance, words of quantity and of course, populations, advice and practice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pyoxigraph import NamedNode

from kg.evidence import statistics
from kg.evidence.findings import Finding, Used, uses
from kg.evidence.reported import EXACT_SYNONYM, Claim, Comparison, Level, Observation, Reported, Value
from kg.evidence.scope import concerned, described, one_time, share, significant, sizes
from kg.terms import BASE, OBO, RDF, RDFS, STROMA

# -------------------------------------------------------------------------------------- significance


def significance_stated_two_ways(reported: Reported) -> Iterator[Finding | None]:
    """A difference between two groups that is called significant and not significant.

    Compared are judgements of the same groups, measure and planned outcome, and p-values beside them
    (significant below 0.05). A judgement that names no time speaks of every time, so it meets each one that
    does. Where shares of both groups are known, Fisher's exact test says which the numbers support.

    Left alone: judgements that name different times or analysis sets, other measures, and "better" or
    "higher" without a word on significance.

    Major: the conclusion itself is stated both ways.
    """
    judged: dict[tuple[object, ...], list[tuple[Comparison, bool, list[Used]]]] = {}
    for comparison in reported.comparisons:
        if (verdict := _verdict(comparison)) is not None and comparison.measure is not None:
            key = (comparison.groups, comparison.measure, comparison.outcome)
            judged.setdefault(key, []).append((comparison, *verdict))
    of_group = sizes(reported)
    for told in judged.values():
        groups = told[0][0].groups
        denied = [entry for entry in told if not entry[1]]
        affirmed = [entry for entry in told if entry[1]]
        for one, _, stated in _merged(denied):
            against = [entry for entry in affirmed if one_time(one, entry[0])]
            if not against:
                yield None
                continue
            tested = [text for other, _, _ in against if (text := _tested(reported, other, groups, of_group))]
            times = "; ".join(
                dict.fromkeys(described(reported, other).rpartition(", ")[2] for other, _, _ in against)
            )
            yield Finding(
                "OppositeSignificance",
                True,
                f"{described(reported, one)}: called not significant, and significant ({times})",
                "; ".join(dict.fromkeys(tested))
                or "The sources give no numbers from which a test could be recomputed.",
                (*stated, *dict.fromkeys(used for _, _, more in against for used in more)),
                concerned(one),
            )


def _verdict(comparison: Comparison) -> tuple[bool, list[Used]] | None:
    said = comparison.get(STROMA.isSignificant)
    if said is not None:
        return said.text == "true", list(uses(comparison, STROMA.isSignificant))
    p, operator = comparison.number(STROMA.pValue), comparison.get(STROMA.pOperator)
    if p is None:
        return None
    below = significant(p, operator.text if operator else "=")
    return None if below is None else (below, list(uses(comparison, STROMA.pValue, STROMA.pOperator)))


def _merged(
    told: Sequence[tuple[Comparison, bool, list[Used]]],
) -> Iterator[tuple[Comparison, bool, list[Used]]]:
    """Judgements of one scope as one, whatever document states them."""
    scopes: dict[tuple[object, ...], tuple[Comparison, bool, list[Used]]] = {}
    for comparison, verdict, stated in told:
        key = (comparison.months, comparison.label, comparison.analysis_set)
        if key in scopes:
            scopes[key][2].extend(stated)
        else:
            scopes[key] = (comparison, verdict, list(stated))
    yield from scopes.values()


def _tested(
    reported: Reported,
    comparison: Comparison,
    groups: Sequence[NamedNode],
    of_group: Mapping[NamedNode, tuple[int, tuple[Used, ...]]],
) -> str:
    """The numbers of a comparison, and what Fisher's test says of them; "" where they are not known."""
    shares = []
    for group in groups:
        same = {
            found.count: found
            for o in reported.of_group.get(group, ())
            if (o.measure, o.months) == (comparison.measure, comparison.months)
            and (found := share(o, of_group.get(group)))
        }
        if len(same) != 1:
            return ""
        shares.append(next(iter(same.values())))
    one, other = shares
    p = statistics.fisher_exact(one.affected, one.total, other.affected, other.total)
    when = described(reported, comparison).rpartition(", ")[2]
    return f"{when}: {one} against {other}, Fisher's exact test p = {p:.4g}"


# --------------------------------------------------------------------------- words against numbers

_EFFICACY = (
    STROMA.MeasureACR20, STROMA.MeasureACR50, STROMA.MeasureACR70,
    STROMA.MeasureDAS28LowDiseaseActivity, STROMA.MeasureDAS28Remission,
)  # fmt: skip
# Words about improvement in general are read of ACR20, the criterion that the sources name for it.
_IMPROVEMENT = (STROMA.MeasureClinicalImprovement, STROMA.MeasureEffectDuration)


@dataclass(frozen=True)
class _Word:
    """A word of quantity: how our reading of a claim has it, what it means, and the test of that."""

    pattern: re.Pattern[str]
    meaning: str
    holds: Callable[[float], bool]


def _word(pattern: str, meaning: str, holds: Callable[[float], bool]) -> _Word:
    return _Word(re.compile(pattern), meaning, holds)


_QUANTITIES = (
    _word(r"(?:.* )?(?:in|of|for) all (?:treated )?patients|all patients", "all: 100 %", lambda p: p == 100),
    _word(r"(?:.* )?(?:in|for) the great majority", "the great majority: over 75 %", lambda p: p > 75),
    _word(r"(?:.* )?(?:in|of|for) most patients|most(?: patients)?", "most: over 50 %", lambda p: p > 50),
    _word(r"(?:.* )?a (?:few patients|minority)", "a few, a minority: under 50 %", lambda p: p < 50),
    _word(r"no(?:ne| patients?)", "none: 0 %", lambda p: p == 0),
)
_STABLE = re.compile(r"stable|maintained|(?:all efficacy measures|improvement stays) stable")
_STABLE_MEANS = 10  # percentage points
_FELL = re.compile(r"(?:users )?(?:fell|falls?)(?: .*)?|decreased")
_ROSE = re.compile(r"(?:users )?(?:rose|rises?)(?: .*)?|increased")
_KEPT = re.compile(r"kept(?: .*)?")
_KEPT_MEANS = 90  # percent of those at baseline


def quantity_word_against_number(reported: Reported) -> Iterator[Finding | None]:
    """A word of quantity ("most patients") that the group's own percentage denies.

    All means 100 %, the great majority over 75 %, most over 50 %, a few and a minority under 50 %, none 0 %.
    The word is held against the percentage of the same measure and group at the same time, or the latest
    time where it names none; said of a pooled group, it must hold in each group that is pooled, since it is
    said of each. A benefit or improvement is read of ACR20, the criterion the sources name for it.

    Left alone: words of measures without a percentage, words that join two measures ("moderate or low"), and
    groups whose percentage the sources state in two ways.

    Major where the percentage is 5 points or more on the other side.
    """
    numbers = _percentages(reported)
    for observation, value in _words(reported):
        for word in _QUANTITIES:
            if not word.pattern.fullmatch(value.text):
                continue
            for group in _each_group(reported, observation.group):
                measure = _measured(observation)[0]
                series = numbers.get((group, measure), {})
                when = observation.months if observation.months in series else max(series, default=None)
                if observation.months is not None and when != observation.months:
                    continue
                told = series.get(when, []) if when is not None else []
                percents = {percent for percent, _, _ in told}
                if len(percents) != 1:
                    continue
                percent, number, of = told[0]
                if word.holds(percent):
                    yield None
                    continue
                edge = next((limit for limit in (100, 75, 50) if f"{limit} %" in word.meaning), 0)
                yield Finding(
                    "StatementAgainstData",
                    abs(percent - edge) >= 5,
                    f'"{value.text}" is said of {described(reported, observation)}; '
                    f"{described(reported, of)}: {percent:g} %",
                    f"Definition used: {word.meaning}. {reported.label(of.group)} has {percent:g} %.",
                    (Used.of(observation, value), *number),
                    concerned(observation, of),
                )


def course_word_against_numbers(reported: Reported) -> Iterator[Finding | None]:
    """A word on a course ("stable", "fell") that the group's own series of percentages denies.

    Stable and maintained: first and last percentage after baseline less than 10 points apart. Fell (rose):
    every later percentage below (above) that of baseline. Kept: every later percentage at least 90 % of that
    at baseline. Said of improvement in general, stable is held against ACR20; of all efficacy measures,
    against ACR20, 50, 70 and the shares in low disease activity and remission. Claims that call one series by
    one word are one finding.

    Left alone: series of fewer than two times, and scores that the sources only describe. Of a baseline
    stated in two ways both values are tried, and one that fits is enough.

    Minor: where the line lies is a matter of definition, and the page states the definition.
    """
    numbers = _percentages(reported)
    said: dict[tuple[str, NamedNode, NamedNode], list[tuple[Observation, Value]]] = {}
    for observation, value in _words(reported):
        name = next((n for n, (pattern, *_) in _COURSES.items() if pattern.fullmatch(value.text)), None)
        if name is None:
            continue
        for group in _each_group(reported, observation.group):
            for measure in _measured(observation, every="all efficacy measures" in value.text):
                if measure is not None:
                    said.setdefault((name, group, measure), []).append((observation, value))
    for (name, group, measure), claims in said.items():
        _, meaning, from_baseline, holds = _COURSES[name]
        series = numbers.get((group, measure), {})
        times = [when for when in sorted(series) if from_baseline or when > 0]
        if len(times) < 2 or (from_baseline and times[0] != 0):
            continue
        courses = [
            [first, *(series[when][0][0] for when in times[1:])]
            for first in dict.fromkeys(percent for percent, _, _ in series[times[0]])
        ]
        if any(holds(course) for course in courses):
            yield None
            continue
        shown = ", ".join(f"month {when:f}: {series[when][0][0]:g} %" for when in times)
        observations = [observation for observation, _ in claims]
        yield Finding(
            "StatementAgainstData",
            False,
            f'"{name}" is said of {reported.label(measure)}, {reported.label(group)}; it goes from '
            f"{courses[0][0]:g} % to {courses[0][-1]:g} %",
            f"Definition used: {meaning}. The series: {shown}.",
            tuple(
                dict.fromkeys(
                    (
                        *(Used.of(o, v) for o, v in claims),
                        *(u for when in times for _, used, _ in series[when] for u in used),
                    )
                )
            ),
            (group, measure, *dict.fromkeys(s for o in observations for s in o.studies)),
            key=tuple(
                dict.fromkeys(u for w in (times[0], times[-1]) for _, used, _ in series[w] for u in used)
            ),
        )


_COURSES: Mapping[str, tuple[re.Pattern[str], str, bool, Callable[[Sequence[float]], bool]]] = {
    "stable": (
        _STABLE,
        f"stable: first and last value after baseline less than {_STABLE_MEANS} percentage points apart",
        False,
        lambda course: abs(course[0] - course[-1]) < _STABLE_MEANS,
    ),
    "fell": (
        _FELL, "fell: every later value below baseline", True,
        lambda course: all(later < course[0] for later in course[1:]),
    ),
    "rose": (
        _ROSE, "rose: every later value above baseline", True,
        lambda course: all(later > course[0] for later in course[1:]),
    ),
    "kept": (
        _KEPT, f"kept: every later value at least {_KEPT_MEANS} % of baseline", True,
        lambda course: all(later >= course[0] * _KEPT_MEANS / 100 for later in course[1:]),
    ),
}  # fmt: skip

_Percentage = tuple[float, tuple[Used, ...], Observation]


def _percentages(
    reported: Reported,
) -> dict[tuple[NamedNode, NamedNode | None], dict[Decimal, list[_Percentage]]]:
    """By group and measure, the percentages of each month, as printed or as n of N gives them."""
    found: dict[tuple[NamedNode, NamedNode | None], dict[Decimal, list[_Percentage]]] = {}
    for o in reported.observations:
        if o.months is None or o.operator or o.level is Level.RECORDED:
            continue
        percent = o.number(STROMA.percentage)
        if percent is not None:
            entry = (float(percent), uses(o, STROMA.percentage), o)
        elif (of := share(o)) is not None:
            entry = (of.percent, of.used, o)
        else:
            continue
        told = found.setdefault((o.group, o.measure), {}).setdefault(o.months, [])
        told.append(entry)
    return found


def _words(reported: Reported) -> Iterator[tuple[Observation, Value]]:
    for observation in reported.observations:
        if observation.level is Level.STATED:
            for value in observation.all(STROMA.valueText):
                yield observation, value


def _each_group(reported: Reported, group: NamedNode) -> Iterable[NamedNode]:
    """A group, or the groups that it pools."""
    pooled = [g for g in reported.thing(group).nodes(STROMA.pools) if not g.value.startswith(BASE + "trial/")]
    return pooled if len(pooled) > 1 else [group]


def _measured(observation: Observation, *, every: bool = False) -> tuple[NamedNode | None, ...]:
    """The measures whose numbers a word is held against."""
    if every:
        return _EFFICACY
    return (STROMA.MeasureACR20,) if observation.measure in _IMPROVEMENT else (observation.measure,)


# ------------------------------------------------------------------------------------- populations


def population_against_group(reported: Reported) -> Iterator[Finding | None]:
    """A claim whose words give another species than the group has that its numbers are of.

    What the source prints (stroma:sourceSpecies) is held against the species of the group, or against people
    where the group is an arm of a clinical trial. Claims of one line are one finding.

    Left alone: claims that name no species, and groups of animals described as animals.

    Major: a result in people is given as one in animals, or the other way round.
    """
    human = NamedNode("http://purl.obolibrary.org/obo/NCBITaxon_9606")
    lines: dict[tuple[object, ...], list[tuple[Claim, NamedNode, Used]]] = {}
    for result in (*reported.observations, *reported.comparisons):
        groups = result.groups_of()
        species = {s for g in groups for s in reported.thing(g).nodes(STROMA.ofSpecies)}
        if not species and any(reported.trials_of(group) for group in groups):
            species = {human}
        if len(species) != 1:
            continue
        for used in uses(result):
            for claim in used.value.claims:
                if claim.species is None or claim.span is None:
                    continue
                if _within(reported, claim.species, species):
                    yield None
                    continue
                key = (claim.span.document, claim.span.line, claim.species, *species)
                measure = result.measure or result.iri
                lines.setdefault(key, []).append((claim, measure, used))
    for (document, line, printed, real), told in lines.items():
        if not isinstance(document, NamedNode) or not isinstance(printed, NamedNode):
            continue
        species_of = reported.label(real) if isinstance(real, NamedNode) else str(real)
        measures = list(dict.fromkeys(measure for _, measure, _ in told))
        named = ", ".join(reported.label(measure) for measure in measures)
        yield Finding(
            "PopulationAgainstGroup",
            True,
            f"document {document.value.rpartition('/')[2]}, line {line}: {reported.label(printed)} is "
            f"printed of results in {species_of}",
            f"The groups are of {species_of}; the words give {reported.label(printed)}. Measures: {named}.",
            tuple(dict.fromkeys(used for _, _, used in told)),
            tuple(measures),
        )


def _within(reported: Reported, printed: NamedNode, species: set[NamedNode]) -> bool:
    """Whether two taxa can be of one animal: one is the other, or above it."""
    above = {printed, *reported.superclasses.get(printed, ())}
    return any(kind in above or printed in reported.superclasses.get(kind, ()) for kind in species)


# ------------------------------------------------------------------------------------ printed routes

_NO_NAME = {"injection", "infusion", "administration", "route", "given", "by", "the", "into", "of", "and"}


def route_text_against_route(reported: Reported) -> Iterator[Finding | None]:
    """A printed route that names no route, or another than the one it was read as.

    The words that a document prints (stroma:routeText) must share a word with the names of the route that
    curators read in them: its label, its exact synonyms and abbreviations. "Injection" and the like are no
    names.

    Left alone: routes without printed words, and the words of registries and reviews, which loaders read by
    rule.

    Minor: it concerns how a document is to be read.
    """
    for regimen in reported.of_kind("regimen"):
        for printed in regimen.all(STROMA.routeText):
            routes = [v for v in regimen.all(STROMA.hasRoute) if v.level is Level.STATED]
            if printed.level is not Level.STATED or not routes:
                continue
            names = {
                word
                for route in regimen.nodes(STROMA.hasRoute)
                for name in _names(reported, route)
                for word in _meaning(name)
            }
            if _meaning(printed.text) & names:
                yield None
                continue
            read = ", ".join(dict.fromkeys(_label(reported, value) for value in routes))
            yield Finding(
                "Translation",
                False,
                f'{reported.label(regimen.iri)}: "{printed.text}" is printed, which is no route of its own; '
                f"read as {read}",
                f'"{printed.text}" shares no word with the names of {read}.',
                (Used(regimen.iri, printed), *(Used(regimen.iri, value) for value in routes)),
                (regimen.iri, *regimen.nodes(STROMA.hasRoute)),
            )


def _names(reported: Reported, term: NamedNode) -> Iterator[str]:
    thing = reported.thing(term)
    for predicate in (RDFS.label, EXACT_SYNONYM, STROMA.abbreviation):
        yield from (value.text for value in thing.all(predicate))


def _meaning(name: str) -> set[str]:
    return set(re.split(r"[\s,()]+", name.lower())) - _NO_NAME - {""}


def _label(reported: Reported, value: Value) -> str:
    return reported.label(value.term) if isinstance(value.term, NamedNode) else value.text


# ----------------------------------------------------------------------------- advice and practice


def recommendation_against_practice(reported: Reported) -> Iterator[Finding | None]:
    """A study that did what a source advises against, and reports a response.

    A recommendation that one kind of therapy should not be combined with a class of drugs is held against
    the groups of studies in rheumatoid arthritis that were given MSCs and took a drug of that class, or of a
    class with known members in it (methotrexate is an immunosuppressant and a conventional synthetic DMARD),
    and of which some improvement is reported. One finding a study.

    Left alone: studies without results, groups without the therapy, other co-medication, other diseases.

    Minor: advice and report can both be right; the reader should see them together.
    """
    for advice in reported.propositions:
        if advice.predicate != STROMA.shouldNotBeCombinedWith or not isinstance(advice.object, NamedNode):
            continue
        stated = Used(
            advice.subject,
            Value(advice.predicate, advice.object, advice.claims[0].graph, advice.claims),
            advice.positive,
        )
        by_study: dict[NamedNode, dict[Used, str]] = {}
        responded: dict[NamedNode, list[Used]] = {}
        for group, study, taken in _practice(reported, advice.object):
            results = _responses(reported, group)
            if not results:
                yield None
                continue
            by_study.setdefault(study, {}).update(taken)
            responded.setdefault(study, []).extend(results)
        for study, taken in by_study.items():
            drugs = ", ".join(dict.fromkeys(taken.values()))
            yield Finding(
                "RecommendationAgainstPractice",
                False,
                f"{reported.label(study)}: MSCs with {drugs}; a source advises not to combine them with any "
                f"{reported.label(advice.object)}",
                f"Of the groups that took {drugs}, a response is reported.",
                (stated, *taken, *dict.fromkeys(responded[study])),
                (study, advice.object),
                key=(stated, *taken),
            )


def _practice(reported: Reported, drugs: NamedNode) -> Iterator[tuple[NamedNode, NamedNode, dict[Used, str]]]:
    """Groups given MSCs that took drugs of a class: group, study, and each co-medication with its name."""
    # Of what is known of drugs only from records of single trials, none is an example of its class.
    members = [
        product
        for product in reported.of_kind("product")
        if drugs in _classes(reported, product.iri)
        and any(v.level in (Level.STATED, Level.COMPILED) for v in product.all(RDF.type))
    ]
    for thing in (*reported.of_kind("arm"), *reported.of_kind("group")):
        given = [
            product
            for regimen in thing.nodes(STROMA.hasIntervention)
            for product in reported.thing(regimen).nodes(STROMA.administers)
        ]
        if not any(STROMA.MSCProduct in reported.thing(product).types for product in given):
            continue
        taken: dict[Used, str] = {}
        for value in thing.all(STROMA.hasCoMedication):
            if not isinstance(value.term, NamedNode):
                continue
            name = reported.label(value.term).partition(",")[0]
            if drugs in _classes(reported, value.term):
                taken[Used(thing.iri, value)] = name
                continue
            kinds = _only_class(reported, value.term)
            such = [member for member in members if kinds & _classes(reported, member.iri)]
            if such:
                taken[Used(thing.iri, value)] = f"{name} (such as {reported.label(such[0].iri)})"
        for study in reported.trials.get(thing.iri, ()) if taken else ():
            if STROMA.MSCTherapyForRAStudy in reported.thing(study).types:
                yield thing.iri, study, taken


def _classes(reported: Reported, product: NamedNode) -> set[NamedNode]:
    types = reported.thing(product).types
    return {*types, *(above for kind in types for above in reported.superclasses.get(kind, ()))}


def _only_class(reported: Reported, product: NamedNode) -> set[NamedNode]:
    """The classes by which alone a product is known: of a "biologic DMARD, drug not stated"."""
    thing = reported.thing(product)
    if thing.nodes(OBO.RO_0002248):
        return set()
    stated = {v.term for v in thing.all(RDF.type) if v.level is not Level.INFERRED}
    return {kind for kind in stated if isinstance(kind, NamedNode)} - {STROMA.DrugProduct}


def _responses(reported: Reported, group: NamedNode) -> list[Used]:
    """The latest share of ACR20 responders of a group; without one, words of improvement."""
    of_group = reported.of_group.get(group, ())
    acr20 = [o for o in of_group if o.measure == STROMA.MeasureACR20 and o.number(STROMA.percentage)]
    if acr20:
        return list(uses(max(acr20, key=lambda o: o.months or 0), STROMA.percentage))
    return [
        used
        for o in of_group
        for used in uses(o, STROMA.valueText)
        if o.measure in _IMPROVEMENT or re.match("lower|improv|better|higher", used.value.text)
    ]
