"""What a registry announces of a trial beside what is reported of it: outcomes, participants, arms.

Hides how an outcome is matched with results (by measure and time, where curators' tables say which measure an
outcome is and which measures count as another), how arms are matched (by treatment, never by name alone), and
when results can be expected. What is not found is not found in this graph, which mostly holds abstracts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pyoxigraph import Literal, NamedNode, Quad

from kg.evidence.derived import plain
from kg.evidence.likeness import words
from kg.evidence.links import GRAPH, Links
from kg.evidence.reported import Level, Reported, Result, Term, Thing
from kg.terms import DCTERMS, OBO, PROV, RDF, RDFS, STROMA, XSD, digest, mint

_PAPERS = (Level.COMPILED,)  # what papers report, as compiled
_REPORTS = (Level.COMPILED, Level.STATED)  # and what documents retell of it
# A paper that was linked with less confidence is listed, and not compared.
_SURE_ENOUGH = frozenset({STROMA.ConfidenceMedium, STROMA.ConfidenceMediumHigh, STROMA.ConfidenceHigh})
# Of these kinds no outcome is made: who took part, what was given.
_NO_OUTCOME = frozenset(
    {
        STROMA.DemographicMeasure, STROMA.DispositionMeasure, STROMA.DoseMeasure, STROMA.RegistryMeasure,
        STROMA.CoMedicationMeasure, STROMA.CellProductMeasure, STROMA.EpidemiologyMeasure,
    }
)  # fmt: skip
_OPEN = frozenset(
    {
        STROMA.StatusNotYetRecruiting, STROMA.StatusRecruiting, STROMA.StatusEnrollingByInvitation,
        STROMA.StatusActiveNotRecruiting,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing as registered beside the same thing as reported; either side may be empty.

    `kind` is stroma:OutcomeComparison, ArmComparison or EnrollmentComparison, `result` a stroma:Result….
    `numbers` are (property, count) of an enrolment; `evidence` is what else it rests on.
    """

    kind: NamedNode
    trial: NamedNode
    result: NamedNode
    text: str  # what was compared, with the numbers
    registered: tuple[NamedNode, ...] = ()
    reported: tuple[NamedNode, ...] = ()
    numbers: tuple[tuple[NamedNode, int], ...] = ()
    evidence: tuple[NamedNode, ...] = ()

    @property
    def iri(self) -> NamedNode:
        """`comparison/registry/<digest>` of what is compared; an outcome keeps its name when results come."""
        sides: tuple[NamedNode, ...] = (*self.registered, *self.reported, *self.evidence)
        if self.kind == STROMA.OutcomeComparison and self.registered:
            sides = (*self.registered, *(self.reported if self.result == STROMA.ResultRoleChanged else ()))
        named = sorted(node.value for node in sides)
        return mint("comparison", "registry", digest(self.kind.value, self.trial.value, *named))


def compare(reported: Reported, links: Links) -> tuple[Compared, ...]:
    """The comparisons of every registered trial of which a report is held, and of all of MSCs in RA.

    Sorted by trial.
    """
    found: dict[NamedNode, Compared] = {}
    reports = _Reports(reported, links)
    for trial in reported.of_kind("trial"):
        if not any(value.level is Level.RECORDED for value in trial.all(PROV.wasDerivedFrom)):
            continue
        told = _Told(reported, links, trial, reports)
        if told.results or told.studies or STROMA.MSCTherapyForRAStudy in trial.types:
            for each in (*_outcomes(told), *_enrollments(told), *_arms(told)):
                found.setdefault(each.iri, each)
    return tuple(sorted(found.values(), key=lambda each: (each.trial.value, each.iri.value)))


