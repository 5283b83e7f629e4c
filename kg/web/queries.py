"""`/queries`: the competency questions, as a list and as answers.

Hides how a question's parameters come out of a URL. An answer is what `/sparql` gives for the bound query:
same formats, same headers, same errors.
"""

from __future__ import annotations

import html
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import groupby
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kg.canned import LANGUAGES, Catalogue, Parameter, Question
from kg.engine import Limits, guard
from kg.engine.formats import SUFFIXES, Kind
from kg.errors import ParameterError
from kg.rows import rows
from kg.settings import Settings
from kg.web.asked import engine_of
from kg.web.charts import draw
from kg.web.documents import document
from kg.web.formats import choose, negotiate
from kg.web.language import language_of, text
from kg.web.openapi import HTML, IRI, JSON, described, format_parameter, media_types, parameter
from kg.web.pages import page
from kg.web.responder import Responder, joined

_Answers = Callable[[Request, Question, str], Awaitable[Response]]
_LIST = (("application/json",), ("text/html", "application/xhtml+xml"))


def router(catalogue: Catalogue, settings: Settings) -> APIRouter:
    """`/queries`, `/queries/<id>`, `/queries/<id>.<format>` and `/queries/<id>.rq`."""
    routes = APIRouter(tags=["questions"])
    responder = Responder(settings)
    limits = Limits.of(settings)

    async def answered(request: Request, question: Question, suffix: str) -> Response:
        values: dict[str, str] = {}
        formats = [suffix]
        for name, value in request.query_params.multi_items():
            if name == "format":
                formats.append(value)
            elif name in values:
                raise ParameterError(f"{name} is given twice; give it once")
            elif name != "version":  # it has chosen the engine
                values[name] = value
        given = {name: value for name, value in values.items() if value != ""}
        bound = question.bind(given)
        format = ",".join(each for each in formats if each) or None
        heading = ""
        if negotiate(joined(request, "accept"), format, Kind.SOLUTIONS)[0].key == "html":
            picture = await _picture(request, question, bound, limits) if question.chart else ""
            heading = _heading(question, given, language_of(request)) + picture
        return await responder.respond(request, bound, format=format, heading=heading)

    @routes.get(
        "/queries", summary="The questions, with their parameters and columns", **described(JSON, HTML)
    )
    async def list_questions(request: Request) -> Response:
        version = engine_of(request).snapshot.version
        found = choose(joined(request, "accept"), _LIST)
        if found is not None and found[0] == 1:
            body = page("Questions", _listed(catalogue.values()), version, request)
            return document(request, body, "text/html; charset=utf-8")
        told = {"version": version, "questions": [_told(question) for question in catalogue.values()]}
        return document(request, json.dumps(told, ensure_ascii=False).encode(), JSON)

    @routes.get(
        "/queries/{id}.rq",
        summary="A question's SPARQL, as it runs in any editor",
        **described(
            "application/sparql-query",
            parameters=[
                parameter("id", "A question.", {"type": "string", "enum": list(catalogue)}, where="path")
            ],
        ),
    )
    async def sparql(request: Request) -> Response:
        body = catalogue[request.path_params["id"]].text.encode()
        return document(request, body, "application/sparql-query")

    for question in catalogue.values():
        _add(routes, question, answered)

    @routes.get("/queries/{id}", include_in_schema=False)
    async def answer(id: str, request: Request) -> Response:
        stem, dot, suffix = id.rpartition(".")
        if dot and suffix in SUFFIXES and stem in catalogue:
            return await answered(request, catalogue[stem], suffix)
        return await answered(request, catalogue[id], "")

    return routes


def _add(routes: APIRouter, question: Question, answered: _Answers) -> None:
    """A route of its own for a question: its parameters are described one by one."""

    async def answer(request: Request) -> Response:
        return await answered(request, question, "")

    kind = guard.inspect(question.text, Limits()).kind
    routes.add_api_route(
        f"/queries/{question.id}",
        answer,
        methods=["GET"],
        name=question.id,
        summary=question.summary,
        description=question.description,
        operation_id=question.id,
        **described(
            *media_types(kind),
            parameters=[
                *(
                    parameter(each.name, each.description, _schema(each), example=each.default)
                    for each in question.parameters.values()
                ),
                format_parameter(kind),
            ],
        ),
    )


