"""`/queries`: the competency questions, as a list and as answers.

Hides how a question's parameters come out of a URL. An answer is what `/sparql` gives for the bound query:
same formats, same headers, same errors.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from itertools import groupby
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kg.canned import Catalogue, Parameter, Question
from kg.engine import Limits
from kg.engine.formats import Kind
from kg.errors import ParameterError
from kg.settings import Settings
from kg.things import rows
from kg.web.asked import engine_of
from kg.web.charts import draw
from kg.web.formats import choose, negotiate
from kg.web.language import language_of, text
from kg.web.pages import page
from kg.web.responder import Responder, joined

_LIST = (("application/json",), ("text/html", "application/xhtml+xml"))


def router(catalogue: Catalogue, settings: Settings) -> APIRouter:
    """`/queries`, `/queries/<id>` and `/queries/<id>.rq`."""
    routes = APIRouter(tags=["questions"])
    responder = Responder(settings)
    limits = Limits.of(settings)

    @routes.get("/queries", summary="The questions, with their parameters and columns")
    async def list_questions(request: Request) -> Response:
        version = engine_of(request).snapshot.version
        found = choose(request.headers.get("accept"), _LIST)
        headers = {"Vary": "Accept", "Cache-Control": "no-cache"}
        if found is not None and found[0] == 1:
            body = page("Questions", _listed(catalogue.values()), version, request)
            return Response(body, 200, headers, "text/html")
        described = [_described(question) for question in catalogue.values()]
        return JSONResponse({"version": version, "questions": described}, headers=headers)

    @routes.get("/queries/{id}.rq", summary="A question's SPARQL, as it runs in any editor")
    async def sparql(id: str) -> Response:
        return Response(catalogue[id].text, 200, {"Cache-Control": "no-cache"}, "application/sparql-query")

    @routes.get("/queries/{id}", summary="The answer to a question; its parameters are query parameters")
    async def answer(id: str, request: Request) -> Response:
        question = catalogue[id]
        values: dict[str, str] = {}
        for name, value in request.query_params.multi_items():
            if name in values:
                raise ParameterError(f"{name} is given twice; give it once")
            values[name] = value
        format = values.pop("format", None)
        values.pop("version", None)  # it has chosen the engine
        given = {name: value for name, value in values.items() if value != ""}
        bound = question.bind(given)
        heading = ""
        if negotiate(joined(request, "accept"), format or None, Kind.SOLUTIONS)[0].key == "html":
            picture = await _picture(request, question, bound, limits) if question.chart else ""
            heading = _heading(question, given, language_of(request)) + picture
        return await responder.respond(request, bound, format=format or None, heading=heading)

    return routes


def _described(question: Question) -> dict[str, object]:
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
    return f'<figure class="picture">{chart.svg}<figcaption>{html.escape(caption)}</figcaption></figure>'


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
