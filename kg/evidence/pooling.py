"""Whether results of several studies may be pooled, and the random-effects meta-analysis where they may.

Hides the arithmetic of the meta-analysis and the rules of design that come before it. Pooling is refused more
often than not: the refusal, with its reasons, is a result of its own.
"""

# statsmodels and scipy are imported where they are used, as in `kg.evidence.statistics`.

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from itertools import chain
from typing import TypeVar

from kg.evidence.statistics import Estimate, Interval, Undefined

_Key = TypeVar("_Key", bound=Hashable)

# ------------------------------------------------------------------------------------- meta-analysis


@dataclass(frozen=True)
class Pooled:
    """A random-effects meta-analysis, on the scale of its effects (logarithms for ratios).

    `q` is Cochran's Q on `studies` - 1 degrees of freedom with its `p`; `i_squared` is a share, 0 to 1;
    `tau_squared` the variance between studies. `prediction` is where the effect of a further study is
    expected; None for two studies.
    """

    estimate: Estimate
    studies: int
    q: float
    p: float
    i_squared: float
    tau_squared: float
    prediction: Interval | None


def pool(effects: Sequence[tuple[float, float]], level: float = 0.95) -> Pooled:
    """Pool effects, each given with its variance, by DerSimonian and Laird with the Hartung-Knapp interval.

    The interval is that of Hartung, Knapp, Sidik and Jonkman, never narrower than DerSimonian and Laird's
    own standard error would make it (the modified method, Röver et al. 2015): with few studies the plain
    ones are too narrow. Raises ValueError for fewer than two effects or a variance that is not positive.
    Source: DerSimonian & Laird 1986; IntHout et al., BMC Med Res Methodol 2014;14:25; prediction: Higgins
    et al. 2009. Computed by statsmodels.
    """
    import numpy
    from scipy import stats
    from statsmodels.stats.meta_analysis import combine_effects

    if len(effects) < 2:
        raise ValueError(f"a meta-analysis needs two studies at least, not {len(effects)}")
    values, variances = (numpy.array(each, dtype=float) for each in zip(*effects, strict=True))
    if not (numpy.isfinite(values).all() and numpy.isfinite(variances).all() and (variances > 0).all()):
        raise ValueError("every effect needs a finite value and a positive, finite variance")
    with numpy.errstate(divide="ignore", invalid="ignore", over="ignore"):  # variance below 0: see below
        found = combine_effects(values, variances, method_re="dl")
    # The library lets the variance between studies fall below 0; it is then 0, and the model the fixed one.
    between = float(found.tau2) > 0
    mean = float(found.mean_effect_re if between else found.mean_effect_fe)
    variance = float(found.var_eff_w_re if between else found.var_eff_w_fe)
    tau_squared = float(found.tau2) if between else 0.0
    adjusted = max(variance, float(found.var_hksj_re if between else found.var_hksj_fe))
    freedom = len(effects) - 1
    q = max(0.0, float(found.q))

    def around(variance: float, freedom: int) -> Interval:
        half = float(stats.t.isf((1 - level) / 2, freedom)) * math.sqrt(variance)
        return Interval(mean - half, mean + half)

    return Pooled(
        Estimate(mean, around(adjusted, freedom), level),
        len(effects),
        q,
        float(stats.chi2.sf(q, freedom)),
        max(0.0, 1 - freedom / q) if q > 0 else 0.0,
        tau_squared,
        around(tau_squared + variance, freedom - 1) if freedom > 1 else None,
    )


def log_risk_ratio(events: int, total: int, events_2: int, total_2: int) -> tuple[float, float]:
    """The logarithm of a risk ratio and its variance; with an empty cell, half an event is added to each.

    Raises Undefined when neither group has an event. Source: Katz 1978; the half: Cochrane Handbook, 10.4.4.
    Computed by statsmodels.
    """
    import numpy
    from statsmodels.stats.meta_analysis import effectsize_2proportions

    if events + events_2 == 0:
        raise Undefined("a risk ratio says nothing where neither group has an event")
    counts = (numpy.array([float(number)]) for number in (events, total, events_2, total_2))
    # The library would add the half to the events of full tables too (statsmodels 0.15).
    empty = 0 in (events, events_2) or events == total or events_2 == total_2
    effect, variance = effectsize_2proportions(
        *counts, statistic="risk-ratio", zero_correction=0.5 if empty else None
    )
    return float(effect[0]), float(variance[0])


# ------------------------------------------------------------------------------------ what may be pooled


class Reason(Enum):
    """Why results may not be pooled."""

    NO_TOTAL = "number of participants not stated"
    UNCONTROLLED = "no control group"
    ONE_STUDY = "one study only"
    SHARED_PATIENTS = "shared patients"
    SHARED_CONTROL = "shared control group"
    OTHER_COMPARISON = "another comparison"
    OTHER_TIME = "another time"
    TIME_NOT_STATED = "time not stated"
    OTHER_CONDITION = "another condition"


@dataclass(frozen=True)
class Candidate:
    """A result that might be pooled with others of its measure.

    `id` names it and sorts it; `patients` are the registered trials (or the study itself) its participants
    come from; `comparison` says what was given against what, None for a result without a control group;
    `months` is None where no single time is stated; `effect` and `variance` are those of a contrast. Not
    `counted` is a percentage of an unknown number.
    """

    id: str
    study: str
    patients: frozenset[str]
    conditions: frozenset[str]
    comparison: tuple[str, str] | None
    months: Decimal | None
    effect: float | None = None
    variance: float | None = None
    counted: bool = True
    called: str = ""  # the study's name for people


