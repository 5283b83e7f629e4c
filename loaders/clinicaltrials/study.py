"""A study as both forms of the registry tell it: what the readers hand to the writer.

Hides nothing; it is the plain data between `v2`/`classic` (which know the registry's forms) and
`statements` (which knows the graph). Facts are (property, term) pairs about their subject.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pyoxigraph import Literal, NamedNode

Term = NamedNode | Literal
Facts = list[tuple[NamedNode, Term]]


@dataclass
class Intervention:
    """One intervention of a study, as registered."""

    name: str
    type: str | None = None
    description: str | None = None
    other_names: list[str] = field(default_factory=list)


@dataclass
class Arm:
    """One arm; `interventions` are positions in the study's list."""

    label: str
    facts: Facts = field(default_factory=list)
    description: str | None = None
    interventions: list[int] = field(default_factory=list)


@dataclass
class Outcome:
    """A planned or a reported outcome; `role` is primary, secondary or other."""

    role: str
    measure: str
    description: str | None = None
    time_frame: str | None = None


@dataclass
class Group:
    """A group of the results section (`id` such as OG000); it may be an arm or pool several."""

    id: str
    title: str
    description: str | None = None


@dataclass
class Observed:
    """One reported number of one group: `key` tells it from the study's other numbers."""

    kind: NamedNode
    group: Group
    key: tuple[str, ...]
    facts: Facts
    outcome: Outcome | None = None


@dataclass
class Comparison:
    """A statistical comparison of groups."""

    groups: list[Group]
    key: tuple[str, ...]
    facts: Facts
    outcome: Outcome | None = None


@dataclass
class Organization:
    """A sponsor or collaborator that is an organisation."""

    name: str
    category: str | None
    lead: bool


@dataclass
class Location:
    """A place of a study, or no more than its country."""

    country: str | None
    city: str | None = None
    state: str | None = None
    facility: str | None = None


@dataclass
class Reference:
    """A publication by its PubMed id; `type` is background, result, derived, retraction or None."""

    pmid: str
    type: str | None = None
    retracts: bool = False


@dataclass
class Study:
    """Everything taken from one record."""

    nct: str
    facts: Facts = field(default_factory=list)
    classes: list[NamedNode] = field(default_factory=list)
    last_known_status: NamedNode | None = None
    verified: Literal | None = None
    retrieved: Literal | None = None  # date of the registry data version
    conditions: list[str] = field(default_factory=list)
    meshes: list[tuple[str, str]] = field(default_factory=list)  # MeSH id, heading
    interventions: list[Intervention] = field(default_factory=list)
    arms: list[Arm] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    organizations: list[Organization] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    observations: list[Observed] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    unreadable: Counter[tuple[str, str]] = field(default_factory=Counter)  # (what, problem) a rule met