def _schema(parameter: Parameter) -> Mapping[str, object]:
    """The values a parameter takes, in JSON Schema."""
    if parameter.values:
        return {"type": "string", "enum": ["", *parameter.values]}
    if parameter.type == "integer":
        least = -(10**18) if parameter.minimum is None else int(parameter.minimum)
        return {"type": "integer", "exclusiveMinimum": least, "exclusiveMaximum": 10**18}
    if parameter.type == "decimal":
        # As text: not every way to write a number in JSON (1e-7) is one to write an xsd:decimal.
        sign = "[+-]?" if parameter.minimum is None else "[+]?(?=[0-9.]*[1-9])"
        return {"type": "string", "pattern": rf"^({sign}([0-9]{{1,18}}(\.[0-9]{{0,18}})?|\.[0-9]{{1,18}}))?$"}
    if parameter.type == "date":
        return {"type": "string", "format": "date"}
    if parameter.type == "language":
        return {"type": "string", "enum": ["", *LANGUAGES]}
    if parameter.type == "iri":
        return IRI
    return {"type": "string", "pattern": r"^[^\x00]*$"}


def _told(question: Question) -> dict[str, object]:
    return {
        "id": question.id,
        "topic": question.topic,
        "question": {"en": question.summary, **question.summaries},
        "description": question.description.strip(),
        "tags": question.tags,
        "parameters": [
            {
                "name": parameter.name,
                "type": parameter.type,
                "default": parameter.default,
                "description": parameter.description,
                "takes": parameter.takes,
                **({"values": parameter.values} if parameter.values else {}),
            }
            for parameter in question.parameters.values()
        ],
        "columns": question.columns,
        "units": question.units,
        "chart": question.chart,
        "related": question.related,
        "version": question.version,
        "hash": question.hash,
        "answer": f"/queries/{question.id}",
        "sparql": f"/queries/{question.id}.rq",
    }


def _listed(questions: Iterable[Question]) -> str:
    content = (
        "<h1>Questions</h1><p class=lead>Each is answered from the graph; its SPARQL is open to copy.</p>"
    )
    for topic, members in groupby(questions, key=lambda question: question.topic):
        content += f"<h2>{html.escape(topic.capitalize())}</h2>"
        for question in members:
            chinese = html.escape(question.summaries["zh-Hans"])
            content += (
                f'<p><a href="/queries/{question.id}">{html.escape(question.summary)}</a><br>'
                f'<span class="soft" lang="zh-Hans">{chinese}</span></p>'
            )
    return content


async def _picture(request: Request, question: Question, bound: str, limits: Limits) -> str:
    """The chart of an answer, above its table; nothing where there is nothing to draw."""
    found = await rows(engine_of(request), bound, limits)
    texts = [{name: row[name].value if name in row else "" for name in question.columns} for row in found]
    title = question.summaries.get(language_of(request), question.summary)
    chart = draw(question.chart, texts, title, question.units)
    if chart is None:
        return ""
    language = language_of(request)
    more = text(language, "left-out").replace("{n}", str(chart.left_out)) if chart.left_out else ""
    caption = f"{text(language, 'chart')}. {more}"
    told = f"<figcaption>{html.escape(caption)}</figcaption>"
    return f'<figure class="picture" tabindex="0">{chart.svg}{told}</figure>'


def _heading(question: Question, given: dict[str, str], language: str) -> str:
    """What stands above an answer in a browser: the question, a form for its parameters, other formats."""
    fields = "".join(_field(parameter, given) for parameter in question.parameters.values())
    form = (
        f'<form method="get" class="row">{fields}<button type="submit">Ask</button></form>' if fields else ""
    )
    return (
        f"<h1>{html.escape(question.summaries.get(language, question.summary))}</h1>"
        f'<p lang="en">{html.escape(question.description)}</p>{form}'
        f'<p><a href="/queries/{question.id}.rq">SPARQL</a> · '
        f'<a href="/queries/{question.id}?{html.escape(urlencode({**given, "format": "csv"}))}">CSV</a> · '
        f'<a href="/queries/{question.id}?{html.escape(urlencode({**given, "format": "json"}))}">JSON</a>'
        f"{_related(question, language)}</p>"
    )


def _related(question: Question, language: str) -> str:
    links = "".join(f' · <a href="/queries/{id}">{id}</a>' for id in question.related)
    return f" · {html.escape(text(language, 'related'))}:{links[2:]}" if links else ""


def _field(parameter: Parameter, given: dict[str, str]) -> str:
    value = given.get(parameter.name, parameter.default or "")
    label = f"{html.escape(parameter.description)} "
    return f'<label>{label}<input name="{parameter.name}" value="{html.escape(value)}"></label>'