class _Reports:
    """What documents and curators report, by what it is looked up by: a trial is never held against all."""

    def __init__(self, reported: Reported, links: Links) -> None:
        self._links = links
        self._order: dict[NamedNode, int] = {}  # of the studies and results that are reported
        self._of_article: dict[NamedNode, list[Thing]] = {}
        self._same_as: dict[NamedNode, list[Thing]] = {}
        self._of_study: dict[NamedNode, list[Result]] = {}
        self.claimed: dict[NamedNode, dict[NamedNode, Term]] = {}  # of a study: claim -> publication
        for study in reported.of_kind("trial"):
            self._order[study.iri] = len(self._order)
            for article in {links.same.get(p, p) for p in _publications(study)}:
                self._of_article.setdefault(article, []).append(study)
            for trial in study.nodes(STROMA.correspondsTo):
                self._same_as.setdefault(trial, []).append(study)
        for result in (*reported.observations, *reported.comparisons):
            if result.level in _REPORTS and result.measure is not None:
                self._order[result.iri] = len(self._order)
                for of in set(result.studies):
                    self._of_study.setdefault(of, []).append(result)
        for edge in reported.propositions:
            if edge.predicate == STROMA.hasPublication:
                said = self.claimed.setdefault(edge.subject, {})
                said |= dict.fromkeys((claim.iri for claim in edge.claims), edge.object)

    def studies(
        self, trial: NamedNode, articles: Iterable[NamedNode]
    ) -> dict[NamedNode, tuple[NamedNode, ...]]:
        """The studies that articles report, or that are called the trial, each with those of the articles."""
        articles = frozenset(articles)
        met = [*self._same_as.get(trial, ())]
        met += [study for article in articles for study in self._of_article.get(article, ())]
        each = {study.iri: study for study in met}
        same = self._links.same
        return {
            iri: tuple(article for p in _publications(each[iri]) if (article := same.get(p, p)) in articles)
            for iri in sorted(each, key=self._order.__getitem__)
        }

    def results(self, studies: Iterable[NamedNode]) -> list[Result]:
        """The results of studies, each once, in the order of all."""
        met = {result.iri: result for study in studies for result in self._of_study.get(study, ())}
        return [met[iri] for iri in sorted(met, key=self._order.__getitem__)]


def _publications(study: Thing) -> Iterator[NamedNode]:
    """The publications that documents or curators, not a registry, name of a study."""
    for value in study.all(STROMA.hasPublication):
        if value.level in _REPORTS and isinstance(value.term, NamedNode):
            yield value.term


class _Told:
    """What is told of a registered trial, apart from its record: studies, results, publications."""

    def __init__(
        self,
        reported: Reported,
        links: Links,
        trial: Thing,
        reports: _Reports,
    ) -> None:
        self.reported, self.trial = reported, trial
        self.links = [
            link
            for link in links.reporting(trial.iri)
            if link.says == STROMA.hasPublication and link.confidence in _SURE_ENOUGH
        ]
        publications = {link.publication for link in self.links}
        self.publications = tuple(sorted(publications, key=lambda node: node.value))
        # The studies that its publications report, under the trial's own name or one of their own.
        self.studies = reports.studies(trial.iri, publications)
        self.results = reports.results({*self.studies, trial.iri})
        self.reports = reports
        self.counted_as: dict[NamedNode, frozenset[NamedNode]] = {}

    def answers(self, measure: NamedNode) -> list[Result]:
        """The results after treatment of a measure, or of one that curators let count as it."""
        return [
            result
            for result in self.results
            if result.measure is not None
            and result.months != 0
            and measure in self._counts_as(result.measure)
        ]

    def _counts_as(self, measure: NamedNode) -> frozenset[NamedNode]:
        if measure not in self.counted_as:
            found, todo = {measure}, [measure]
            while todo:
                for wider in self.reported.thing(todo.pop()).nodes(STROMA.countsAs):
                    if wider not in found:
                        found.add(wider)
                        todo.append(wider)
            self.counted_as[measure] = frozenset(found)
        return self.counted_as[measure]

    def papers_of(self, results: Iterable[Result]) -> tuple[NamedNode, ...]:
        """The publications whose studies gave results."""
        studies = (study for result in results for study in result.studies)
        return tuple(dict.fromkeys(p for study in studies for p in self.studies.get(study, ())))

    def linked(self, publications: Iterable[NamedNode] = ()) -> tuple[NamedNode, ...]:
        """The links to publications, to all of them where none is named."""
        of = set(publications) or set(self.publications)
        return tuple(link.iri for link in self.links if link.publication in of)

    def proviso(self, publications: Iterable[NamedNode] = ()) -> str:
        """What to mind where no link to these publications is sure; "" where one is."""
        of = set(publications) or set(self.publications)
        links = [link for link in self.links if link.publication in of]
        if not links or any(link.asserted for link in links):
            return ""
        return " The report is linked to the trial with medium confidence only."

    def covers(self, registered: NamedNode, measure: NamedNode) -> bool:
        """Whether a registered measure speaks of the reported one, in either direction."""
        return registered in self._counts_as(measure) or measure in self._counts_as(registered)

    def kinds(self, measure: NamedNode) -> frozenset[NamedNode]:
        """The classes of a measure."""
        types = self.reported.thing(measure).types
        return types.union(*(self.reported.superclasses.get(kind, frozenset()) for kind in types))


