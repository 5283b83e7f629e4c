"""What questions count over the whole graph, counted once: claims by their values, studies by condition.

Hides which properties decide, and what counts where. A question that counted these would read every claim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import product

from kg.terms import STROMA

Pair = tuple[str, str]  # IRIs


def _term(name: str) -> bytes:
    return str(STROMA(name)).encode()


ASSERTS = _term("asserts")
_CLAIM, _STUDY = _term("Claim"), _term("ClinicalStudy")
_CONDITION = _term("studiesCondition")
_EVIDENCE, _STUDY_TYPE = _term("evidenceType"), _term("evidenceStudyType")
_LEVEL, _MODALITY, _HEDGED = _term("statementLevel"), _term("modality"), _term("ModalityHedged")
READ = frozenset({ASSERTS, _EVIDENCE, _STUDY_TYPE, _CONDITION, _LEVEL, _MODALITY})  # predicates in N-Quads


@dataclass
class Totals:
    """How many different claims, propositions and studies there are, whichever graphs speak of them.

    `claims` is by evidence type and evidence study type, "" where a claim names none, and `hedged` tells how
    many of these are; a claim of two types counts under both. `said` is by level and modality, of all that
    has the two, and `propositions` tells what these assert. `studies` is by condition. Keys are IRIs.
    """

    claims: Counter[Pair] = field(default_factory=Counter)
    hedged: Counter[Pair] = field(default_factory=Counter)
    said: Counter[Pair] = field(default_factory=Counter)
    propositions: Counter[Pair] = field(default_factory=Counter)
    studies: Counter[str] = field(default_factory=Counter)

    def read(self, types: Collection[bytes], stated: Mapping[bytes, Collection[bytes]]) -> list[Pair]:
        """Count a subject by its types and its IRIs of each property of `READ`, all as in N-Quads.

        Returns the pairs of level and modality under which what it asserts is yet to be counted: this cannot
        tell which propositions other subjects assert.
        """

        def values(property: bytes) -> list[str]:
            return [value.strip(b"<>").decode() for value in stated.get(property, ())]

        if _CLAIM in types:
            hedged = _HEDGED in stated.get(_MODALITY, ())
            for kind in product(values(_EVIDENCE), values(_STUDY_TYPE) or [""]):
                self.claims[kind] += 1
                self.hedged[kind] += hedged
        if _STUDY in types:
            self.studies.update(values(_CONDITION))
        kinds = list(product(values(_LEVEL), values(_MODALITY)))
        self.said.update(kinds)
        return kinds

    def add(self, other: Totals) -> None:
        """Add what was counted of other subjects."""
        self.claims.update(other.claims)
        self.hedged.update(other.hedged)
        self.said.update(other.said)
        self.propositions.update(other.propositions)
        self.studies.update(other.studies)