@dataclass(frozen=True)
class Assessment:
    """What may be pooled of one measure, and why no more may.

    Each of `sets` holds the candidates of one comparison at one time in one condition, from studies without
    a patient in common. `reasons` say why the others stay apart, each with the candidates it concerns.
    """

    sets: tuple[tuple[Candidate, ...], ...]
    reasons: tuple[tuple[Reason, tuple[Candidate, ...]], ...]


def assess(candidates: Iterable[Candidate]) -> Assessment:
    """Which results of one measure may be pooled as effects of treatment, and why others may not.

    A result without a control group is no effect. The rest are pooled only with the same comparison, at the
    same nominal month, in a condition they share, from studies none of whose patients are counted twice: an
    extension repeats the patients of its core trials, and contrasts of one study with one control group
    share that group.
    """
    all_ = sorted(candidates, key=lambda one: one.id)
    contrasts = [one for one in all_ if one.comparison is not None]
    reasons: dict[Reason, set[Candidate]] = {}

    def note(reason: Reason, *those: Candidate) -> None:
        reasons.setdefault(reason, set()).update(those)

    for one in all_:
        if not one.counted:
            note(Reason.NO_TOTAL, one)
        elif one.comparison is None:
            note(Reason.UNCONTROLLED, one)
        elif one.months is None:
            note(Reason.TIME_NOT_STATED, one)
    if contrasts and len({one.study for one in contrasts}) == 1:
        note(Reason.ONE_STUDY, *contrasts)
    for reason, one in chain(_of_one_study(contrasts), _apart(contrasts)):
        note(reason, one)
    return Assessment(
        tuple(those for those in _alike(contrasts) if len(those) > 1),
        tuple(
            (reason, tuple(sorted(those, key=lambda one: one.id)))
            for reason, those in sorted(reasons.items(), key=lambda item: list(Reason).index(item[0]))
        ),
    )


def _key(one: Candidate) -> tuple[object, ...]:
    return one.comparison, one.months


def _of_one_study(contrasts: Iterable[Candidate]) -> Iterator[tuple[Reason, Candidate]]:
    """Contrasts of one study, comparison and time: they share their control group."""
    for those in _grouped(contrasts, lambda one: (one.study, *_key(one))).values():
        if len(those) > 1:
            yield from ((Reason.SHARED_CONTROL, one) for one in those)


def _apart(contrasts: Sequence[Candidate]) -> Iterator[tuple[Reason, Candidate]]:
    """For each contrast each reason that keeps it from one of another study: the first that holds of the two.

    In this order: they share no condition; they compare something else; they share patients; the time of one
    is not stated; their times differ. Pairs are not gone through, for of a large graph there are too many:
    of contrasts that agree in all that comes before, one that differs is found at once.
    """
    classes = _grouped(contrasts, lambda one: one.conditions)
    for conditions, those in classes.items():
        studies = set[str]()  # that share no condition; more than two tell no more
        compared: dict[object, set[str]] = {}  # what is compared by those that share one, in which studies
        settled = False  # from two comparisons of two studies each any contrast differs
        for others, some in classes.items():
            if not conditions & others:
                if len(studies) < 2:
                    studies.update(other.study for other in some)
            elif not settled:
                for other in some:
                    compared.setdefault(other.comparison, set()).add(other.study)
                settled = sum(len(theirs) > 1 for theirs in compared.values()) > 1
        for one in those:
            if studies - {one.study}:
                yield Reason.OTHER_CONDITION, one
            if any(theirs - {one.study} for what, theirs in compared.items() if what != one.comparison):
                yield Reason.OTHER_COMPARISON, one
    for those in _grouped(contrasts, lambda one: one.comparison).values():
        yield from _apart_in_one_comparison(those)


def _apart_in_one_comparison(contrasts: Sequence[Candidate]) -> Iterator[tuple[Reason, Candidate]]:
    of_patients: dict[str, list[Candidate]] = {}
    of_condition: dict[str, dict[Decimal | None, list[Candidate]]] = {}
    for one in contrasts:
        for patients in one.patients:
            of_patients.setdefault(patients, []).append(one)
        for condition in one.conditions:
            of_condition.setdefault(condition, {}).setdefault(one.months, []).append(one)
    for one in contrasts:
        if any(
            other.study != one.study and other.conditions & one.conditions
            for patients in one.patients
            for other in of_patients[patients]
        ):
            yield Reason.SHARED_PATIENTS, one
        times = {
            months
            for condition in one.conditions
            for months, others in of_condition[condition].items()
            if any(other.study != one.study and not other.patients & one.patients for other in others)
        }
        if times and (one.months is None or None in times):
            yield Reason.TIME_NOT_STATED, one
        if one.months is not None and times - {None, one.months}:
            yield Reason.OTHER_TIME, one


def _grouped(contrasts: Iterable[Candidate], key: Callable[[Candidate], _Key]) -> dict[_Key, list[Candidate]]:
    groups: dict[_Key, list[Candidate]] = {}
    for one in contrasts:
        groups.setdefault(key(one), []).append(one)
    return groups


def _alike(contrasts: Sequence[Candidate]) -> Iterator[tuple[Candidate, ...]]:
    """Contrasts of one comparison and time that may all meet; a study with several of them gives none."""
    known = (
        one
        for one in contrasts
        if one.months is not None and one.effect is not None and one.variance is not None
    )
    for _, group in sorted(_grouped(known, _key).items(), key=lambda item: str(item[0])):
        studies = Counter(one.study for one in group)
        patients = Counter(chain.from_iterable(one.patients for one in group))
        # Patients counted in two of them cannot be told apart, so neither is taken.
        free = [
            one
            for one in group
            if studies[one.study] == 1 and all(patients[those] == 1 for those in one.patients)
        ]
        if free and frozenset.intersection(*(one.conditions for one in free)):
            yield tuple(free)
