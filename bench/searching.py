"""How long a search and a suggestion take over HTTP: under 20 ms for 95 of 100."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

from pyoxigraph import QuerySolutions, Store

from bench.clients import Load, closed_loop, run
from kg.build import build
from kg.settings import Settings
from kg.snapshot import load_store
from kg.terms import compress
from tests.peers import whole_site

Row = tuple[str, float | int | str, str]
REQUESTS = 500
MOST = 20.0  # ms
_LABELS = """
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
SELECT DISTINCT ?thing ?label WHERE { ?thing skos:prefLabel ?label } ORDER BY ?thing ?label
"""


def search_times() -> Iterator[Row]:
    """500 different texts, each sent once to /search and once to /suggest by one client on the loopback.

    A seventh each: a whole English label, the start of one, one with a wrong letter, a whole Chinese label,
    two characters of one in either script, both languages together, and an identifier. The server has no
    cache of searches; its index is warm after the first.
    """
    with tempfile.TemporaryDirectory() as folder:
        snapshot = build(Settings(var=Path(folder)))
        texts = _texts(load_store(snapshot))
        with whole_site(snapshot) as address:
            for path in ("/search", "/suggest"):
                requests = [_request(path, text) for text in texts]
                load: Load = run(lambda: closed_loop(address, requests, clients=1, seconds=0.001))  # noqa: B023
                for percent in (50, 95, 99):
                    note = f"ms, of {MOST:g} allowed" if percent == 95 else "ms"
                    yield f"{path}: {percent} of 100 within", load.percentile(percent) * 1000, note
                yield f"{path}: longest", load.percentile(100) * 1000, "ms"
                yield f"{path}: answers other than 200", len(load.wrong), f"of {len(requests)}"


def _request(path: str, text: str) -> bytes:
    address = f"{path}?{urlencode({'q': text})}"
    return f"GET {address} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n".encode()


def _texts(store: Store) -> Sequence[str]:
    """Different texts of every sort, the same in each run over the same graph."""
    found = store.query(_LABELS, use_default_graph_as_union=True)
    assert isinstance(found, QuerySolutions)
    rows = [(row["thing"].value, row["label"].value, row["label"].language) for row in found]
    english = [label for _, label, language in rows if language == "en"]
    chinese = [label for _, label, language in rows if language != "en" and len(label) > 2]
    ids = [compress(thing) for thing, _, _ in rows]
    chance = random.Random(6)
    texts: dict[str, None] = {}
    while len(texts) < REQUESTS:
        one, other = chance.choice(english), chance.choice(chinese)
        place = chance.randrange(len(one))
        pair = chance.randrange(len(other) - 1)
        text = (
            one,
            one[: chance.randint(2, 7)],
            one[:place] + chance.choice("aeiostrn") + one[place + 1 :],
            other,
            other[pair : pair + 2],
            f"{one.split()[0]} {other[:2]}",
            chance.choice(ids),
        )[len(texts) % 7]
        texts[text[:200]] = None
    return list(texts)
