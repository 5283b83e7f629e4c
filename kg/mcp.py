"""The graph as tools of a language model, over the Model Context Protocol (`kg mcp`, on stdin and stdout).

Hides the protocol, and how an error of ours becomes one that a model can act on: its kind, what it is about,
what would be taken, and near matches. Every answer says its total and which snapshot it is of; a page that
is not the whole says where the next one begins.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp_types import CallToolResult, InputRequiredResult, TextContent, ToolAnnotations
from pydantic import Field, ValidationError
from pyoxigraph import Literal, NamedNode, RdfFormat, parse

from kg.answers import Asking, Cell, Memory, Rows, cursor_to, offset_of, plain, written_graph
from kg.canned import LANGUAGES, Catalogue
from kg.engine import Engine, Limits, guard
from kg.engine.chosen import engine_for
from kg.engine.formats import BY_KEY, Kind
from kg.errors import ParameterError, QuerySyntaxError, StromaError, UsageError
from kg.names import named
from kg.search import KIND_NAMES, Index
from kg.settings import Settings
from kg.snapshot import Snapshot
from kg.terms import compress, expand
from kg.things import Statement, describe

_ROWS = 50  # of an answer, where no limit is given: a model reads them all
_MOST = 1000
_STATEMENTS = 60
_ABOUT = """\
Stroma is a knowledge graph of mesenchymal stromal cell (MSC) therapy for rheumatoid arthritis: mechanisms,
trials, doses, outcomes, safety, with who says each statement and where. Find things with `search`, see what
is known of one with `describe_thing`. `list_questions` has ready, checked questions; prefer them, with
`describe_question` for their parameters and `ask_question` for the answer; write SPARQL only where none fits.
Total 0 means that the graph says nothing of it, not that it is false. Not medical advice."""
_READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)

Values = dict[str, str | int | float]
Limit = Annotated[int, Field(ge=1, le=_MOST, description="Rows at most")]
Language = Annotated[str, Field(description=f"Language of labels: {', '.join(LANGUAGES)}")]


@dataclass(frozen=True)
class Brief:
    """A question in the list."""

    id: str
    topic: str
    question: str
    parameters: list[str]


@dataclass(frozen=True)
class Questions:
    """The questions there are."""

    total: int
    topics: list[str]
    questions: list[Brief]


@dataclass(frozen=True)
class ParameterTold:
    """A parameter: what it takes, and the values there are where they are few."""

    name: str
    type: str
    description: str
    takes: str
    default: str | None
    examples: list[str]
    values: dict[str, str]  # as written -> label


@dataclass(frozen=True)
class QuestionTold:
    """All of a question."""

    id: str
    question: str
    description: str
    gives: str
    parameters: list[ParameterTold]
    columns: dict[str, str]
    units: dict[str, str]
    related: list[str]
    sparql: str


@dataclass(frozen=True)
class Answer:
    """The answer to a question or a query: a page of rows, or a graph as Turtle, or yes or no."""

    snapshot: str
    total: int
    offset: int
    columns: dict[str, str]  # name -> meaning
    units: dict[str, str]
    rows: list[dict[str, Any]]
    cursor: str | None  # give it to get the next page; None: this is the last
    turtle: str | None = None
    boolean: bool | None = None


@dataclass(frozen=True)
class Found:
    """Things that a search found."""

    total: int
    hits: list[dict[str, Any]]
    corrected: dict[str, list[str]]  # words that nobody wrote -> those taken instead


@dataclass(frozen=True)
class Thing:
    """What the graph says of a thing."""

    iri: str
    curie: str
    label: str
    snapshot: str
    total: int  # statements, of which `statements` has the first
    statements: list[dict[str, Any]]
    referred_to_by: dict[str, int]  # predicate -> how many things


class Tools:
    """The tools over one engine; each raises the errors of `kg.errors`."""

    def __init__(self, engine: Engine, catalogue: Catalogue, limits: Limits) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._limits = limits
        self._index = Index.of(engine.snapshot)
        self._asking = Asking(self._rows, self._index, Memory())

    async def _rows(self, text: str) -> Rows:
        return Rows.read(await self._answered(text, "json"))

    async def _answered(self, text: str, format: str) -> bytes:
        answer = await self._engine.query(text, accept=BY_KEY[format], limits=self._limits)
        return await answer.read()

    async def list_questions(
        self, topic: Annotated[str, Field(description="Only those of a topic; all by default")] = ""
    ) -> Questions:
        """List the ready questions: each has been checked against the sources."""
        topics = list(dict.fromkeys(each.topic for each in self._catalogue.values()))
        if topic and topic not in topics:
            raise ParameterError(
                f"no topic is called {topic[:40]!r}; there are: {', '.join(topics)}",
                parameter="topic",
                takes=f"one of {', '.join(topics)}",
                near=topics,
            )
        found = [
            Brief(each.id, each.topic, each.summary, list(each.parameters))
            for each in self._catalogue.values()
            if topic in ("", each.topic)
        ]
        return Questions(len(found), topics, found)

    async def describe_question(
        self, id: Annotated[str, Field(description="From list_questions")]
    ) -> QuestionTold:
        """Say what a question takes and gives: parameters with values, columns with units, its SPARQL."""
        question = self._catalogue[id]
        parameters = []
        for each in question.parameters.values():
            choices = await self._asking.choices(each)
            values = {choice.value: choice.label("en") for choice in choices}
            parameters.append(
                ParameterTold(
                    each.name, each.type, each.description, each.takes, each.default,
                    list(each.examples), values,
                )
            )  # fmt: skip
        return QuestionTold(
            question.id,
            question.summary,
            question.description.strip(),
            "graph" if self._kind(question.text) is Kind.GRAPH else "rows",
            parameters,
            dict(question.columns),
            dict(question.units),
            list(question.related),
            question.text,
        )

    async def ask_question(
        self,
        id: Annotated[str, Field(description="From list_questions")],
        parameters: Annotated[
            Values, Field(description="Values by name; what is left out keeps its default")
        ] = {},  # noqa: B006 - pydantic copies it
        limit: Limit = _ROWS,
        cursor: Annotated[str, Field(description="`cursor` of the page before")] = "",
        language: Language = "en",
    ) -> Answer:
        """Answer a ready question. A value the graph does not know is refused, with near matches."""
        if language not in LANGUAGES:
            takes = f"one of {', '.join(LANGUAGES)}"
            raise ParameterError(
                f"language={language[:20]!r} is refused: it takes {takes}", parameter="language", takes=takes
            )
        question = self._catalogue[id]
        values = {name: _text(value) for name, value in parameters.items()}
        snapshot = self._engine.snapshot
        offset = offset_of(snapshot, question, values, cursor) if cursor else 0
        text = await self._asking.bound(question, values)
        columns, units = dict(question.columns), dict(question.units)
        if self._kind(text) is Kind.GRAPH:
            return await self._graph(text, limit, columns)
        rows = await self._rows(text)
        total = len(rows.bindings)
        page = Rows(rows.names, rows.bindings[offset : offset + limit])
        page = await self._asking.translated(question, page, language)
        following = None
        if offset + limit < total:
            following = cursor_to(snapshot, question, values, offset + limit)
        return Answer(snapshot.name, total, offset, columns, units, _plain(page), following)

    async def search(
        self,
        text: Annotated[str, Field(description="A name, synonym, identifier, in English or Chinese")],
        kinds: Annotated[list[str], Field(description=f"Only these kinds, of: {', '.join(KIND_NAMES)}")] = [],  # noqa: B006
        limit: Annotated[int, Field(ge=1, le=100, description="Things at most")] = 10,
    ) -> Found:
        """Find things by what they are called; misspelt words find what was meant."""
        results = self._index.search(text, kinds=kinds, limit=limit)
        hits = [
            {"curie": hit.curie, "iri": hit.iri, "kind": hit.kind, "label": hit.label(),
             "labels": dict(hit.labels), "description": hit.description, "score": hit.score}
            for hit in results.hits
        ]  # fmt: skip
        return Found(results.total, hits, {word: list(near) for word, near in results.corrected.items()})

    async def describe_thing(
        self,
        iri: Annotated[str, Field(description="A CURIE such as MONDO:0008383, or an IRI")],
        language: Language = "en",
    ) -> Thing:
        """Say what the graph knows of a thing: its statements, and for each the claims with their places."""
        try:
            node = expand(iri.strip())
            told = await describe(self._engine, node.value, self._limits)
        except (UsageError, ValueError):
            told = None
        if told is None or not told.known:
            near = [f"{hit.curie} ({hit.label()})" for hit in self._index.search(iri, limit=3).hits]
            hint = f"; did you mean {' or '.join(near)}?" if near else "; search finds things by name"
            raise ParameterError(
                f"the graph knows nothing of {iri[:120]}{hint}",
                parameter="iri",
                takes="a CURIE or IRI of a thing in the graph",
                near=near,
            )

        def statement(each: Statement) -> dict[str, Any]:
            value: dict[str, Any] = {"value": each.object.value}
            if isinstance(each.object, NamedNode):
                value = {
                    "value": compress(each.object.value),
                    "label": named(told.names, each.object.value, language),
                }
            elif isinstance(each.object, Literal) and each.object.language:
                value["language"] = each.object.language
            claims = [
                {"claim": each.id or compress(each.claim), "document": each.document, "line": each.line,
                 "start": each.start, "end": each.end,
                 "modality": named(told.names, each.modality, language) if each.modality else ""}
                for each in each.support
            ]  # fmt: skip
            return {
                "predicate": compress(each.predicate),
                "says": named(told.names, each.predicate, language),
                **value,
                "inferred": each.inferred,
                "held": each.held,
                "positive": each.positive,
                "graphs": [compress(graph) for graph in each.graphs],
                **({"claims": claims} if claims else {}),
            }

        return Thing(
            node.value,
            compress(node.value),
            told.name(node.value, language),
            self._engine.snapshot.name,
            max(len(told.statements), sum(told.counts.values())),
            [statement(each) for each in told.statements[:_STATEMENTS]],
            {compress(predicate): count for predicate, count in told.incoming_counts.items()},
        )

    async def sparql(
        self,
        query: Annotated[str, Field(description="A SPARQL 1.1 query; prefixes have to be declared")],
        limit: Limit = _ROWS,
    ) -> Answer:
        """Ask any SPARQL query, no update, within the endpoint's limits; the default graph is the union."""
        kind = self._kind(query)
        snapshot = self._engine.snapshot.name
        if kind is Kind.GRAPH:
            return await self._graph(query, limit, {})
        if kind is Kind.BOOLEAN:
            holds = json.loads(await self._answered(query, "json"))["boolean"]
            return Answer(snapshot, 1, 0, {}, {}, [], None, boolean=holds)
        rows = await self._rows(query)
        page = _plain(Rows(rows.names, rows.bindings[:limit]))
        return Answer(snapshot, len(rows.bindings), 0, dict.fromkeys(rows.names, ""), {}, page, None)

    async def _graph(self, text: str, limit: int, columns: dict[str, str]) -> Answer:
        written = await self._answered(text, "ntriples")
        triples = sorted({quad.triple for quad in parse(written, format=RdfFormat.N_TRIPLES)}, key=str)
        turtle = written_graph(triples[:limit], RdfFormat.TURTLE).decode()
        return Answer(self._engine.snapshot.name, len(triples), 0, columns, {}, [], None, turtle=turtle)

    def _kind(self, text: str) -> Kind:
        return guard.inspect(text, self._limits).kind


