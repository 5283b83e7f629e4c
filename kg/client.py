"""The graph from Python: its questions as functions, SPARQL and search, of a server or in this process.

    from kg.client import Client

    client = Client("http://127.0.0.1:8000")     # a server; Client() asks the published graph itself
    answer = client.effect_sizes(measure="stroma:MeasureACR20")
    answer.total, answer[0]["effect"], answer.frame()

Hides whether a server or this process answers, how pages are fetched, and how a problem of the server becomes
the error it was there. The functions are made of the catalogue that answers: each has the question's
parameters, their types and defaults, and what its columns mean in its docstring.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar, overload

import httpx
from pyoxigraph import RdfFormat, parse

from kg import errors
from kg.answers import Asking, Memory, Rows, plain, written_graph
from kg.canned import Catalogue, Question
from kg.engine import Limits, guard
from kg.engine.formats import BY_KEY, Kind
from kg.errors import EndpointError, ParameterError, SnapshotError, StromaError, UsageError
from kg.search import Index
from kg.settings import Settings
from kg.snapshot import Snapshot, current

Value = str | int | float | bool | None
Row = Mapping[str, Value]
Given = str | int | float | Decimal | date | None

_TRIPLE = ("subject", "predicate", "object")
_PAGE = 1000  # rows fetched at once
_TYPES: Mapping[str, type] = {"integer": int, "decimal": float}
_T = TypeVar("_T")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a question; `default` None: it is open where it is not given."""

    name: str
    type: str
    default: str | None
    description: str
    takes: str
    examples: Sequence[str] = ()


@dataclass(frozen=True)
class Asked:
    """A question as the catalogue tells it; `gives` is "rows" or "graph"."""

    id: str
    summary: str
    description: str
    parameters: Sequence[Parameter]
    columns: Mapping[str, str]
    units: Mapping[str, str]
    gives: str


@dataclass(frozen=True)
class Page:
    """Some rows of an answer; `following` leads to the next ones, None where these are the last."""

    rows: Sequence[Row]
    total: int
    snapshot: str
    following: str | None = None
    graph: str = ""  # Turtle, of a question that gives a graph


class Answer(Sequence[Row]):
    """The answer to a question: `total` rows, fetched as they are read, each a value for each column.

    `columns` and `units` say what a column means, `snapshot` which graph was asked, `graph` is the Turtle of
    a question that gives a graph, whose rows are its triples.
    """

    def __init__(
        self, first: Page, more: Callable[[str], Page], columns: Mapping[str, str], units: Mapping[str, str]
    ) -> None:
        self.total = first.total
        self.snapshot = first.snapshot
        self.graph = first.graph
        self.columns = columns
        self.units = units
        self._rows = list(first.rows)
        self._following = first.following
        self._more = more

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, int) and index >= 0:
            self._fetch(index + 1)
        else:
            self._fetch(self.total)
        return self._rows[index]

    def __iter__(self) -> Iterator[Row]:
        at = 0
        while True:
            self._fetch(at + 1)
            if at >= len(self._rows):
                return
            yield self._rows[at]
            at += 1

    def __repr__(self) -> str:
        return f"<Answer of {self.total} rows: {', '.join(self.columns)}>"

    def frame(self, library: str = "pandas") -> Any:
        """All rows as a data frame of "pandas" or "polars"; raises UsageError where that is not installed."""
        rows, names = [dict(row) for row in self], list(self.columns)
        try:
            if library == "polars":
                import polars

                return polars.DataFrame(rows, schema=names, infer_schema_length=None, strict=False)
            if library == "pandas":
                import pandas

                frame = pandas.DataFrame(rows, columns=names)
                frame.attrs = {"columns": dict(self.columns), "units": dict(self.units)}
                return frame
        except ImportError as problem:
            raise UsageError(
                f"{library} is not installed; pip install {library}, in this Python"
            ) from problem
        raise UsageError(f"{library!r} makes no frames here; there are: pandas, polars")

    def _fetch(self, rows: int) -> None:
        while self._following is not None and len(self._rows) < rows:
            page = self._more(self._following)
            self._rows += page.rows
            self._following = page.following


