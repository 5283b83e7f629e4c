"""`/queries`: the competency questions, as a list and as answers.

Hides how parameters, language, page and format come out of an address, and how an answer becomes a document
in each format. What a value has to be is said by `kg.canned` and `kg.answers`; the rows come from the same
engine, with the same limits, as those of `/sparql`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from pyoxigraph import (
    QueryResultsFormat,
    QuerySolutions,
    RdfFormat,
    Triple,
    parse,
    parse_query_results,
)
from starlette.requests import Request
from starlette.responses import Response

from kg.answers import Asking, Choice, Memory, Rows, cursor_to, offset_of, plain, written_graph
from kg.canned import LANGUAGES, Catalogue, Question
from kg.engine import Limits, guard
from kg.engine.formats import BY_KEY, SUFFIXES, Format, Kind
from kg.errors import ParameterError, VersionGone
from kg.settings import Settings
from kg.snapshot import Snapshot
from kg.web.asked import engine_of, index_of, whole_number
from kg.web.documents import document
from kg.web.formats import choose, joined, negotiate
from kg.web.language import VARY, language_of
from kg.web.openapi import HTML, JSON, RESULTS, KnowingRouter, described, parameter
from kg.web.questiondocs import (
    ANSWERED,
    LISTED,
    MOST,
    ROWS,
    SPARQL_JSON,
    add,
    columns,
    enum,
    id_parameter,
    listed,
    paging,
    told,
)
from kg.web.questionpage import ROWS_SHOWN, Shown, list_page, question_page
from kg.web.responder import Responder

_LIST = (("application/json",), ("text/html", "application/xhtml+xml"))
_WRITTEN = {"csv": QueryResultsFormat.CSV, "tsv": QueryResultsFormat.TSV, "xml": QueryResultsFormat.XML}
_GRAPHS = {
    "turtle": RdfFormat.TURTLE,
    "ntriples": RdfFormat.N_TRIPLES,
    "nquads": RdfFormat.N_QUADS,
    "trig": RdfFormat.TRIG,
    "rdfxml": RdfFormat.RDF_XML,
    "jsonld": RdfFormat.JSON_LD,
}
_EXAMPLE_ROWS = 2


@dataclass(frozen=True)
class _Asked:
    """What an address asks: values by parameter, and how the answer is wanted."""

    values: Mapping[str, str]
    format: str | None
    language: str
    limit: int | None
    cursor: str | None
    kept: Mapping[str, str]  # what else stands in the address of the next page

    @classmethod
    def of(cls, request: Request, suffix: str) -> _Asked:
        """Out of an address; `suffix` is the format that its path names."""
        given: dict[str, str] = {}
        formats = [suffix]
        for name, value in request.query_params.multi_items():
            if name == "format":
                formats.append(value)
            elif name in given:
                raise ParameterError(f"{name} is given twice; give it once", parameter=name)
            elif name != "version":  # it has chosen the engine
                given[name] = value
        given = {name: value for name, value in given.items() if value != ""}
        kept = {name: given[name] for name in given if name != "cursor"}
        if named := ",".join(each for each in formats[1:] if each):
            kept["format"] = named
        language = given.pop("lang", "")
        if language and language not in LANGUAGES:
            takes = f"one of {', '.join(LANGUAGES)}"
            raise ParameterError(
                f"lang={language[:20]!r} is no language of ours; it takes {takes}",
                parameter="lang",
                takes=takes,
            )
        limit = given.pop("limit", None)
        return cls(
            values={name: value for name, value in given.items() if name != "cursor"},
            format=",".join(each for each in formats if each) or None,
            language=language or language_of(request),
            limit=None if limit is None else _limit(limit),
            cursor=given.get("cursor"),
            kept=kept,
        )


def _limit(text: str) -> int:
    limit = whole_number(text, 1, MOST)
    if limit is None:
        takes = f"a whole number from 1 to {MOST}"
        raise ParameterError(
            f"limit={text[:20]!r} is refused: it takes {takes}; without it all rows come at once",
            parameter="limit",
            takes=takes,
        )
    return limit


def router(catalogue: Catalogue, settings: Settings) -> APIRouter:
    """`/queries`, `/queries/<id>`, `/queries/<id>.<format>`, `/queries/<id>/versions/<hash>`."""
    answers = _Answers(catalogue, settings)
    routes = _Questions(answers)

    @routes.get(
        "/queries",
        summary="The questions, with their parameters and columns",
        operation_id="questions",
        **described(JSON, HTML, schemas={JSON: LISTED}),
    )
    async def list_questions(request: Request) -> Response:
        found = choose(joined(request, "accept"), _LIST)
        if found is not None and found[0] == 1:
            body = list_page(request, catalogue.values(), language_of(request))
            return document(request, body, "text/html; charset=utf-8", {"Vary": VARY})
        asking = await answers.asking(request)
        every = [await told(question, asking) for question in catalogue.values()]
        body = _written({"version": engine_of(request).snapshot.version, "questions": every})
        return document(request, body, JSON)

    @routes.get(
        "/queries/{id}.rq",
        summary="A question's SPARQL, as it runs in any editor",
        operation_id="question_sparql",
        **described("application/sparql-query", parameters=[id_parameter(catalogue)]),
    )
    async def sparql(request: Request) -> Response:
        body = catalogue[request.path_params["id"]].text.encode()
        return document(request, body, "application/sparql-query")

    for question in catalogue.values():
        add(routes, question, answers.answer)

    @routes.get(
        "/queries/{id}/versions/{hash}",
        summary="The answer of one version of a question: the same text for as long as it is kept",
        operation_id="question_version",
        **described(
            *(each.media_type for each in ROWS),
            schemas={JSON: ANSWERED, SPARQL_JSON.media_type: RESULTS},
            parameters=[
                id_parameter(catalogue),
                parameter(
                    "hash",
                    "The first 16 digits of the SHA-256 of the question's text.",
                    {"type": "string", "pattern": "^[0-9a-f]{16}$"},
                    where="path",
                ),
                *paging(Kind.SOLUTIONS),
            ],
        ),
    )
    async def version(request: Request) -> Response:
        id, hash = request.path_params["id"], request.path_params["hash"]
        question = catalogue[id]
        if hash != question.hash:
            raise VersionGone(
                f"{id} has no version {hash[:80]!r} here: its text is now {question.hash}, at "
                f"/queries/{id}/versions/{question.hash}. Texts of before stand in the history of "
                f"queries/{question.topic}/{id}.rq, and run at /sparql",
                kept=[question.hash],
            )
        return await answers.answer(request, question, "")

    @routes.get("/queries/{id}", include_in_schema=False)
    async def answer(id: str, request: Request) -> Response:
        stem, dot, suffix = id.rpartition(".")
        if dot and suffix in SUFFIXES and stem in catalogue:
            return await answers.answer(request, catalogue[stem], suffix)
        return await answers.answer(request, catalogue[id], "")

    return routes


class _Questions(KnowingRouter):
    """The routes of the questions, which a snapshot completes: the values there are, and a real answer."""

    def __init__(self, answers: _Answers) -> None:
        super().__init__(tags=["questions"])
        self._answers = answers
        self._learned: dict[str, dict[str, Any]] = {}  # by snapshot

    async def complete(self, request: Request, whole: dict[str, Any]) -> None:
        """See `KnowingRouter.complete`."""
        snapshot = engine_of(request).snapshot.name
        if snapshot not in self._learned:
            self._learned = {snapshot: await self._answers.learned(request)}
        for id, (choices, example) in self._learned[snapshot].items():
            operation = whole["paths"][f"/queries/{id}"]["get"]
            for each in operation["parameters"]:
                if values := choices.get(each.get("name")):
                    each["schema"] = enum(value.value for value in values)
                    each["description"] += f" {listed(values)}"
            for media_type, value in example.items():
                operation["responses"]["200"]["content"][media_type]["example"] = value


class _Answers:
    """Answers to the questions of a catalogue."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self._catalogue = catalogue
        self._responder = Responder(settings)
        self._limits = Limits.of(settings)

    async def asking(self, request: Request) -> Asking:
        """What puts questions to the snapshot that a request asks."""
        engine = engine_of(request)
        memory: Memory = request.app.state.memories.setdefault(engine.snapshot.name, Memory())

        async def ask(text: str) -> Rows:
            answer = await engine.query(text, accept=BY_KEY["json"], limits=self._limits)
            return Rows.read(await answer.read())

        return Asking(ask, await index_of(request), memory)

    async def learned(
        self, request: Request
    ) -> dict[str, tuple[dict[str, tuple[Choice, ...]], dict[str, Any]]]:
        """By question: the values of its parameters, and the beginning of its answer by media type."""
        asking = await self.asking(request)
        return {
            id: (
                {name: await asking.choices(each) for name, each in question.parameters.items()},
                await self._example(request, asking, question),
            )
            for id, question in self._catalogue.items()
        }

    async def _example(self, request: Request, asking: Asking, question: Question) -> dict[str, Any]:
        if guard.inspect(question.text, self._limits).kind is not Kind.SOLUTIONS:
            return {}
        snapshot = engine_of(request).snapshot
        rows = await asking.rows(question.text)
        page = Rows(rows.names, rows.bindings[:_EXAMPLE_ROWS])
        asked, total = _Asked({}, None, "en", _EXAMPLE_ROWS, None, {}), len(rows.bindings)
        cursor = following = None
        if total > _EXAMPLE_ROWS:
            cursor = cursor_to(snapshot, question, {}, _EXAMPLE_ROWS)
            following = (
                f"/queries/{question.id}?limit={_EXAMPLE_ROWS}&cursor={cursor}&version={snapshot.name}"
            )
        return {
            JSON: _rows_as_json(snapshot, question, asked, page, total, 0, cursor, following),
            SPARQL_JSON.media_type: _sparql_json(page),
            BY_KEY["csv"].media_type: _serialised(page, "csv").decode(),
        }

    async def answer(self, request: Request, question: Question, suffix: str) -> Response:
        """The answer to a question, as the address and the Accept header want it."""
        asked = _Asked.of(request, suffix)
        kind = guard.inspect(question.text, self._limits).kind
        offered = ROWS if kind is Kind.SOLUTIONS else ()
        format, content_type = negotiate(joined(request, "accept"), asked.format, kind, offered)
        asking = await self.asking(request)
        text = await asking.bound(question, asked.values)
        if kind is Kind.SOLUTIONS:
            return await self._rows(request, question, asked, asking, text, format, content_type)
        return await self._graph(request, question, asked, asking, text, format, content_type)

    async def _rows(
        self,
        request: Request,
        question: Question,
        asked: _Asked,
        asking: Asking,
        text: str,
        format: Format,
        content_type: str,
    ) -> Response:
        snapshot = engine_of(request).snapshot
        offset = 0
        if asked.cursor is not None:
            offset = offset_of(snapshot, question, asked.values, asked.cursor)
        whole = await self._responder.whole(request, text, BY_KEY["json"])
        if whole is None:
            return Response(status_code=499)
        rows = Rows.read(whole.body)
        total = len(rows.bindings)
        limit = asked.limit
        if limit is None:
            limit = ROWS_SHOWN if format.key == "html" else MOST
        page = Rows(rows.names, rows.bindings[offset : offset + limit])
        cursor = None
        if offset + limit < total:
            cursor = cursor_to(snapshot, question, asked.values, offset + limit)
        following = None if cursor is None else _following(request, asked, cursor, snapshot)
        headers = self._headers(request, question, whole.headers, total, asked.language, following)
        page = await asking.translated(question, page, asked.language)
        if format.key == "html":
            every = await asking.translated(question, rows, asked.language)
            shown = Shown(question, asked.values, asked.language, text, page, every, offset, following)
            body = await question_page(request, shown, asking, self._limits)
            return document(request, body, content_type, headers)
        if format.key == "json":
            written = _rows_as_json(snapshot, question, asked, page, total, offset, cursor, following)
            return document(request, _written(written), content_type, headers)
        if format.key == "srj":
            return document(request, _written(_sparql_json(page)), content_type, headers)
        return document(request, _serialised(page, format.key), content_type, headers)

    async def _graph(
        self,
        request: Request,
        question: Question,
        asked: _Asked,
        asking: Asking,
        text: str,
        format: Format,
        content_type: str,
    ) -> Response:
        if asked.limit is not None or asked.cursor is not None:
            raise ParameterError(
                f"{question.id} gives a graph, which comes whole: leave limit and cursor out",
                parameter="limit",
            )
        whole = await self._responder.whole(request, text, BY_KEY["ntriples"])
        if whole is None:
            return Response(status_code=499)
        triples = sorted({quad.triple for quad in parse(whole.body, format=RdfFormat.N_TRIPLES)}, key=str)
        headers = self._headers(request, question, whole.headers, len(triples), asked.language, None)
        if format.key == "html":
            page = _as_rows(triples)
            shown = Shown(question, asked.values, asked.language, text, page, page, 0, None)
            body = await question_page(request, shown, asking, self._limits)
            return document(request, body, content_type, headers)
        written = written_graph(triples, _GRAPHS[format.key])
        return document(request, written, content_type, headers)

    def _headers(
        self,
        request: Request,
        question: Question,
        of_whole: Mapping[str, str],
        total: int,
        language: str,
        following: str | None,
    ) -> dict[str, str]:
        links = [of_whole["Link"]]
        if "/versions/" in request.url.path:
            links.append(f'</queries/{question.id}>; rel="latest-version"')
        if following is not None:
            links.append(f'<{following}>; rel="next"')
        return {
            **of_whole,
            "Link": ", ".join(links),
            "Vary": f"{VARY}, Accept-Encoding",
            "Content-Language": language,
            "X-Total-Count": str(total),
        }