# --------------------------------------------------------------------------------------------- outcomes


def _outcomes(told: _Told) -> Iterator[Compared]:
    reported = told.reported
    outcomes = [reported.thing(outcome) for outcome in told.trial.nodes(STROMA.hasPlannedOutcome)]
    registered: set[NamedNode] = set()
    for outcome in outcomes:
        measures = outcome.nodes(STROMA.forMeasure)
        registered |= set(measures)
        yield from _outcome(told, outcome, measures)
    yield from _roles(told, outcomes)
    if not registered:
        return
    safety = any(STROMA.SafetyMeasure in told.kinds(measure) for measure in registered)
    papers = [result for result in told.results if result.level in _PAPERS]
    for measure in sorted({r.measure for r in papers if r.measure is not None}, key=str):
        kinds = told.kinds(measure)
        if kinds & _NO_OUTCOME or (safety and STROMA.SafetyMeasure in kinds):
            continue
        if not any(told.covers(planned, measure) for planned in registered):
            of = [result for result in papers if result.measure == measure]
            yield Compared(
                STROMA.OutcomeComparison,
                told.trial.iri,
                STROMA.ResultNotRegistered,
                f"Reported: {reported.label(measure)}{_when(of)}. No outcome of the record names it."
                + told.proviso(told.papers_of(of)),
                reported=(measure, *(result.iri for result in of)),
                evidence=told.linked(told.papers_of(of)),
            )


def _outcome(told: _Told, outcome: Thing, measures: Sequence[NamedNode]) -> Iterator[Compared]:
    """What became of one planned outcome; nothing where it names no measure and results are held."""
    planned = sorted({v.number for v in outcome.all(STROMA.timeFrameMonths) if v.number is not None})
    answers = {measure: told.answers(measure) for measure in measures}
    results = [result for found in answers.values() for result in found]
    used = tuple(dict.fromkeys(result.iri for result in results))
    posted = outcome.text(STROMA.resultsPostedDate)
    if posted:
        result, text = STROMA.ResultReported, f"Results are posted in the registry ({posted})."
    elif not told.results:
        result, text = _nothing_held(told)
    elif not measures:
        return
    else:
        result, text = _judged(told, answers, planned)
    if posted and used:
        text += f" Reported elsewhere: {_listed(told, answers)}."
    if used:
        text += told.proviso(told.papers_of(results))
    links = told.linked(told.papers_of(results))
    yield Compared(STROMA.OutcomeComparison, told.trial.iri, result, text, (outcome.iri,), used, (), links)


def _judged(
    told: _Told, answers: dict[NamedNode, list[Result]], planned: Sequence[Decimal]
) -> tuple[NamedNode, str]:
    missing = [measure for measure, found in answers.items() if not found]
    times = {measure: _timely(found, planned) for measure, found in answers.items() if found}
    parts = []
    if times:
        parts.append(f"Reported: {_listed(told, answers)}.")
    if missing:
        names = ", ".join(map(told.reported.label, missing))
        parts.append(f"Not found in what this graph holds of the reports: {names}.")
    if planned:
        parts.append(f"Registered for {_months([time for time in planned if time] or planned)}.")
    text = " ".join(parts)
    if not times:
        return STROMA.ResultNotFound, text
    if missing:
        return STROMA.ResultPartlyReported, text
    if all(timely for timely in times.values()):
        return STROMA.ResultReported, text
    if any(timely is False for timely in times.values()):
        return STROMA.ResultReportedAtOtherTime, text
    return STROMA.ResultReportedWithoutTime, text


def _timely(found: Iterable[Result], planned: Sequence[Decimal]) -> bool | None:
    """Whether a result is of a registered time; None where none is and one does not tell its time."""
    found = list(found)
    told = [result.months for result in found if result.months is not None]
    if not planned or any(same_time(one, other) for one in told for other in planned if other != 0):
        return True
    return None if len(told) < len(found) else False


