"""`/why`: who states a statement, or from what it follows, as JSON, a page, Turtle or text.

Hides the process that works it out: the server process reads no graph and asks no reasoner. One explanation
is made at a time, by `kg why` over the snapshot that is served, and killed when it is late. A snapshot whose
store stands on disk is read there; only one that fits in memory is loaded, and for any other there is none.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter
from pyoxigraph import Literal
from starlette.requests import Request
from starlette.responses import Response

from kg.engine import Limits, sandbox
from kg.engine.disk import BYTES_PER_QUAD, is_written
from kg.engine.disk import choose as choose_engine
from kg.errors import (
    ParameterError,
    QueryFailed,
    QueryTimeout,
    ServerBusy,
    SnapshotError,
    UsageError,
)
from kg.explanation import MAX_DEPTH
from kg.names import names
from kg.settings import Settings
from kg.snapshot import Snapshot
from kg.terms import ROOT, expand
from kg.web.asked import engine_of, whole_number
from kg.web.formats import NotAcceptable, choose
from kg.web.language import VARY, language_of, text, texts
from kg.web.links import path_of_thing
from kg.web.openapi import IRI, described, parameter
from kg.web.pages import render
from kg.why import MAX_LIMIT, statement

SECONDS = 10.0  # an explanation of the embedded graph takes one
_QUADS_A_SECOND = (
    50_000  # more for a larger graph, which has to be loaded first; a busy core loads twice that
)
_WAITING = 8
_LONGEST = 10_000  # characters of a part of a statement, which goes to a process as an argument
_KEPT = 256  # explanations kept; a snapshot never changes
_OFFERED = {
    "json": ("application/json",),
    "html": ("text/html", "application/xhtml+xml"),
    "turtle": ("text/turtle",),
    "ntriples": ("application/n-triples",),
    "text": ("text/plain",),
}
_PARTS = ("subject", "predicate", "object")
_PARAMETERS = (
    *(
        parameter(
            part,
            "A CURIE or an IRI.",
            {"type": "string", "pattern": IRI["pattern"].replace("^(", "^(a|", 1).replace(")?$", ")$")},
            example=example,
        )
        for part, example in zip(
            _PARTS, ("product:prednisone", "a", "stroma:CautionedCoMedication"), strict=True
        )
    ),
    parameter(
        "limit", "Minimal justifications at most.", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}
    ),
    parameter("format", "Wins over the Accept header.", {"type": "string", "enum": ["", *_OFFERED]}),
)


def router(settings: Settings, *, seconds: float | None = None) -> APIRouter:
    """`/why?subject=…&predicate=…&object=…[&limit=…][&format=…]`; `seconds` is an explanation's deadline,
    by default ten and one for every 50,000 quads."""
    routes = APIRouter(tags=["why"])
    explainer = _Explainer(seconds, settings)
    limits = Limits.of(settings)

    @routes.get(
        "/why",
        summary="Why a statement is in the graph: its sources, or its proof",
        **described(*(types[0] for types in _OFFERED.values()), parameters=_PARAMETERS),
    )
    async def why(request: Request) -> Response:
        values = _values(request)
        name = _format(values.pop("format", None), request.headers.get("accept"))
        headers = {"Vary": VARY if name == "html" else "Accept", "Cache-Control": "no-cache"}
        snapshot = engine_of(request).snapshot
        if name == "html" and not any(values.get(part) for part in _PARTS):
            return Response(await _page(request, values, None, limits), 200, headers, "text/html")
        missing = [part for part in _PARTS if not values.get(part)]
        if missing:
            raise ParameterError(
                f"{', '.join(missing)} missing; ask for a statement: "
                "/why?subject=product:prednisone&predicate=a&object=stroma:CautionedCoMedication"
            )
        triple = statement(*(values[part] for part in _PARTS))
        for part in _PARTS:
            if len(values[part]) > _LONGEST or "\0" in values[part]:
                raise ParameterError(f"{part} has more than {_LONGEST:,} characters, or a null in it")
        terms = tuple(f'"{term.value}"' if isinstance(term, Literal) else term.value for term in triple)
        made = await explainer.explain(snapshot, terms, "json" if name == "html" else name, _limit(values))
        if name == "html":
            made = await _page(request, values, json.loads(made), limits)
        media_type = _OFFERED[name][0]
        return Response(made, 200, headers, media_type)

    return routes


def _values(request: Request) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name == "version":  # it has chosen the snapshot
            continue
        if name not in (*_PARTS, "limit", "format"):
            raise ParameterError(
                f"there is no parameter {name[:40]!r}; there are: {', '.join(_PARTS)}, limit, format"
            )
        if name in values:
            raise ParameterError(f"{name} is given twice; give it once")
        values[name] = value.strip()
    return values


def _limit(values: dict[str, str]) -> int:
    text = values.get("limit") or "3"
    limit = whole_number(text, 1, MAX_LIMIT)
    if limit is None:
        raise ParameterError(f"limit {text[:40]!r} is no number from 1 to {MAX_LIMIT}")
    return limit


def _format(name: str | None, accept: str | None) -> str:
    if name:
        if name not in _OFFERED:
            raise NotAcceptable(f"there is no format {name[:40]!r}; there are: {', '.join(_OFFERED)}")
        return name
    found = choose(accept, list(_OFFERED.values()))
    if found is None:
        listed = ", ".join(types[0] for types in _OFFERED.values())
        raise NotAcceptable(f"Nothing on offer fits the Accept header. There are: {listed}")
    return list(_OFFERED)[found[0]]


class _Explainer:
    """Runs `kg why` over a snapshot, one process at a time."""

    def __init__(self, seconds: float | None, settings: Settings) -> None:
        self._seconds = seconds
        self._memory_bytes = settings.worker_memory_bytes
        # What another server holds is explained from what stands here.
        self._engine = settings.engine_here
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0
        self._made: dict[tuple[object, ...], bytes] = {}

    async def explain(self, snapshot: Snapshot, terms: tuple[str, ...], format: str, limit: int) -> bytes:
        """The explanation; raises UsageError where the statement is not in the graph, or says what failed."""
        key = (snapshot.name, *terms, format, limit)
        if key in self._made:
            return self._made[key]
        if self._waiting >= _WAITING:
            raise ServerBusy("Explanations are made one by one, and others wait for theirs", 5)
        self._waiting += 1
        try:
            async with self._turn:
                made = await self._run(snapshot, *terms, "--format", format, "--limit", str(limit))
        finally:
            self._waiting -= 1
        while len(self._made) >= _KEPT:
            del self._made[next(iter(self._made))]
        self._made[key] = made
        return made

    async def _run(self, snapshot: Snapshot, *arguments: str) -> bytes:
        seconds = self._seconds or SECONDS + snapshot.quads / _QUADS_A_SECOND
        memory_bytes = self._memory_bytes
        if not is_written(snapshot):
            # Anybody may ask; what does not fit is not loaded for them, nor a store written.
            choice = choose_engine(snapshot, self._engine)
            if choice.engine == "disk":
                raise SnapshotError(
                    f"No explanation can be had here now: {choice.why}, and its store on disk is not "
                    "written. Whoever runs this server has it written by `kg why`, which needs no reload"
                )
            memory_bytes += snapshot.quads * BYTES_PER_QUAD
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kg", "why", *arguments, "--snapshot", str(snapshot.folder),
            cwd=ROOT, env={"KG_ENGINE": "memory"}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        sandbox.bound(process.pid, memory_bytes)
        try:
            out, said = await asyncio.wait_for(process.communicate(), seconds)
        except TimeoutError:
            raise QueryTimeout(
                f"The explanation took longer than {seconds:.3g} seconds; `kg why` has no such limit"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode == 0:
            return out
        message = said.decode(errors="replace").strip().removeprefix("kg: ")
        if process.returncode == UsageError.exit_code:
            raise UsageError(message)
        if process.returncode == SnapshotError.exit_code:
            raise SnapshotError(message)
        raise QueryFailed(
            "The explanation failed, for want of memory or by an error of ours. Please report the statement"
        )


# ------------------------------------------------------------------------------------------- page


async def _page(
    request: Request, values: dict[str, str], told: dict[str, Any] | None, limits: Limits
) -> bytes:
    """The form, and below it the explanation `told` in the reader's language as far as names go."""
    language = language_of(request)
    mentioned = set() if told is None else {curie for triple in _triples(told) for curie in triple}
    iris = {curie: iri for curie in mentioned if (iri := _iri(curie))}
    known = await names(engine_of(request), iris.values(), limits) if iris else {}
    ours = texts(language, "vocabulary")

    def sentence(step: dict[str, Any], key: str = "triple") -> list[tuple[str, str]]:
        """A statement as pieces: what each is called, and its page or ""."""
        pieces = []
        for curie in step[key] or ():
            iri = iris.get(curie, "")
            called = known.get(iri, {})
            name = called.get(language) or called.get("en") or ours.get(curie) or curie
            pieces.append((name, path_of_thing(iri) if iri else ""))
        return pieces

    return render(
        request,
        "why.html",
        engine_of(request).snapshot.version,
        title=text(language, "why-title"),
        values=values,
        parts=_PARTS,
        told=told,
        sentence=sentence,
        path_of_source=lambda source: path_of_thing(iri) if (iri := _iri(str(source["id"]))) else "",
        most=MAX_LIMIT,
        deepest=MAX_DEPTH,
    )


def _iri(curie: str) -> str:
    """The IRI of a CURIE; "" for a literal, a file, and whatever else is none."""
    try:
        return expand(curie).value
    except (UsageError, ValueError):
        return ""


def _triples(told: dict[str, Any]) -> Iterator[list[str]]:
    yield told["statement"]
    waiting = [reason["proof"] for reason in told["justifications"]]
    while waiting:
        step = waiting.pop()
        yield step["triple"] or []
        waiting += step.get("premises", [])
