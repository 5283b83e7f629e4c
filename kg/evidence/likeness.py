"""Rules that say which registered trial a publication is about, where no number says so.

Hides how titles, acronyms and descriptions of studies are compared. Each rule would rather be silent: it
names a trial only where one fits and no other does. A false link is worse than none, for all that is said
of a publication is then held against the wrong trial.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from pyoxigraph import NamedNode

from kg.terms import STROMA

# Words of titles that tell no two titles apart.
_SMALL = frozenset(
    "a an and as at by for from in into its of on or the to using via with".split()  # noqa: SIM905
)
_TITLE_WORDS = 8  # a title of fewer words can be that of several studies
_LIKE_TITLE = 0.4  # share of words in common, beside an equal country; decision 0028 has what was measured
_ACRONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{3,}")
_YEARS_AFTER = 8  # a study is reported at most so many years after its end

# Countries as one registry writes them and a table of papers does not.
_COUNTRY = {"usa": "united states", "us": "united states", "uk": "united kingdom"}
_COUNTRY_WORDS = frozenset(["republic", "of", "the", "islamic", "people", "s"])


@dataclass(frozen=True, slots=True)
class Description:
    """What is told of a study: by a registry of a trial, or by a publication of the study it reports.

    `doses` are (amount, unit) pairs, `dose_ranges` (low, high, unit). `first` and `last` are the years in
    which a study began and ended; of a publication both are the year it appeared.
    """

    titles: tuple[str, ...] = ()
    acronyms: frozenset[str] = frozenset()
    conditions: frozenset[str] = frozenset()  # as labelled
    tissues: frozenset[NamedNode] = frozenset()
    donors: frozenset[NamedNode] = frozenset()
    routes: frozenset[NamedNode] = frozenset()
    phases: frozenset[NamedNode] = frozenset()
    countries: frozenset[str] = frozenset()
    sizes: frozenset[int] = frozenset()
    doses: frozenset[tuple[Decimal, str]] = frozenset()
    dose_ranges: frozenset[tuple[Decimal, Decimal, str]] = frozenset()
    infusions: frozenset[int] = frozenset()  # how often a dose is given
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Likely:
    """A trial that a rule takes a publication to be about: the rule's method, and what it goes by."""

    trial: NamedNode
    method: NamedNode
    basis: str