def same_time(one: Decimal, other: Decimal) -> bool:
    """Whether two times in months are one: a tenth apart at most, as week 12 and month 3, or a week."""
    return abs(one - other) <= max(Decimal("0.23"), max(one, other) / 10)


def _nothing_held(told: _Told) -> tuple[NamedNode, str]:
    due, why = results_due(told.trial)
    if not due:
        return STROMA.ResultNotDue, why
    text = "This graph holds no results of the trial"
    if linked := len(told.publications):
        text += f" ({linked} linked publication{'s' if linked > 1 else ''}, known by title only)"
    if posted := told.trial.text(STROMA.resultsPostedDate):
        why += f" The registry posted results ({posted})."
    return STROMA.ResultNoReportHeld, f"{text}. {why}"


def results_due(trial: Thing) -> tuple[bool, str]:
    """Whether a trial had ended a year before the date of its newest record, and what that goes by.

    A year after the end of data collection is when registries and the WHO ask for results.
    """
    as_of = max((v.text for v in trial.all(STROMA.statusAsOf) if v.level is Level.RECORDED), default="")
    statuses = {v.term for v in trial.all(STROMA.hasStatus) if v.level is Level.RECORDED}
    ends = [
        value
        for predicate in (STROMA.primaryCompletionDate, STROMA.completionDate)
        for value in trial.all(predicate)
        if value.level is Level.RECORDED
    ]
    if statuses and statuses <= _OPEN:
        return False, f"By its record ({as_of or 'undated'}) it had not ended."
    if not ends:
        return True, "When it ended is not recorded."
    end = min(value.text for value in ends)
    if as_of and _later(end, 12) > as_of:
        return False, f"Its data were to be complete in {end}, less than a year before the record ({as_of})."
    return True, f"Its data were to be complete in {end}."