def _following(request: Request, asked: _Asked, cursor: str, snapshot: Snapshot) -> str:
    """The address of the next page: of the same snapshot, whichever is served by then."""
    return f"{request.url.path}?{urlencode({**asked.kept, 'cursor': cursor, 'version': snapshot.name})}"


def _rows_as_json(
    snapshot: Snapshot,
    question: Question,
    asked: _Asked,
    page: Rows,
    total: int,
    offset: int,
    cursor: str | None,
    following: str | None,
) -> dict[str, Any]:
    used = {each.name: each.default for each in question.parameters.values()}
    return {
        "question": question.id,
        "asks": question.summaries.get(asked.language, question.summary),
        "hash": question.hash,
        "snapshot": snapshot.name,
        "language": asked.language,
        "parameters": {**used, **asked.values},
        "columns": columns(question),
        "total": total,
        "offset": offset,
        "cursor": cursor,
        "next": following,
        "rows": [{name: plain(row.get(name)) for name in page.names} for row in page.bindings],
    }


def _sparql_json(page: Rows) -> dict[str, Any]:
    return {"head": {"vars": page.names}, "results": {"bindings": page.bindings}}


def _serialised(page: Rows, key: str) -> bytes:
    solutions = parse_query_results(_written(_sparql_json(page)), format=QueryResultsFormat.JSON)
    assert isinstance(solutions, QuerySolutions)
    written = solutions.serialize(format=_WRITTEN[key])
    assert written is not None
    return written


def _as_rows(triples: list[Triple]) -> Rows:
    solutions = [
        {name: _cell(term) for name, term in zip(("subject", "predicate", "object"), triple, strict=True)}
        for triple in triples
    ]
    return Rows(("subject", "predicate", "object"), solutions)


def _cell(term: Any) -> dict[str, str]:
    kind = {"NamedNode": "uri", "BlankNode": "bnode"}.get(type(term).__name__, "literal")
    cell = {"type": kind, "value": term.value}
    if kind == "literal" and term.language:
        cell["xml:lang"] = term.language
    elif kind == "literal":
        cell["datatype"] = term.datatype.value
    return cell


def _written(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
