"""What the evaluator understands beyond SPARQL 1.1 Query: data for the service description, and for errors.

Hides nothing. Tried against pyoxigraph 0.5.13 by `tests/test_service.py`, which asks for each of them.
"""

from __future__ import annotations

from difflib import get_close_matches

from kg.errors import QueryUnsupported

# Proposals of the SPARQL Community Group, by the address of their text.
_SEP = "https://github.com/w3c/sparql-dev/blob/main/SEP/"
LANGUAGE = {
    f"{_SEP}SEP-0002/sep-0002.md": "ADJUST, and arithmetic with dates, times and durations",
    f"{_SEP}SEP-0006/sep-0006.md": "LATERAL",
    "http://www.w3.org/TR/sparql12-query/": (
        "Of the SPARQL 1.2 draft: triple terms and reifiers, TRIPLE, SUBJECT, PREDICATE, OBJECT, isTRIPLE, "
        "LANGDIR, STRLANGDIR, hasLANG, hasLANGDIR"
    ),
}

_XSD = "http://www.w3.org/2001/XMLSchema#"
_GEOSPARQL = "http://www.opengis.net/def/function/geosparql/"

# Functions called by IRI, besides the casts that SPARQL 1.1 itself asks for.
FUNCTIONS = tuple(
    _XSD + name
    for name in (
        "date",
        "dayTimeDuration",
        "duration",
        "gDay",
        "gMonth",
        "gMonthDay",
        "gYear",
        "gYearMonth",
        "time",
        "yearMonthDuration",
    )
) + tuple(
    _GEOSPARQL + name
    for name in (
        "area",
        "asGeoJSON",
        "centroid",
        "convexHull",
        "coordinateDimension",
        "difference",
        "dimension",
        "distance",
        "ehContains",
        "ehCoveredBy",
        "ehCovers",
        "ehDisjoint",
        "ehEquals",
        "ehInside",
        "ehMeet",
        "ehOverlap",
        "envelope",
        "getSRID",
        "intersection",
        "isEmpty",
        "isSimple",
        "length",
        "perimeter",
        "rcc8dc",
        "rcc8ec",
        "rcc8eq",
        "rcc8ntpp",
        "rcc8ntppi",
        "rcc8po",
        "rcc8tpp",
        "rcc8tppi",
        "relate",
        "sfContains",
        "sfCrosses",
        "sfDisjoint",
        "sfEquals",
        "sfIntersects",
        "sfOverlaps",
        "sfTouches",
        "sfWithin",
        "spatialDimension",
        "symDifference",
        "union",
    )
)


def unsupported(iri: str, problem: str) -> QueryUnsupported:
    """The error for a call of a function that is not here, or with other arguments than it takes."""
    if "requires" in problem:
        return QueryUnsupported(f"The function <{iri}> {problem}")
    near = get_close_matches(iri, FUNCTIONS, n=3, cutoff=0.8)
    hint = f" Did you mean {' or '.join(f'<{name}>' for name in near)}?" if near else ""
    return QueryUnsupported(
        f"There is no function <{iri}> here.{hint} The service description at /sparql lists those there are "
        "besides the ones of SPARQL 1.1"
    )