def _later(date: str, months: int) -> str:
    """A date so many months later, in the precision it has."""
    year, _, rest = date.partition("-")
    month, _, day = rest.partition("-")
    if not month:
        return str(int(year) + months // 12)
    count = int(year) * 12 + int(month) - 1 + months
    return "-".join(filter(None, (f"{count // 12:04d}", f"{count % 12 + 1:02d}", day)))


def _roles(told: _Told, outcomes: Sequence[Thing]) -> Iterator[Compared]:
    """Outcomes that one place calls primary and the posted results secondary, or the other way round."""
    for planned in outcomes:
        for posted in outcomes:
            roles = {planned.text(STROMA.outcomeRole), posted.text(STROMA.outcomeRole)}
            if (
                posted.text(STROMA.resultsPostedDate)
                and not planned.text(STROMA.resultsPostedDate)
                and roles == {"primary", "secondary"}
                and words(planned.text(RDFS.label)) == words(posted.text(RDFS.label))
                and _same_frame(planned, posted)
            ):
                yield Compared(
                    STROMA.OutcomeComparison,
                    told.trial.iri,
                    STROMA.ResultRoleChanged,
                    f"Registered as {planned.text(STROMA.outcomeRole)}, posted as "
                    f"{posted.text(STROMA.outcomeRole)}: {planned.text(RDFS.label)}",
                    (planned.iri,),
                    (posted.iri,),
                )


def _same_frame(one: Thing, other: Thing) -> bool:
    frames = [{v.number for v in thing.all(STROMA.timeFrameMonths)} for thing in (one, other)]
    return not all(frames) or bool(frames[0] & frames[1])


def _listed(told: _Told, answers: dict[NamedNode, list[Result]]) -> str:
    parts = []
    for measure, found in answers.items():
        by = dict.fromkeys(result.measure for result in found if result.measure is not None)
        named = ", ".join(told.reported.label(each) for each in by)
        as_another = f"{told.reported.label(measure)}, as " if found and measure not in by else ""
        parts += [f"{as_another}{named}{_when(found)}"] if found else []
    return "; ".join(parts)


def _when(found: Iterable[Result]) -> str:
    """ " at months 1, 3", " (time not told)": when results are of."""
    found = list(found)
    told = sorted({result.months for result in found if result.months is not None})
    untold = any(result.months is None for result in found)
    if not told:
        return " (time not told)"
    return f" at {_months(told)}{' and at times not told' if untold else ''}"


def _months(times: Sequence[Decimal]) -> str:
    return f"month{'s' if len(times) > 1 else ''} {', '.join(map(plain, times))}"


# ------------------------------------------------------------------------------------------- enrolment


def _enrollments(told: _Told) -> Iterator[Compared]:
    """Planned against actual, by the records; and either against what each publication reports."""
    planned, actual = _recorded(told, "Estimated"), _recorded(told, "Actual")
    if planned and actual:
        yield _counts(told, planned, actual, STROMA.actualEnrollment, "actual")
    elif actual:
        yield Compared(
            STROMA.EnrollmentComparison, told.trial.iri, STROMA.ResultPlanNotHeld,
            f"{actual[0]} took part ({actual[1]}); no record with the plan is held.",
            numbers=((STROMA.actualEnrollment, actual[0]),), evidence=(actual[2],),
        )  # fmt: skip
    elif planned:
        yield Compared(
            STROMA.EnrollmentComparison, told.trial.iri, STROMA.ResultActualUnknown,
            f"{planned[0]} were planned ({planned[1]}); no record with the actual number is held.",
            numbers=((STROMA.plannedEnrollment, planned[0]),), evidence=(planned[2],),
        )  # fmt: skip
    for publication, count in _reported_sizes(told):
        name = told.reported.label(publication)
        if actual:
            same = count == actual[0]
            yield Compared(
                STROMA.EnrollmentComparison, told.trial.iri,
                STROMA.ResultAgrees if same else STROMA.ResultDiffers,
                f"{actual[0]} by the registry ({actual[1]}), {count} as reported ({name})."
                + told.proviso([publication]),
                reported=(publication,),
                numbers=((STROMA.actualEnrollment, actual[0]), (STROMA.reportedEnrollment, count)),
                evidence=(actual[2], *told.linked([publication])),
            )  # fmt: skip
        elif planned:
            reported = (count, name, publication)
            yield _counts(told, planned, reported, STROMA.reportedEnrollment, "reported")


_Size = tuple[int, str, NamedNode]  # a number of participants, where it stands, and that thing


def _counts(told: _Told, planned: _Size, enrolled: _Size, number: NamedNode, word: str) -> Compared:
    result = STROMA.ResultAsPlanned
    if enrolled[0] != planned[0]:
        fewer = enrolled[0] < planned[0]
        result = STROMA.ResultFewerThanPlanned if fewer else STROMA.ResultMoreThanPlanned
    text = f"{planned[0]} planned ({planned[1]}), {enrolled[0]} {word} ({enrolled[1]})."
    told_by_paper = number == STROMA.reportedEnrollment
    return Compared(
        STROMA.EnrollmentComparison, told.trial.iri, result,
        text + (told.proviso([enrolled[2]]) if told_by_paper else ""),
        reported=(enrolled[2],) if told_by_paper else (),
        numbers=((STROMA.plannedEnrollment, planned[0]), (number, enrolled[0])),
        evidence=(planned[2], *(told.linked([enrolled[2]]) if told_by_paper else (enrolled[2],))),
    )  # fmt: skip


def _recorded(told: _Told, kind: str) -> _Size | None:
    """The number of a kind that the newest record with one gives."""
    found = []
    for record in map(told.reported.thing, told.trial.nodes(PROV.wasDerivedFrom)):
        numbers = {v.number for v in record.all(STROMA.enrollmentCount)}
        if record.text(STROMA.enrollmentType) == kind and len(numbers) == 1:
            number, date = numbers.pop(), record.text(STROMA.retrievedDate)
            if number is not None:
                found.append((date, int(number), record.iri))
    if not found:
        return None
    date, count, iri = max(found, key=lambda each: (each[0], each[2].value))
    return count, f"record of {date}" if date else "undated record", iri


def _reported_sizes(told: _Told) -> Iterator[tuple[NamedNode, int]]:
    """What publications give as the number of participants, each with its publication."""
    of_claim = {
        claim: publication
        for study in told.studies
        for claim, publication in told.reports.claimed.get(study, {}).items()
    }
    for study, publications in told.studies.items():
        for value in told.reported.thing(study).all(STROMA.enrollmentCount):
            if value.level not in _REPORTS or value.number is None:
                continue
            named = {of_claim[claim.iri] for claim in value.claims if claim.iri in of_claim}
            of = [node for node in named if isinstance(node, NamedNode)] or list(publications)
            if len(of) == 1:
                yield of[0], int(value.number)


# ------------------------------------------------------------------------------------------------ arms


@dataclass(frozen=True, slots=True)
class _Arm:
    """An arm by what it gets. `doses` and `ranges` are of cells, with units; `others` ingredients besides."""

    iri: NamedNode
    label: str
    cells: bool
    placebo: bool
    doses: frozenset[tuple[Decimal, str]]
    ranges: frozenset[tuple[Decimal, Decimal, str]]
    others: frozenset[NamedNode]


def _arms(told: _Told) -> Iterator[Compared]:
    """The registered arms beside those of each paper's study, and beside the registry's results groups."""
    registered = _arms_of(told.reported, told.trial, (Level.RECORDED,))
    if not registered:
        return
    papers = {
        study: arms
        for study in told.studies
        if (arms := _arms_of(told.reported, told.reported.thing(study), _PAPERS))
        # A study compiled as "MSC" alone tells neither how its arms are called nor whether there were others.
        and not any(words(_own_name(arm.label)) == ["msc"] for arm in arms)
    }
    touched: set[NamedNode] = set()
    for study, arms in papers.items():
        fits = {arm.iri: [r for r in registered if same_treatment(r, arm, registered)] for arm in arms}
        touched |= {planned.iri for found in fits.values() for planned in found}
        yield from _matched(told, registered, arms, fits, told.studies[study])
    for planned in registered if papers else ():
        # A reported arm that fits several registered ones is none of them: which would be a guess.
        if planned.iri not in touched:
            yield Compared(
                STROMA.ArmComparison, told.trial.iri, STROMA.ResultNotFound,
                f'"{planned.label}" is in none of the reports that this graph holds.' + told.proviso(),
                (planned.iri,), evidence=told.linked(),
            )  # fmt: skip
    yield from _results_groups(told, registered)


def _arms_of(reported: Reported, study: Thing, levels: tuple[Level, ...]) -> list[_Arm]:
    return [
        _arm(reported, reported.thing(value.term))
        for value in study.all(STROMA.hasArm)
        if value.level in levels and isinstance(value.term, NamedNode)
    ]


def _arm(reported: Reported, arm: Thing) -> _Arm:
    cells = placebo = False
    doses: set[tuple[Decimal, str]] = set()
    ranges: set[tuple[Decimal, Decimal, str]] = set()
    others: set[NamedNode] = set()
    for regimen in map(reported.thing, arm.nodes(STROMA.hasIntervention)):
        products = [reported.thing(product) for product in regimen.nodes(STROMA.administers)]
        kinds = {kind for product in products for kind in product.types}
        ingredients = {i for product in products for i in product.nodes(OBO.RO_0002248)}
        if STROMA.CellTherapyProduct in kinds or STROMA.CellMesenchymalStem in ingredients:
            cells = True
            unit = regimen.text(STROMA.doseUnit)
            doses |= {(v.number, unit) for v in regimen.all(STROMA.doseAmount) if v.number is not None}
            low, high = (
                next((v.number for v in regimen.all(p)), None) for p in (STROMA.doseLow, STROMA.doseHigh)
            )
            if low is not None and high is not None:
                ranges.add((low, high, unit))
        elif STROMA.PlaceboProduct in kinds:
            placebo = True
        else:
            others |= ingredients
    label = reported.label(arm.iri)
    return _Arm(arm.iri, label, cells, placebo, frozenset(doses), frozenset(ranges), frozenset(others))


def _matched(
    told: _Told,
    registered: Sequence[_Arm],
    reported: Sequence[_Arm],
    fits: Mapping[NamedNode, Sequence[_Arm]],
    publications: Iterable[NamedNode],
) -> Iterator[Compared]:
    """The arms of one study that fit one registered arm, and those that fit none."""
    mind, links = told.proviso(publications), told.linked(publications)
    for planned in registered:
        found = [arm for arm in reported if [r.iri for r in fits[arm.iri]] == [planned.iri]]
        if not found:
            continue
        named = ", ".join(f'"{_own_name(arm.label)}"' for arm in found)
        if len(found) > 1:
            result, text = STROMA.ResultSplit, f'"{planned.label}" is reported as {named}.'
        else:
            same = words(planned.label) == words(_own_name(found[0].label))
            result = STROMA.ResultSameName if same else STROMA.ResultRenamed
            text = f'"{planned.label}" is reported as {named}, with the same treatment.'
        yield Compared(
            STROMA.ArmComparison, told.trial.iri, result, text + mind,
            (planned.iri,), tuple(arm.iri for arm in found), evidence=links,
        )  # fmt: skip
    for arm in reported:
        if not fits[arm.iri]:
            yield Compared(
                STROMA.ArmComparison, told.trial.iri, STROMA.ResultNotRegistered,
                f'"{_own_name(arm.label)}" gets what no registered arm gets.' + mind,
                reported=(arm.iri,), evidence=links,
            )  # fmt: skip


def same_treatment(planned: _Arm, told: _Arm, others: Sequence[_Arm]) -> bool:
    """Whether a reported arm gets what a registered one is to get.

    Cells in an equal dose, or in one that lies in a registered range; where a side tells no dose, the one arm
    with cells. Placebo for placebo. What is given besides must not differ where both tell it.
    """
    if planned.others and told.others and planned.others != told.others:
        return False
    if planned.cells != told.cells:
        return False
    if not planned.cells:
        return planned.placebo and told.placebo
    units = {unit for _, unit in planned.doses} | {unit for *_, unit in planned.ranges}
    comparable = [(amount, unit) for amount, unit in told.doses if unit in units]
    if comparable:
        return any(_gets(planned, amount, unit) for amount, unit in comparable)
    ends = [(end, unit) for low, high, unit in told.ranges for end in (low, high) if unit in units]
    if ends:
        return any(_gets(planned, amount, unit) for amount, unit in ends)
    return sum(arm.cells for arm in others) == 1


def _gets(arm: _Arm, amount: Decimal, unit: str) -> bool:
    return any(u == unit and _rounded(amount, dose) for dose, u in arm.doses) or any(
        u == unit and low <= amount <= high for low, high, u in arm.ranges
    )


def _rounded(one: Decimal, other: Decimal) -> bool:
    """Whether two doses are one number, rounded: "2.86e6" and "2.9e6"."""
    digits = min(_digits(one), _digits(other))
    return f"{one:.{digits - 1}e}" == f"{other:.{digits - 1}e}"


def _digits(number: Decimal) -> int:
    return max(2, len(number.normalize().as_tuple().digits))


def _own_name(label: str) -> str:
    """A compiled arm's name without the paper before it: "Park 2018: placebo" -> "placebo"."""
    paper, colon, name = label.partition(": ")
    return name if colon and paper[-4:].isdigit() else label


def _results_groups(told: _Told, registered: Sequence[_Arm]) -> Iterator[Compared]:
    """Groups of the registry's own results that are one arm under a longer or shorter name."""
    arms = {arm.iri for arm in registered}
    groups = {
        result.group
        for result in told.reported.of_study.get(told.trial.iri, ())
        if result.level is Level.RECORDED and result.group not in arms
    }
    for group in sorted(groups, key=str):
        name = told.reported.label(group)
        wanted = set(words(name))
        close = [a for a in registered if _one_name(set(words(a.label)), wanted)]
        if len(close) == 1:
            yield Compared(
                STROMA.ArmComparison, told.trial.iri, STROMA.ResultRenamed,
                f'"{close[0].label}" is "{name}" in the results of the registry.', (close[0].iri,), (group,),
            )  # fmt: skip


def _one_name(one: set[str], other: set[str]) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) > 1 and shorter < longer


# ------------------------------------------------------------------------------------------------ quads


def quads(found: Iterable[Compared]) -> Iterator[Quad]:
    """The comparisons as resources of `graph:links`."""
    for each in found:
        facts: list[tuple[NamedNode, NamedNode | Literal]] = [
            (RDF.type, each.kind),
            (DCTERMS.subject, each.trial),
            (STROMA.comparisonResult, each.result),
            (STROMA.computation, Literal(each.text, language="en")),
            *((STROMA.registeredThing, node) for node in each.registered),
            *((STROMA.reportedThing, node) for node in each.reported),
            *((p, Literal(str(count), datatype=XSD.integer)) for p, count in each.numbers),
            *((PROV.wasDerivedFrom, node) for node in each.evidence),
            (STROMA.statementLevel, STROMA.LevelRecomputed),
            (STROMA.evidenceType, OBO.ECO_0007669),
        ]
        for predicate, value in facts:
            yield Quad(each.iri, predicate, value, GRAPH)
