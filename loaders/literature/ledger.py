"""The claims ledger: whether each of its rows is still here, and whether it became statements or stayed text.

Hides how a lost, renamed or moved row is noticed without the ledger at hand: `claims.tsv` says in a comment
which rows it must have, by number and digest.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from kg.errors import SourceError
from loaders import tables
from loaders.literature.verify import RECORDS, SOURCE

_PLACE = ("id", "document", "line", "start", "end", "sha256")


def comment(claims: Iterable[Mapping[str, str]]) -> str:
    """The comment of `claims.tsv` that says which rows the ledger has: number, and digest of their places."""
    lines = sorted(" ".join(row[name] for name in _PLACE) for row in claims)
    digest = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    return f"# The ledger has {len(lines)} claims; SHA-256 of {', '.join(_PLACE)} of each, sorted: {digest}"


def account(records: Path = RECORDS) -> dict[str, tuple[int, int]]:
    """Of each kind of the ledger (a claim's topic): how many claims are formalised, how many kept as text.

    Raises SourceError where the rows are not the ledger's, or a claim has neither statement nor reason, or
    both.
    """
    path = records / "claims.tsv"
    claims = [row.fields for row in tables.rows(path, source=SOURCE)]
    if (expected := comment(claims)) not in path.read_text(encoding="utf-8").splitlines():
        raise SourceError(
            f"its {len(claims)} rows are not the ledger's, whose number and digest stand in a comment",
            source=SOURCE, file=path.name,
            advice="Bring back the row that was removed, renamed or moved; if the ledger itself changed, "
            f"write {expected!r}",
        )  # fmt: skip
    formal = {row.fields["claim"] for row in tables.rows(records / "statements.tsv", source=SOURCE)}
    counts: dict[str, Counter[bool]] = {}
    for claim in claims:
        if (claim["id"] in formal) == bool(claim["reason"]):
            what = "both statements and" if claim["reason"] else "neither a statement nor"
            raise SourceError(
                f"the claim has {what} a reason why it is kept as text",
                source=SOURCE, file=path.name, record=claim["id"], field="reason",
                advice="Add a statement to statements.tsv, or say why there is none",
            )  # fmt: skip
        counts.setdefault(claim["topic"], Counter())[claim["id"] in formal] += 1
    return {topic: (count[True], count[False]) for topic, count in sorted(counts.items())}
