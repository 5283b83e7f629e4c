"""What schemathesis cannot make up: SPARQL."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies as st

_TERMS = st.sampled_from(
    ["?s", "?o", "<https://w3id.org/stroma/trial/x>", "rdfs:label", '"x"@en', "'类风湿'", "7"]
)
_PATTERN = st.builds("{} {} {}".format, st.sampled_from(["?s", "?o"]), st.sampled_from(["?p", "a"]), _TERMS)
_GROUP = st.lists(_PATTERN, min_size=1, max_size=2).map(lambda patterns: f"{{ {' . '.join(patterns)} }}")
_FORMS = st.sampled_from(
    [
        "SELECT * {} LIMIT 3",
        "ASK {}",
        "SELECT (COUNT(*) AS ?n) {}",
        "CONSTRUCT WHERE {} LIMIT 3",
        "DESCRIBE ?s {} LIMIT 1",
    ]
)
_PREFIX = "PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#> "


def _query(form: str, group: str) -> str:
    return _PREFIX + form.replace("{}", group)


schemathesis.openapi.format("sparql", st.builds(_query, _FORMS, _GROUP))
