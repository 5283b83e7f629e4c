"""What is told of the questions: in their list as JSON, and in the words of OpenAPI.

Hides how a parameter's type becomes a JSON Schema, and how a question's columns become that of its answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kg.answers import Asking, Choice
from kg.canned import LANGUAGES, Catalogue, Parameter, Question
from kg.engine import Limits, guard
from kg.engine.formats import BY_KEY, Format, Kind
from kg.web.openapi import IRI, JSON, RESULTS, described, format_parameter, media_types, parameter

# A question's rows come as plain JSON too, which is what a program wants that knows no RDF.
ROWS_JSON = Format("json", "JSON", JSON, "json", frozenset({Kind.SOLUTIONS}), ("text/json",))
SPARQL_JSON = replace(BY_KEY["json"], key="srj", aliases=(), other_keys=("sparql-results+json",))
ROWS = (ROWS_JSON, SPARQL_JSON, BY_KEY["csv"], BY_KEY["tsv"], BY_KEY["xml"], BY_KEY["html"])
MOST = 10**9  # rows of a page; no page is cut
_LISTED = 25  # values that a description names with their labels


def columns(question: Question) -> list[dict[str, Any]]:
    """The columns of an answer: what each means, its unit, whether it holds labels."""
    return [
        {
            "name": name,
            "meaning": meaning,
            **({"unit": question.units[name]} if name in question.units else {}),
            **({"label": True} if name in question.labels else {}),
        }
        for name, meaning in question.columns.items()
    ]


async def told(question: Question, asking: Asking) -> dict[str, object]:
    """All of a question, for the list: its header, addresses, and the values its parameters take."""
    return {
        "id": question.id,
        "topic": question.topic,
        "question": {"en": question.summary, **question.summaries},
        "description": question.description.strip(),
        "tags": question.tags,
        "parameters": [
            _told_of_parameter(each, await asking.choices(each)) for each in question.parameters.values()
        ],
        "gives": "graph" if guard.inspect(question.text, Limits()).kind is Kind.GRAPH else "rows",
        "columns": question.columns,
        "labels": question.labels,
        "units": question.units,
        "chart": question.chart,
        "related": question.related,
        "version": question.version,
        "hash": question.hash,
        "answer": f"/queries/{question.id}",
        "permalink": f"/queries/{question.id}/versions/{question.hash}",
        "sparql": f"/queries/{question.id}.rq",
    }


def _told_of_parameter(parameter: Parameter, choices: tuple[Choice, ...]) -> dict[str, object]:
    return {
        "name": parameter.name,
        "type": parameter.type,
        "default": parameter.default,
        "description": parameter.description,
        "takes": parameter.takes,
        **({"examples": parameter.examples} if parameter.examples else {}),
        **({"values": [{"value": each.value, **each.labels} for each in choices]} if choices else {}),
    }


def id_parameter(catalogue: Catalogue) -> dict[str, Any]:
    """The id of a question, in the words of OpenAPI."""
    return parameter("id", "A question.", {"type": "string", "enum": list(catalogue)}, where="path")


_ROWS_FORMATS = [format.key for format in ROWS]


def paging(kind: Kind) -> list[dict[str, Any]]:
    """The parameters that every question takes, beside its own."""
    language = parameter("lang", "Language of labels; wins over Accept-Language.", enum(LANGUAGES))
    if kind is Kind.GRAPH:
        return [language, format_parameter(kind)]
    return [
        language,
        parameter(
            "limit",
            "Rows of a page; all of them without it.",
            {"type": "integer", "minimum": 1, "maximum": MOST},
        ),
        parameter(
            "cursor", "Where the next page begins: the `cursor` of the page before.", {"type": "string"}
        ),
        parameter("format", "Wins over the Accept header.", enum(_ROWS_FORMATS)),
    ]


def enum(values: Iterable[str]) -> dict[str, Any]:
    """The schema of a text that is one of these, or empty: an empty value counts as absent."""
    return {"type": "string", "enum": ["", *values]}


def listed(values: Sequence[Choice]) -> str:
    """The values of a parameter in words, for a description."""
    said = [f"{each.value} ({each.label('en')})" if each.labels else each.value for each in values[:_LISTED]]
    return f"One of: {'; '.join(said)}{'; …' if len(values) > _LISTED else ''}"


def add(
    routes: APIRouter, question: Question, answered: Callable[[Request, Question, str], Awaitable[Response]]
) -> None:
    """A route of its own for a question: its parameters and columns are described one by one."""

    async def answer(request: Request) -> Response:
        return await answered(request, question, "")

    kind = guard.inspect(question.text, Limits()).kind
    types = [each.media_type for each in ROWS] if kind is Kind.SOLUTIONS else media_types(kind)
    schemas: dict[str, Mapping[str, Any]] = {
        name: {"type": "string"} for name in types if not name.endswith("json")
    }
    if kind is Kind.SOLUTIONS:
        schemas |= {JSON: _answer_schema(question), SPARQL_JSON.media_type: RESULTS}
    routes.add_api_route(
        f"/queries/{question.id}",
        answer,
        methods=["GET"],
        name=question.id,
        summary=question.summary,
        description=question.description,
        operation_id=question.id,
        **described(
            *types,
            description="The answer; X-Total-Count says how many rows there are in all",
            schemas=schemas,
            parameters=[
                *(
                    parameter(each.name, f"{each.description}.", _schema(each), example=_example_of(each))
                    for each in question.parameters.values()
                ),
                *paging(kind),
            ],
        ),
    )


def _example_of(parameter: Parameter) -> str | int:
    example = next(iter((*filter(None, [parameter.default]), *parameter.examples)), "")
    return int(example) if parameter.type == "integer" and example else example


_TEXT, _COUNT, _PERHAPS = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": ["string", "null"]}
_CELL: Mapping[str, Any] = {"type": ["string", "number", "boolean", "null"]}


def _answer_of(question: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    members: dict[str, Any] = {
        "question": question,
        "asks": _TEXT,
        "hash": {**_TEXT, "description": "Names the text of the query"},
        "snapshot": {**_TEXT, "description": "Names the graph that was asked"},
        "language": {"type": "string", "enum": list(LANGUAGES)},
        "parameters": {"type": "object", "additionalProperties": _PERHAPS},
        "columns": {"type": "array", "items": {"type": "object"}},
        "total": {**_COUNT, "description": "Rows of the whole answer"},
        "offset": {**_COUNT, "description": "Rows before this page"},
        "cursor": {**_PERHAPS, "description": "Where the next page begins; null on the last"},
        "next": {**_PERHAPS, "description": "The address of the next page"},
        "rows": {"type": "array", "items": row},
    }
    return {"title": "Answer", "type": "object", "required": list(members), "properties": members}


ANSWERED: Mapping[str, Any] = _answer_of(_TEXT, {"type": "object", "additionalProperties": _CELL})
_ABOUT: Mapping[str, Any] = {
    **dict.fromkeys(("id", "topic", "description", "gives", "hash", "answer", "permalink", "sparql"), _TEXT),
    **{name: {"type": "array", "items": _TEXT} for name in ("tags", "labels", "related")},
    **{
        name: {"type": "object", "additionalProperties": _TEXT}
        for name in ("question", "columns", "units", "chart")
    },
    "parameters": {"type": "array", "items": {"type": "object"}},
    "version": _COUNT,
}
LISTED: Mapping[str, Any] = {
    "title": "Listed",
    "type": "object",
    "required": ["version", "questions"],
    "properties": {
        "version": {**_TEXT, "description": "Of the graph"},
        "questions": {
            "type": "array",
            "items": {"title": "Question", "type": "object", "required": list(_ABOUT), "properties": _ABOUT},
        },
    },
}


def _answer_schema(question: Question) -> dict[str, Any]:
    """The answer as JSON: a row has a value for each column, null where there is none."""
    row = {
        "title": "Row",
        "type": "object",
        "required": list(question.columns),
        "additionalProperties": False,
        "properties": {
            column: {**_CELL, "description": meaning, **_unit(question, column)}
            for column, meaning in question.columns.items()
        },
    }
    return _answer_of({"type": "string", "const": question.id}, row)


def _unit(question: Question, column: str) -> dict[str, str]:
    return {"x-unit": question.units[column]} if column in question.units else {}


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
        return {"type": "string", "anyOf": [{"format": "date"}, {"const": ""}]}
    if parameter.type == "language":
        return {"type": "string", "enum": ["", *LANGUAGES]}
    if parameter.type == "iri":
        return IRI
    return {"type": "string", "pattern": r"^[^\x00]*$"}