@dataclass(slots=True)
class Trials:
    """Registered trials, ready to be compared with publications.

    It is enough that those are among the `described` that `Sought` finds of all that are registered.
    """

    described: Mapping[NamedNode, Description]
    diseases: frozenset[str]  # capitals: words like acronyms in the conditions of all trials
    _by_title: dict[frozenset[str], list[NamedNode]] = field(default_factory=dict)
    _by_acronym: dict[str, list[NamedNode]] = field(default_factory=dict)
    _by_condition: dict[str, set[NamedNode]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for iri, trial in sorted(self.described.items(), key=lambda pair: pair[0].value):
            for title in trial.titles:
                self._by_title.setdefault(frozenset(words(title)), []).append(iri)
            for name in trial.acronyms:
                # An acronym that is also a disease ("COVID-19") names no study.
                if _is_acronym(name) and name.upper() not in self.diseases:
                    self._by_acronym.setdefault(name.upper(), []).append(iri)
            for label in trial.conditions:
                for word in words(label):
                    self._by_condition.setdefault(word, set()).add(iri)

    def likely(self, article: Description) -> tuple[Likely, ...]:
        """The trials that rules take an article to be about; of each rule at most one.

        Equal title: the same words but small ones, eight at least, of one trial only. Study acronym: written
        in the title and registered by one trial only. Study description: see `_fits`.
        """
        found = [*self._titled(article), *self._called(article), *self._described(article)]
        return tuple(dict.fromkeys(found))

    def _titled(self, article: Description) -> Iterator[Likely]:
        for title in article.titles:
            named = frozenset(words(title))
            trials = self._in_time(article, self._by_title.get(named, ()))
            if len(named) >= _TITLE_WORDS and len(trials) == 1:
                yield Likely(trials[0], STROMA.LinkMethodTitle, "publication and trial have the same title")

    def _called(self, article: Description) -> Iterator[Likely]:
        for title in article.titles:
            for name in sorted(_names_in(title)):
                registered = set(self._by_acronym.get(name.upper(), ()))
                trials = self._in_time(article, registered, before=1)
                if len(registered) == 1 and trials:
                    yield Likely(
                        trials[0],
                        STROMA.LinkMethodAcronym,
                        f"the title names the study {name}, which one record has as its acronym",
                    )

    def _described(self, article: Description) -> Iterator[Likely]:
        near = {trial for label in article.conditions for word in words(label) for trial in self._of(word)}
        fitting = []
        for iri in sorted(near, key=str):
            told = _fits(article, self.described[iri])
            if told is not None:
                fitting.append((iri, told))
        if len(fitting) == 1:
            iri, told = fitting[0]
            basis = f"alike: {', '.join(told)}; no other trial held here fits"
            yield Likely(iri, STROMA.LinkMethodDescription, basis)

    def _of(self, word: str) -> Iterable[NamedNode]:
        return self._by_condition.get(word, ())

    def _in_time(self, article: Description, trials: Iterable[NamedNode], before: int = 0) -> list[NamedNode]:
        """The trials that had begun when the article appeared; a protocol may come a year `before`."""
        return sorted(
            {t for t in trials if in_time(article.first, self.described[t], before)}, key=lambda t: t.value
        )


class Sought:
    """What articles tell by which rules could know a trial: titles, names of studies, descriptions."""

    def __init__(self, articles: Iterable[Description]) -> None:
        self._titles: set[frozenset[str]] = set()
        self._names: set[str] = set()
        self._described: list[Description] = []
        for article in articles:
            for title in article.titles:
                named = frozenset(words(title))
                if len(named) >= _TITLE_WORDS:
                    self._titles.add(named)
                self._names |= {name.upper() for name in _names_in(title)}
            if article.conditions:
                self._described.append(article)

    def may_be(self, trial: Description) -> bool:
        """Whether a rule, asked about all articles and trials, can come across this trial."""
        return (
            any(name.upper() in self._names for name in trial.acronyms)
            or any(frozenset(words(title)) in self._titles for title in trial.titles)
            or any(_fits(article, trial) is not None for article in self._described)
        )

    def diseases(self, trial: Description) -> set[str]:
        """The words of a trial's conditions that articles could have for the name of a study."""
        return diseases_of(trial) & self._names


def diseases_of(trial: Description) -> set[str]:
    """The words like acronyms in the conditions of a trial, in capitals."""
    return {word.upper() for label in trial.conditions for word in _ACRONYM.findall(label)}


def _names_in(title: str) -> set[str]:
    return {name for name in _ACRONYM.findall(title) if _is_acronym(name)}


def in_time(year: int | None, trial: Description, before: int = 0) -> bool:
    """Whether a publication of a year can be about a trial; unknown years cannot be judged: False."""
    if year is None or trial.first is None:
        return False
    last = max(trial.first, trial.last or trial.first)
    return trial.first - before <= year <= last + _YEARS_AFTER


def words(text: str) -> list[str]:
    """The words of a title or label, lower case, plurals cut, without small words."""
    found = re.findall(r"[a-z0-9]+", text.lower().replace("α", "alpha").replace("β", "beta"))
    return [_singular(word) for word in found if word not in _SMALL]


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _is_acronym(name: str) -> bool:
    """Letters mostly capital, as "TAC-HFT" or "MyStromalCell", with three capitals at least."""
    return len(name) >= 5 and sum(letter.isupper() for letter in name) >= 3


# Which phases of a paper and a record can be one study's: a trial of phase 1/2 is reported as either.
_PHASES = {
    STROMA.PhaseEarly1: {1},
    STROMA.Phase1: {1},
    STROMA.Phase1Phase2: {1, 2},
    STROMA.Phase2: {2},
    STROMA.Phase2Phase3: {2, 3},
    STROMA.Phase3: {3},
    STROMA.Phase4: {4},
}


def _fits(article: Description, trial: Description) -> list[str] | None:
    """What a study and a trial have in common, in words; None where they cannot be taken for one.

    Nothing that both tell may differ: condition, tissue, donor, route, phase, country, dose, number of
    doses, years. Two of tissue, donor and route must be told by both, and so must what few trials share: an
    equal dose, or the country with much of the words of the title.
    """
    if not in_time(article.first, trial) or not _same_condition(article, trial):
        return None
    told = ["condition"]
    for name, said, registered in (
        ("tissue", article.tissues, trial.tissues),
        ("donor", article.donors, trial.donors),
        ("route", article.routes, trial.routes),
    ):
        if said and registered:
            if not said & registered:
                return None
            told.append(name)
    country, dose = _same_country(article.countries, trial.countries), _same_dose(article, trial)
    numbers = ((_phases(article.phases), _phases(trial.phases)), (article.infusions, trial.infusions))
    if any(one and other and not one & other for one, other in numbers) or False in (country, dose):
        return None
    if len(told) < 3:
        return None
    rare = ["dose"] if dose else []
    shared = max((_shared(a, b) for a in article.titles for b in trial.titles), default=0)
    if country and shared >= _LIKE_TITLE:
        rare.append("country and words of the title")
    if rare and article.sizes & trial.sizes:
        rare.append("number of participants")
    return [*told, *rare] if rare else None


def _same_condition(article: Description, trial: Description) -> bool:
    """Whether most words of a condition of the paper stand in one of the record."""
    for label in article.conditions:
        wanted = set(words(label)) - {"condition", "disease"}
        for other in trial.conditions:
            if wanted and len(wanted & set(words(other))) * 3 >= len(wanted) * 2:
                return True
    return False


def _phases(found: Iterable[NamedNode]) -> frozenset[int]:
    return frozenset(number for phase in found for number in _PHASES.get(phase, ()))


def _same_country(said: Iterable[str], registered: Iterable[str]) -> bool | None:
    """None where one side tells none."""
    one, other = ([_country(name) for name in names] for names in (said, registered))
    if not one or not other:
        return None
    return any(a <= b or b <= a for a in one for b in other)


def _country(name: str) -> frozenset[str]:
    plain = name.lower().strip(". ")
    return frozenset(re.findall(r"[a-z]+", _COUNTRY.get(plain, plain))) - _COUNTRY_WORDS


def _same_dose(article: Description, trial: Description) -> bool | None:
    """Whether a dose of the paper is one that is registered; None where they cannot be compared."""
    units = {unit for _, unit in trial.doses} | {unit for _, _, unit in trial.dose_ranges}
    compared = [(amount, unit) for amount, unit in article.doses if unit in units]
    if not compared:
        return None
    return any(
        (amount, unit) in trial.doses
        or any(low <= amount <= high for low, high, u in trial.dose_ranges if u == unit)
        for amount, unit in compared
    )


def _shared(one: str, other: str) -> float:
    """The share of words that two titles have in common, of all their words."""
    a, b = set(words(one)), set(words(other))
    return len(a & b) / len(a | b) if a | b else 0


_PROTOCOL = re.compile(
    r"\b(study|trial) protocol\b|\bprotocol (for|of)\b|\brationale (and|&) (trial |study )?design\b"
    r"|\btrial protocol\b|\bdesign and rationale\b",
    re.IGNORECASE,
)


def is_protocol(titles: Sequence[str]) -> bool:
    """Whether a title says that it describes a protocol and no results."""
    return any(_PROTOCOL.search(title) for title in titles)
