"""Verbs that ask the published graph: questions, SPARQL, why, names, evidence, trials, language models."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kg.cli.common import (
    current_snapshot,
    pair,
    settings_here,
    verb,
)
from kg.engine import Limits, guard
from kg.engine.formats import Kind, named_format
from kg.errors import UsageError
from kg.settings import Settings
from kg.terms import compress

if TYPE_CHECKING:
    from kg.client import Answer
    from kg.engine.formats import Format
    from kg.snapshot import Snapshot


@verb(
    "Ask the published graph.",
    "kg query registered-by-phase-and-status",
    "kg query doses-for-body-weight --param weight=62.5 --format csv",
    "echo 'SELECT (COUNT(*) AS ?quads) { ?s ?p ?o }' | kg query -",
)
def query(
    what: Annotated[str, typer.Argument(metavar="FILE|ID|-", help="Which query.")],
    format: Annotated[
        str | None,
        typer.Option(
            help="json, xml, csv, tsv; for graphs turtle, ntriples, nquads, trig, rdfxml, jsonld. "
            "Default: a table on a terminal, csv elsewhere; turtle for graphs."
        ),
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A question's parameter; may be repeated.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds until it is given up. Default: KG_QUERY_SECONDS, or 60.")
    ] = None,
) -> None:
    """Ask the published graph: a SPARQL file, a question by its name, or - for stdin.

    The query runs as it would on the endpoint: over all graphs as one, with the same limits.
    """
    settings = settings_here()
    if timeout is not None:
        settings = replace(settings, query_seconds=timeout)
    values = dict(pair(e, "--param", "NAME=VALUE, such as weight=62.5") for e in param or [])
    text = _text_of(what, values, settings)
    kind = guard.inspect(text, Limits.of(settings)).kind
    as_table = format is None and kind is not Kind.GRAPH and sys.stdout.isatty()
    chosen = _format(("json" if as_table else "csv") if format is None else format, kind)
    asyncio.run(_ask(current_snapshot(settings), settings, text, chosen, as_table))


def _format(name: str, kind: Kind) -> Format:
    if kind is Kind.GRAPH and name == "csv":
        name = "turtle"
    return named_format(name, kind)


def _text_of(what: str, values: Mapping[str, str], settings: Settings) -> str:
    """The SPARQL text: of stdin, a file, or a question with its parameters bound."""
    from kg.canned import Catalogue

    if what != "-" and not Path(what).is_file():
        if what.endswith((".rq", ".sparql")) or "/" in what:
            raise UsageError(f"{what}: {'is a folder' if Path(what).is_dir() else 'there is no such file'}")
        return Catalogue.read(settings.root / "queries")[what].bind(values)
    if values:
        raise UsageError("--param is for questions by name; in a file, write the value into its VALUES block")
    raw = sys.stdin.buffer.read() if what == "-" else Path(what).read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise UsageError(f"{what}: a query is UTF-8 text; byte {problem.start} is not") from problem


async def _ask(snapshot: Snapshot, settings: Settings, text: str, format: Format, as_table: bool) -> None:
    from kg.engine.chosen import engine_for
    from kg.engine.federation import Federation

    # What the engine's log says of a query, its error says too; here one line is enough.
    logging.getLogger("kg").setLevel(logging.CRITICAL)
    async with AsyncExitStack() as running:
        federation = None
        if settings.services:
            federation = await running.enter_async_context(Federation(settings.services))
        engine = engine_for(snapshot, settings, workers=1, federation=federation)
        await running.enter_async_context(engine)
        answer = await engine.query(text, accept=format, limits=Limits.of(settings))
        if as_table:
            _print_table(json.loads(await answer.read()))
            return
        last = b""
        async for chunk in answer:
            sys.stdout.buffer.write(chunk)
            last = chunk or last
        if not last.endswith(b"\n"):
            sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()


def _print_table(results: Mapping[str, Any]) -> None:
    """SPARQL JSON results as a table; IRIs as CURIEs."""
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False)
    if "boolean" in results:
        console.print("yes" if results["boolean"] else "no")
        return
    names, rows = results["head"]["vars"], results["results"]["bindings"]
    table = Table(*names)
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in names))
    console.print(table)
    console.print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}")


def _cell(term: Mapping[str, str] | None) -> str:
    if term is None:
        return ""
    return compress(term["value"]) if term["type"] == "uri" else term["value"]


@verb(
    "Answer one of the questions.",
    "kg ask",
    "kg ask doses-for-body-weight --weight 62.5",
    "kg ask findings --param severity=stroma:SeverityMajor --format csv",
    "kg ask routes --lang zh-Hant --url http://127.0.0.1:8000",
    extra=True,
)
def ask(
    context: typer.Context,
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Which question; none lists all.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter; --NAME VALUE is the same. May be repeated."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="table, csv or json; turtle for graphs. Default: a table on a terminal, else csv."),
    ] = None,
    lang: Annotated[str, typer.Option(help="Language of labels: en, zh-Hans or zh-Hant.")] = "en",
    url: Annotated[
        str | None, typer.Option(help="A server to ask. Default: the published graph itself.")
    ] = None,
) -> None:
    """Answer a question of the catalogue, with parameters by name, or list all questions.

    A value the graph does not know is refused, with what the parameter takes and what may have been meant.
    """
    from kg.canned import LANGUAGES
    from kg.client import Client

    formats = ("table", "csv", "json", "turtle")
    if format not in (None, *formats):
        raise UsageError(f"--format {format}: there is no such format; there are: {', '.join(formats)}")
    if lang not in LANGUAGES:
        raise UsageError(f"--lang {lang}: there is no such language; there are: {', '.join(LANGUAGES)}")
    values = dict(pair(e, "--param", "NAME=VALUE, such as weight=62.5") for e in param or [])
    values |= _options(context.args)
    logging.getLogger("kg").setLevel(logging.CRITICAL)
    with Client(url, language=lang, settings=settings_here()) as client:
        if id is None:
            for question in client.questions.values():
                print(f"{question.id}  {question.summary}")
            return
        answer = client.ask(id, **values)
        shown = format or ("table" if sys.stdout.isatty() else "csv")
        if shown == "turtle":
            if not answer.graph:
                raise UsageError(f"{id} gives rows; only a question that gives a graph has a turtle")
            print(answer.graph, end="")
        else:
            _print_answer(answer, shown)


def _options(words: list[str]) -> dict[str, str]:
    """`--weight 62.5` and `--weight=62.5` as parameters by name."""
    values: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise UsageError(f"{word!r}: give a parameter as --NAME VALUE, or as --param NAME=VALUE")
        if not equals and (value := next(rest, "")) == "":
            raise UsageError(f"{word} has no value; give one after it")
        values[name] = value
    return values


def _print_answer(answer: Answer, form: str) -> None:
    import csv

    rows = [[row[name] for name in answer.columns] for row in answer]
    if form == "json":
        told = {"total": answer.total, "snapshot": answer.snapshot, "rows": [dict(row) for row in answer]}
        print(json.dumps(told, indent=1, ensure_ascii=False))
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows([_plain(value) for value in row] for row in rows)
    else:
        from rich.console import Console
        from rich.table import Table

        console = Console(markup=False, highlight=False)
        table = Table(*answer.columns)
        for row in rows:
            table.add_row(*(compress(str(_plain(value))) for value in row))
        console.print(table)
        console.print(f"{answer.total} row{'' if answer.total == 1 else 's'}")


def _plain(value: str | int | float | bool | None) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return str(value).lower() if isinstance(value, bool) else value


@verb(
    "Offer the graph to a language model (MCP).",
    "kg mcp",
)
def mcp() -> None:
    """Offer the published graph as tools of the Model Context Protocol, on stdin and stdout.

    Configure it in a client as the command `kg mcp`: tools list and ask the questions, search, describe a
    thing, and run SPARQL with the limits of the endpoint. Ends when the client does.
    """
    from importlib import metadata

    from kg.mcp import serve

    settings = settings_here()
    logging.getLogger().setLevel(logging.ERROR)
    asyncio.run(serve(current_snapshot(settings), settings, metadata.version("stroma-kg")))


@verb(
    "Say why a statement is in the graph.",
    "kg why product:prednisone a stroma:CautionedCoMedication",
    "kg why stroma:WhartonJellyMSCProduct rdfs:subClassOf stroma:UCMSCProduct --format turtle",
    "kg why finding:opposite-significance/6e2311fd6fc195f10107",
)
def why(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT", help="A CURIE or an IRI; alone, of a finding, link or derived number."
        ),
    ],
    predicate: Annotated[
        str, typer.Argument(metavar="PREDICATE", help="A CURIE or an IRI; a is rdf:type.")
    ] = "",
    object: Annotated[
        str, typer.Argument(metavar="OBJECT", help='A CURIE, an IRI, a number or a "text".')
    ] = "",
    format: Annotated[str, typer.Option(help="text, json, turtle or ntriples.")] = "text",
    limit: Annotated[int, typer.Option(help="How many minimal justifications at most; up to 20.")] = 3,
    snapshot: Annotated[
        Path | None, typer.Option(help="A snapshot's folder. Default: the published graph.")
    ] = None,
) -> None:
    """Say who states a statement, or from which axioms and stated facts it follows, each with its source."""
    from kg.engine.disk import store_of
    from kg.explanation import FORMATS, rendered
    from kg.snapshot import open_snapshot
    from kg.why import explain, own_statement, statement

    if predicate and not object:
        raise UsageError(f"{subject} {predicate}: give the object too, or the subject alone")
    if format not in FORMATS:
        raise UsageError(f"--format {format}: there is no such format; there are: {', '.join(FORMATS)}")
    settings = settings_here()
    given = statement(subject, predicate, object) if predicate else None
    chosen = current_snapshot(settings) if snapshot is None else open_snapshot(snapshot)
    # What another server holds is explained from what stands here.
    store = store_of(chosen, settings.engine_here)
    ontology = settings.root / "ontology"
    triple = given or own_statement(store, subject)
    explanation = explain(store, ontology, *triple, limit=limit, version=chosen.version)
    sys.stdout.buffer.write(rendered(explanation, format))


@verb(
    "Match the names in a column of a table to things of the graph.",
    "kg reconcile drugs.csv --column drug > matched.csv",
    "kg reconcile trials.csv --column registration --kind trial",
)
def reconcile(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help="A table, in UTF-8.", exists=True, dir_okay=False)
    ],
    column: Annotated[str, typer.Option(help="The column with the names.")],
    kind: Annotated[
        list[str] | None, typer.Option(help="Only things of this kind (trial, product, class …); repeatable.")
    ] = None,
    language: Annotated[str, typer.Option(help="Language of the labels: en, zh-Hans or zh-Hant.")] = "en",
) -> None:
    """Print the table with four columns more: id, label, score and match of what each name may mean.

    A match is certain: the thing is called exactly so, and no other is. Names may be in English, simplified
    or traditional Chinese, identifiers or slightly misspelt.
    """
    from kg.names import LANGUAGES
    from kg.reconciling import reconcile_csv
    from kg.search import Index

    if language not in LANGUAGES:
        raise UsageError(f"--language {language}: there are {', '.join(LANGUAGES)}")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as problem:
        raise UsageError(f"{file}: is not UTF-8 (byte {problem.start + 1}); save it as UTF-8") from problem
    index = Index.of(current_snapshot(settings_here()))
    done = reconcile_csv(index, text, column, sys.stdout, kinds=kind or (), language=language)
    none = done.rows - done.matched - done.unsure - done.empty
    print(
        f"{done.rows} rows: {done.matched} matched, {done.unsure} with a candidate that is not certain, "
        f"{none} without one, {done.empty} empty",
        file=sys.stderr,
    )


@verb(
    "Say what speaks for and against a proposition.",
    "kg evidence stroma:MSCSurvival",
    "kg evidence claim:A255",
    "kg evidence claim:A255 --format json",
)
def evidence(
    thing: Annotated[
        str, typer.Argument(metavar="IRI", help="A proposition, a claim or a thing; or a CURIE.")
    ],
    format: Annotated[str, typer.Option(help="text, json or turtle.")] = "text",
) -> None:
    """Say who says a proposition, who denies it or says the opposite, and how strongly, each with its source.

    Of a claim: of each of its propositions. Of a thing: of each proposition that relates it to another, and
    of each other on which something bears.
    """
    from kg import bearing
    from kg.engine.chosen import engine_for
    from kg.terms import expand

    if format not in bearing.FORMATS:
        raise UsageError(
            f"--format {format}: there is no such format; there are: {', '.join(bearing.FORMATS)}"
        )
    settings = settings_here()
    iri = expand(thing).value

    async def asked() -> bytes:
        async with engine_for(current_snapshot(settings), settings, workers=1) as engine:
            found, known = await bearing.bearings(engine, iri, Limits.of(settings))
            if format == "turtle":
                return bearing.as_turtle(found)
            return (bearing.as_json if format == "json" else bearing.as_text)(found, known).encode()

    sys.stdout.buffer.write(asyncio.run(asked()))


@verb(
    "Show a trial: what it registered, what is reported of it.",
    "kg trial NCT03691909",
    "kg trial ChiCTR-INR-17012462 --format json",
    "kg trial trial:NCT01873625 --format turtle",
)
def trial(
    id: Annotated[str, typer.Argument(metavar="ID", help="A registry number, CURIE or IRI.")],
    format: Annotated[str, typer.Option(help="text, json or turtle.")] = "text",
) -> None:
    """Design, arms, doses, outcomes registered and reported, publications and how they were linked, findings.

    "Not found" is said of what this graph holds, which of most papers is an abstract.
    """
    if format not in ("text", "json", "turtle"):
        raise UsageError(f"--format {format}: there is no such format; there are: text, json, turtle")
    settings = settings_here()
    asyncio.run(_show_trial(current_snapshot(settings), settings, id, format))


async def _show_trial(snapshot: Snapshot, settings: Settings, id: str, format: str) -> None:
    from kg import registration_forms as forms
    from kg import registrations
    from kg.engine.chosen import engine_for

    logging.getLogger("kg").setLevel(logging.CRITICAL)
    async with engine_for(snapshot, settings, workers=1) as engine:
        limits = Limits.of(settings)
        found = await registrations.find(engine, id, limits)
        if found.registration is None:
            near = "; ".join(f"{known} ({title})" if title else known for known, title in found.near)
            raise UsageError(f"no trial is called {id[:80]!r}" + (f"; did you mean {near}?" if near else ""))
        shown = await forms.shown(engine, found.registration, limits)
        if format == "turtle":
            sys.stdout.buffer.write(await forms.as_turtle(engine, shown, limits))
        elif format == "json":
            print(json.dumps(forms.as_data(shown), indent=1, ensure_ascii=False))
        else:
            print(forms.as_text(shown))
