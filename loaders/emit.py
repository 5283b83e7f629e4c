"""Values to RDF terms: dates with their precision, numbers, language strings.

Hides the parsing rules of printed dates and numbers; a value that does not parse raises, naming the
record and field.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import unquote

from pyoxigraph import Literal, NamedNode, Quad

from kg.terms import BASE, DCTERMS, RDF, STROMA, XSD, digest, mint
from loaders.record import Record

_MONTHS = {name: number for number, name in enumerate(calendar.month_name) if name}
_MONTHS |= {name: number for number, name in enumerate(calendar.month_abbr) if name}

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_INTEGER = re.compile(rf"[+-]?{_DIGITS}", re.ASCII)
_DECIMAL = re.compile(rf"[+-]?(?:{_DIGITS}(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{{1,3}})?", re.ASCII)
_NO_LETTERS = re.compile(r"[^a-z0-9]+")
_BLANKS = re.compile(r"\s+")
_ISO_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")
_LONGEST = 100  # characters of a number; nothing measured needs more


class Graph:
    """Makes quads in one named graph: `g.quad(s, p, o)`, skipping nothing and adding nothing.

    `activity` is the loading that makes them (graph:metadata describes it), `generated` the time its source's
    version stands for; both are None where quads are made outside a build.
    """

    def __init__(
        self, name: NamedNode, activity: NamedNode | None = None, generated: Literal | None = None
    ) -> None:
        self.name, self.activity, self.generated = name, activity, generated

    def quad(self, subject: NamedNode, predicate: NamedNode, value: NamedNode | Literal) -> Quad:
        return Quad(subject, predicate, value, self.name)


def slug(name: str) -> str:
    """A key for a thing known by its name only: its ASCII letters and digits, lower case, hyphenated.

    A name without any gives its digest. "Crohn's disease" -> "crohn-s-disease".
    """
    return _NO_LETTERS.sub("-", name.lower()).strip("-") or digest(name)


def publication(*, pmid: str | None = None, doi: str | None = None, citation: str | None = None) -> NamedNode:
    """The IRI of a publication by the first of PMID, DOI and citation text that is known.

    Every source names publications by this, so that what two sources say of one article meets.
    """
    if pmid:
        return mint("publication", f"pmid-{pmid}")
    if doi:
        return mint("publication", f"doi-{doi.lower()}")
    return mint("publication", digest(citation or ""))


def reference(
    graph: Graph, trial: NamedNode, key: str, article: NamedNode, kind: str | None
) -> Iterator[Quad]:
    """That a registry record (`key`) names a publication.

    `kind` is background, result, derived, retraction or None. Which of them are about the study is for
    `kg.evidence.links` to say: most "results" are older than theirs.
    """
    node = mint("reference", key, unquote(article.value.removeprefix(f"{BASE}publication/")))
    yield graph.quad(trial, STROMA.hasReference, node)
    yield graph.quad(node, RDF.type, STROMA.RegistryReference)
    yield graph.quad(node, DCTERMS.references, article)
    yield graph.quad(trial, DCTERMS.references, article)
    yield graph.quad(article, RDF.type, STROMA.Publication)
    if kind is not None:
        yield graph.quad(node, STROMA.referenceType, string(kind))


def string(text: str) -> Literal:
    """A plain string literal."""
    return Literal(text)


def lang(text: str, language: str) -> Literal:
    """A language-tagged string: `en`, `zh-Hans` or `zh-Hant`."""
    return Literal(text, language=language)


def integer(record: Record, field: str, value: object) -> Literal:
    """An xsd:integer of an int or of digits such as "1,241"; raises BadValue for anything else."""
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not _INTEGER.fullmatch(text) or len(text) > _LONGEST:
        raise record.bad(field, value, "should be a whole number")
    return Literal(str(int(text.replace(",", ""))), datatype=XSD.integer)


def decimal(record: Record, field: str, value: object) -> Literal:
    """An xsd:decimal of a number or of its text ("5.70" keeps its digits); else BadValue.

    A comma is read between thousands only: "5,7" may mean five point seven, so it is refused.
    """
    text = "" if isinstance(value, bool) else str(value).strip()
    if _DECIMAL.fullmatch(text):
        number = Decimal(text.replace(",", ""))
        if len(printed := f"{number:f}") <= _LONGEST:
            return Literal(printed, datatype=XSD.decimal)
    raise record.bad(field, value, "should be a decimal number")


def date(record: Record, field: str, text: str) -> Literal:
    """A date with the precision it was printed in: xsd:date, xsd:gYearMonth or xsd:gYear.

    Reads "2011", "2011-03", "2011-03-09", "March 2011", "March 9, 2011", "9 March 2011", "09/03/2011"
    (day first, as WHO ICTRP prints it) and "20110309". Raises BadValue for a date that does not exist.
    """
    text = _BLANKS.sub(" ", text.strip())
    year = month = day = None
    if match := _ISO_DATE.fullmatch(text):
        year, month, day = match.group(1), match.group(2), match.group(3)
    elif match := re.fullmatch(r"(\d{4})(\d{2})(\d{2})", text):
        year, month, day = match.groups()
    elif match := re.fullmatch(r"([A-Za-z]+)\.? (?:(\d{1,2}),? )?(\d{4})", text):
        month, day, year = _MONTHS.get(match.group(1).capitalize()), match.group(2), match.group(3)
        if month is None:
            year = None
    elif match := re.fullmatch(r"(\d{1,2}) ([A-Za-z]+)\.?,? (\d{4})", text):
        day, month, year = match.group(1), _MONTHS.get(match.group(2).capitalize()), match.group(3)
        if month is None:
            year = None
    elif match := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text):
        day, month, year = match.groups()
    if year is None:
        raise record.bad(
            field, text, "is not a date we can read", "Add its form to loaders/emit.py, or mend it"
        )
    y, m, d = int(year), int(month) if month else None, int(day) if day else None
    if y < 1000 or (m is not None and not 1 <= m <= 12):
        raise record.bad(field, text, "is a date that does not exist")
    if m is not None and d is not None and not 1 <= d <= calendar.monthrange(y, m)[1]:
        raise record.bad(field, text, "is a date that does not exist")
    if m is None:
        return Literal(f"{y:04d}", datatype=XSD.gYear)
    if d is None:
        return Literal(f"{y:04d}-{m:02d}", datatype=XSD.gYearMonth)
    return Literal(f"{y:04d}-{m:02d}-{d:02d}", datatype=XSD.date)