def _plain(page: Rows) -> list[dict[str, Any]]:
    """Rows as a model reads them: IRIs of ours and of known vocabularies as CURIEs."""
    return [{name: _value(row.get(name)) for name in page.names} for row in page.bindings]


def _value(cell: Cell | None) -> str | int | float | bool | None:
    return compress(cell["value"]) if cell is not None and cell["type"] == "uri" else plain(cell)


def _text(value: str | int | float) -> str:
    if isinstance(value, bool):
        raise ParameterError(f"{value} is no value of a parameter; give a text or a number")
    return f"{value:f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------------------- the server


class _Server(MCPServer[Any]):
    """An MCP server whose tools fail in ways a model can act on."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; what is wrong comes back as an error with its kind and the way out."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as problem:
            cause = problem.__cause__
            if isinstance(cause, StromaError):
                return _failed(_told(cause))
            if isinstance(cause, ValidationError) and not isinstance(problem, UnexpectedToolError):
                return _failed(_told_of_arguments(cause))
            if cause is None:
                tools = ", ".join(tool.name for tool in await self.list_tools())
                return _failed({"type": "usage", "detail": f"{problem}; there are: {tools}"})
            raise


def _failed(told: dict[str, Any]) -> CallToolResult:
    text = json.dumps({"error": told}, ensure_ascii=False)
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content={"error": told}, is_error=True
    )


def _told(error: StromaError) -> dict[str, Any]:
    told: dict[str, Any] = {"type": error.slug, "detail": str(error)}
    if isinstance(error, ParameterError):
        told |= {"parameter": error.parameter, "takes": error.takes, "near": list(error.near)}
    elif isinstance(error, QuerySyntaxError):
        told |= {"line": error.line, "column": error.column}
    return {name: value for name, value in told.items() if value not in ("", [], None)}


def _told_of_arguments(error: ValidationError) -> dict[str, Any]:
    problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    first = str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else ""
    return {"type": ParameterError.slug, "detail": "; ".join(problems), "parameter": first}


def server(tools: Tools, version: str) -> MCPServer[Any]:
    """The MCP server that offers these tools; `version` is that of the program."""
    offered = _Server(name="stroma", title="Stroma", version=version, instructions=_ABOUT)
    methods: Sequence[Any] = (
        tools.list_questions, tools.describe_question, tools.ask_question, tools.search,
        tools.describe_thing, tools.sparql,
    )  # fmt: skip
    for method in methods:
        offered.add_tool(method, annotations=_READS)
    return offered


async def serve(snapshot: Snapshot, settings: Settings, version: str) -> None:
    """Offer the tools on stdin and stdout until the client goes away."""
    async with AsyncExitStack() as running:
        engine = await running.enter_async_context(engine_for(snapshot, settings, workers=1))
        catalogue = Catalogue.read(settings.root / "queries")
        await server(Tools(engine, catalogue, Limits.of(settings)), version).run_stdio_async()
