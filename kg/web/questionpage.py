"""The pages of the questions: their list, and one with its form, chart, table and ways to take it away.

Hides how a parameter becomes a field, a cell a link, and a question a command in another language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request

from kg.answers import Asking, Binding, Choice, Rows, plain
from kg.canned import Parameter, Question
from kg.engine import Limits
from kg.names import named, names
from kg.terms import compress
from kg.web.asked import engine_of
from kg.web.charts import draw
from kg.web.documents import address
from kg.web.links import path_of_thing
from kg.web.pages import render

_LONG = 60  # characters of a text that wants a wide column
ROWS_SHOWN = 200  # of an answer on one page, where no limit is given
_KINDS = {"integer": "number", "decimal": "number", "date": "date"}


@dataclass(frozen=True)
class Shown:
    """An answer to show: the rows of one page, and every row for the chart; labels in the language."""

    question: Question
    values: Mapping[str, str]
    language: str
    sparql: str
    page: Rows
    every: Rows
    offset: int
    following: str | None


class Field(NamedTuple):
    """A field of the form: `kind` is that of an input, or "select" where there are choices."""

    parameter: Parameter
    kind: str
    value: str
    choices: Sequence[tuple[str, str]]  # value, text


class Shape(NamedTuple):
    """A cell as a page shows it."""

    text: str
    path: str
    language: str
    title: str
    number: bool
    long: bool


class Snippet(NamedTuple):
    """How to ask the same from elsewhere."""

    title: str
    text: str


def list_page(request: Request, questions: Iterable[Question], language: str) -> bytes:
    """The page of all questions by topic."""
    topics = [(topic, list(members)) for topic, members in groupby(questions, key=lambda each: each.topic)]
    asked = {each.id: each.summaries.get(language, each.summary) for _, members in topics for each in members}
    version = engine_of(request).snapshot.version
    return render(request, "questions.html", version, title="Questions", topics=topics, asked=asked)


async def question_page(request: Request, shown: Shown, asking: Asking, limits: Limits) -> bytes:
    """The page of a question with its answer."""
    question, engine = shown.question, engine_of(request)
    title = question.summaries.get(shown.language, question.summary)
    fields = [
        _field(each, shown.values.get(each.name), await asking.choices(each), shown.language)
        for each in question.parameters.values()
    ]
    iris = {cell["value"] for row in shown.page.bindings for cell in row.values() if cell["type"] == "uri"}
    called = await names(engine, iris, limits) if iris else {}
    table = [
        [_shape(row, name, called, shown.language) for name in shown.page.names]
        for row in shown.page.bindings
    ]
    chart = None
    if question.chart:
        texts = [_texts(row, question.columns) for row in shown.every.bindings]
        chart = draw(question.chart, texts, title, question.units)
    snapshot = engine.snapshot
    pinned = {**shown.values, "version": snapshot.name}
    return render(
        request,
        "question.html",
        snapshot.version,
        title=title,
        question=question,
        fields=fields,
        names=shown.page.names,
        table=table,
        total=len(shown.every.bindings),
        first=shown.offset + 1,
        last=shown.offset + len(shown.page.bindings),
        start=f"{request.url.path}?{urlencode(shown.values)}",
        following=shown.following,
        chart=None if chart is None else Markup(chart.svg),
        left_out=0 if chart is None else chart.left_out,
        sparql=shown.sparql,
        run=f"/editor?{urlencode({'query': shown.sparql})}",
        permalink=f"/queries/{question.id}/versions/{question.hash}?{urlencode(pinned)}",
        formats=[
            (label, f"/queries/{question.id}.{suffix}{_query(shown.values)}")
            for label, suffix in _forms(shown)
        ],
        snippets=_snippets(address(request, f"/queries/{question.id}"), shown),
    )


def _forms(shown: Shown) -> Sequence[tuple[str, str]]:
    if shown.page.names == ("subject", "predicate", "object") and not shown.question.labels:
        return (("Turtle", "ttl"), ("JSON-LD", "jsonld"), ("N-Triples", "nt"))
    return (("CSV", "csv"), ("TSV", "tsv"), ("JSON", "json"), ("SPARQL JSON", "srj"), ("SPARQL XML", "srx"))


def _query(values: Mapping[str, str]) -> str:
    return f"?{urlencode(values)}" if values else ""


def _field(parameter: Parameter, given: str | None, choices: Sequence[Choice], language: str) -> Field:
    value = parameter.default or "" if given is None else given
    if parameter.type == "language" and not choices:
        choices = [Choice(tag) for tag in ("en", "zh-Hans", "zh-Hant")]
    if not choices:
        return Field(parameter, _KINDS.get(parameter.type, "text"), value, ())
    options = [(each.value, _option(each, language)) for each in choices]
    if value and value not in {option for option, _ in options}:
        options.insert(0, (value, value))
    return Field(parameter, "select", value, options)


def _option(choice: Choice, language: str) -> str:
    label = choice.label(language)
    return label if label == choice.value else f"{label} ({choice.value})"


def _shape(row: Binding, name: str, called: Mapping[str, Mapping[str, str]], language: str) -> Shape:
    cell = row.get(name)
    if cell is None:
        return Shape("", "", "", "", False, False)
    if cell["type"] == "uri":
        iri = cell["value"]
        curie, label = compress(iri), named(called, iri, language)
        said = {other["value"] for column, other in row.items() if column != name}
        text = curie if label in said else label
        web = iri.startswith(("http://", "https://"))
        return Shape(text, path_of_thing(iri) if web else "", "", curie, False, len(text) > _LONG)
    number = isinstance(plain(cell), int | float) and not isinstance(plain(cell), bool)
    return Shape(cell["value"], "", cell.get("xml:lang", ""), "", number, len(cell["value"]) > _LONG)


def _texts(row: Binding, columns: Iterable[str]) -> dict[str, str]:
    return {name: row[name]["value"] if name in row else "" for name in columns}


def _snippets(url: str, shown: Shown) -> list[Snippet]:
    """The same answer from a shell, Python and R: what is copied runs as it is."""
    is_graph = _forms(shown)[0][0] == "Turtle"
    suffix = "ttl" if is_graph else "csv"
    csv = f"{url}.{suffix}{_query(shown.values)}"
    given = "".join(f", {name}={value!r}" for name, value in shown.values.items())
    python = f'from kg.client import Client\n\nclient = Client("{url.rpartition("/queries/")[0]}")\n'
    python += (
        f"answer = client.ask({shown.question.id!r}{given})\nprint(answer.total)\nframe = answer.frame()"
    )
    snippets = [Snippet("curl", f"curl '{csv}'"), Snippet("Python", python)]
    if not is_graph:
        snippets.append(Snippet("Python (pandas)", f'import pandas\n\nframe = pandas.read_csv("{csv}")'))
        snippets.append(Snippet("R", f'answer <- read.csv("{csv}", encoding = "UTF-8")'))
    return snippets