class Source(Protocol):
    """What answers: a server, or an engine in this process."""

    def questions(self) -> Sequence[Asked]:
        """The catalogue."""
        ...

    def first(self, question: Asked, values: Mapping[str, str], language: str) -> Page:
        """The first page of an answer."""
        ...

    def more(self, following: str) -> Page:
        """A further page."""
        ...

    def sparql(self, text: str) -> Rows:
        """The rows of a SELECT query."""
        ...

    def search(self, text: str, limit: int, language: str) -> list[dict[str, Any]]:
        """Things by what they are called: iri, curie, kind, label, description."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class Client:
    """The graph behind `where`: an address of a server, a snapshot, a folder of snapshots (`KG_VAR`), or by
    default the graph published in this checkout.

    Every question is a method: `client.doses_for_body_weight(weight=62.5)`. Labels come in `language` ("en",
    "zh-Hans", "zh-Hant"). `settings` say which engine holds a graph here, and its limits. Raises the errors
    of `kg.errors`: ParameterError names the parameter and near matches, EndpointError says that a server does
    not answer. Use it as a context manager, or close it.
    """

    def __init__(
        self,
        where: str | Path | Snapshot | None = None,
        *,
        language: str = "en",
        settings: Settings | None = None,
        timeout: float = 60.0,
    ) -> None:
        self.language = language
        if isinstance(where, str) and where.startswith(("http://", "https://")):
            self._source: Source = _Server(where, timeout)
        else:
            self._source = _Here(_snapshot(where, settings or Settings()), settings or Settings())
        self.questions: Mapping[str, Asked] = {each.id: each for each in self._source.questions()}
        self._functions = {id.replace("-", "_"): id for id in self.questions}

    def ask(self, id: str, /, **values: Given) -> Answer:
        """The answer to a question by its id; a value that is None is not given."""
        if id not in self.questions:
            near = get_close_matches(id, self.questions, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"no question is called {id!r}{hint}")
        question = self.questions[id]
        given = {name: _written(value) for name, value in values.items() if value is not None}
        first = self._source.first(question, given, self.language)
        return Answer(first, self._source.more, question.columns, question.units)

    def sparql(self, text: str) -> Answer:
        """The rows of a SPARQL SELECT query, all at once."""
        if guard.inspect(text, Limits()).kind is not Kind.SOLUTIONS:
            raise UsageError("only SELECT gives rows; for a graph, or ASK, use `kg query` or a SPARQL client")
        rows = self._source.sparql(text)
        page = _page_of(rows, "")
        return Answer(page, self._source.more, dict.fromkeys(rows.names, ""), {})

    def search(self, text: str, *, limit: int = 20) -> list[dict[str, Any]]:
        """Things by a name, a synonym, an identifier or words of their definition, best first."""
        return self._source.search(text, limit, self.language)

    def close(self) -> None:
        """Free the connection, or the processes that answer."""
        self._source.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._functions]

    def __getattr__(self, name: str) -> Callable[..., Answer]:
        functions = self.__dict__.get("_functions", {})
        if name not in functions:
            near = get_close_matches(name, functions, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise AttributeError(f"no question is called {name!r}{hint}")
        function = _function(self, name, self.questions[functions[name]])
        setattr(self, name, function)
        return function


# ------------------------------------------------------------------------------------------ functions


def _function(client: Client, name: str, question: Asked) -> Callable[..., Answer]:
    """A question as a function: signature, types and docstring are those of the catalogue."""

    def ask(**values: Given) -> Answer:
        return client.ask(question.id, **values)

    ask.__name__ = ask.__qualname__ = name
    ask.__doc__ = _told(question)
    types = {each.name: _TYPES.get(each.type, str) for each in question.parameters}
    ask.__annotations__ = {
        each.name: types[each.name] | None if each.default is None else types[each.name]
        for each in question.parameters
    }
    parameters = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if each.default is None else types[each.name](each.default),
            annotation=ask.__annotations__[each.name],
        )
        for each in question.parameters
    ]
    ask.__annotations__["return"] = Answer
    ask.__signature__ = inspect.Signature(parameters, return_annotation=Answer)  # type: ignore[attr-defined]
    return ask


def _told(question: Asked) -> str:
    lines = [question.summary, "", " ".join(question.description.split())]
    if question.parameters:
        lines += ["", "Parameters:"]
        for each in question.parameters:
            such = f", such as {', '.join(each.examples)}" if each.examples else ""
            lines.append(f"    {each.name}: {each.description}. It takes {each.takes}{such}.")
    lines += ["", "Columns:"]
    for column, meaning in question.columns.items():
        unit = f" ({question.units[column]})" if column in question.units else ""
        lines.append(f"    {column}: {meaning}{unit}")
    return "\n".join(lines)


def _written(value: Given) -> str:
    if isinstance(value, bool):
        raise ParameterError(f"{value} is no value of a question; give a text, a number or a date")
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}"
    return value.isoformat() if isinstance(value, date) else str(value)


def _page_of(rows: Rows, snapshot: str) -> Page:
    shown = [{name: plain(row.get(name)) for name in rows.names} for row in rows.bindings]
    return Page(shown, len(shown), snapshot)


def _triples(written: bytes, snapshot: str) -> Page:
    """The page of a graph that came as N-Triples."""
    found = sorted({quad.triple for quad in parse(written, format=RdfFormat.N_TRIPLES)}, key=str)
    rows = [dict(zip(_TRIPLE, (term.value for term in triple), strict=True)) for triple in found]
    return Page(rows, len(rows), snapshot, graph=written_graph(found, RdfFormat.TURTLE).decode())


# ------------------------------------------------------------------------------------------- a server


class _Server:
    """A server, asked over HTTP."""

    def __init__(self, address: str, timeout: float) -> None:
        self._http = httpx.Client(base_url=address.rstrip("/"), timeout=timeout, follow_redirects=True)

    def questions(self) -> Sequence[Asked]:
        """See `Source.questions`."""
        listed = self._get("/queries", {}, "application/json").json()["questions"]
        return [
            Asked(
                each["id"],
                each["question"]["en"],
                each["description"],
                [
                    Parameter(
                        one["name"], one["type"], one["default"], one["description"], one["takes"],
                        tuple(one.get("examples", ())),
                    )
                    for one in each["parameters"]
                ],
                each["columns"],
                each["units"],
                each["gives"],
            )
            for each in listed
        ]  # fmt: skip

    def first(self, question: Asked, values: Mapping[str, str], language: str) -> Page:
        """See `Source.first`."""
        path, asked = f"/queries/{question.id}", {**values, "lang": language}
        if question.gives == "graph":
            answer = self._get(path, asked, "application/n-triples")
            return _triples(answer.content, answer.headers.get("x-stroma-snapshot", ""))
        return _page(self._get(path, {**asked, "limit": str(_PAGE)}, "application/json"))

    def more(self, following: str) -> Page:
        """See `Source.more`."""
        return _page(self._get(following, None, "application/json"))

    def sparql(self, text: str) -> Rows:
        """See `Source.sparql`."""
        accept = "application/sparql-results+json"
        answer = self._sent("POST", "/sparql", accept, data={"query": text})
        return Rows.read(answer.content)

    def search(self, text: str, limit: int, language: str) -> list[dict[str, Any]]:
        """See `Source.search`."""
        asked = {"q": text, "limit": str(limit), "lang": language}
        hits: list[dict[str, Any]] = self._get("/search", asked, "application/json").json()["hits"]
        return hits

    def close(self) -> None:
        """See `Source.close`."""
        self._http.close()

    def _get(self, path: str, asked: Mapping[str, str] | None, accept: str) -> httpx.Response:
        return self._sent("GET", path, accept, params=asked)

    def _sent(self, method: str, path: str, accept: str, **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, headers={"Accept": accept}, **more)
        except httpx.HTTPError as problem:
            raise EndpointError(
                f"{self._http.base_url} does not answer ({problem or type(problem).__name__}); is a server "
                "running there? `kg serve` starts one"
            ) from problem
        if answer.is_success:
            return answer
        raise _error_of(answer)


def _page(answer: httpx.Response) -> Page:
    said = answer.json()
    return Page(said["rows"], said["total"], said["snapshot"], said["next"])


def _error_of(answer: httpx.Response) -> StromaError:
    """The error that a problem of the server tells (RFC 9457), as the class it was there."""
    try:
        told = answer.json()
        slug, detail = told["type"].rpartition("/")[2], told["detail"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return EndpointError(
            f"{answer.url} answered {answer.status_code} without saying why; is it a Stroma?"
        )
    kind = _classes(StromaError).get(slug, UsageError if answer.status_code < 500 else StromaError)
    error = kind.__new__(kind)
    Exception.__init__(error, detail)
    error.__dict__ |= {
        "line": told.get("line"),
        "column": told.get("column"),
        "kept": tuple(told.get("kept", ())),
        "parameter": told.get("parameter", ""),
        "takes": told.get("takes", ""),
        "near": tuple(told.get("near", ())),
        "retry_after": int(answer.headers.get("retry-after", "0") or 0),
    }
    return error


def _classes(base: type[StromaError]) -> dict[str, type[StromaError]]:
    found = {base.slug: base}
    for kind in base.__subclasses__():
        found = _classes(kind) | found if kind.__module__ == errors.__name__ else found
    return found


# -------------------------------------------------------------------------------------- in this process


def _snapshot(where: str | Path | Snapshot | None, settings: Settings) -> Snapshot:
    if isinstance(where, Snapshot):
        return where
    folder = settings.var if where is None else Path(where)
    snapshot = current(folder)
    if snapshot is None:
        raise SnapshotError(f"there is no graph in {folder} yet; build it with `kg build`")
    return snapshot


@dataclass
class _Here:
    """A snapshot, asked in worker processes of our own: with the limits and errors of the endpoint."""

    snapshot: Snapshot
    settings: Settings
    _loop: _Loop = field(init=False)
    _catalogue: Catalogue = field(init=False)

    def __post_init__(self) -> None:
        from kg.engine.chosen import engine_for

        self._catalogue = Catalogue.read(self.settings.root / "queries")
        self._limits = Limits.of(self.settings)
        self._loop = _Loop()
        self._stack = AsyncExitStack()
        try:
            engine = engine_for(self.snapshot, self.settings, workers=1)
            self._engine = self._loop.run(self._stack.enter_async_context(engine))
        except BaseException:
            self._loop.close()
            raise
        self._asking = Asking(self._rows, Index.of(self.snapshot), Memory())

    async def _rows(self, text: str) -> Rows:
        answer = await self._engine.query(text, accept=BY_KEY["json"], limits=self._limits)
        return Rows.read(await answer.read())

    def questions(self) -> Sequence[Asked]:
        """See `Source.questions`."""
        return [_asked(question, self._limits) for question in self._catalogue.values()]

    def first(self, question: Asked, values: Mapping[str, str], language: str) -> Page:
        """See `Source.first`."""
        return self._loop.run(self._first(self._catalogue[question.id], question.gives, values, language))

    async def _first(self, question: Question, gives: str, values: Mapping[str, str], language: str) -> Page:
        text = await self._asking.bound(question, values)
        if gives == "graph":
            answer = await self._engine.query(text, accept=BY_KEY["ntriples"], limits=self._limits)
            return _triples(await answer.read(), self.snapshot.name)
        rows = await self._asking.translated(question, await self._rows(text), language)
        return _page_of(rows, self.snapshot.name)

    def more(self, following: str) -> Page:
        """See `Source.more`; here all rows come at once."""
        raise AssertionError(following)

    def sparql(self, text: str) -> Rows:
        """See `Source.sparql`."""
        return self._loop.run(self._rows(text))

    def search(self, text: str, limit: int, language: str) -> list[dict[str, Any]]:
        """See `Source.search`."""
        hits = Index.of(self.snapshot).search(text, limit=limit).hits
        return [
            {"iri": hit.iri, "curie": hit.curie, "kind": hit.kind, "label": hit.label(language),
             "labels": dict(hit.labels), "description": hit.description, "score": hit.score}
            for hit in hits
        ]  # fmt: skip

    def close(self) -> None:
        """See `Source.close`."""
        if not self._loop.closed:
            self._loop.run(self._stack.aclose())
            self._loop.close()


class _Loop:
    """An event loop in a thread of its own: works in a notebook, whose own loop is running."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stroma-client", daemon=True)
        self._thread.start()
        self.closed = False

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What the work gives, from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End the thread."""
        self.closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _asked(question: Question, limits: Limits) -> Asked:
    return Asked(
        question.id,
        question.summary,
        question.description.strip(),
        [
            Parameter(each.name, each.type, each.default, each.description, each.takes, each.examples)
            for each in question.parameters.values()
        ],
        question.columns,
        question.units,
        "graph" if guard.inspect(question.text, limits).kind is Kind.GRAPH else "rows",
    )
