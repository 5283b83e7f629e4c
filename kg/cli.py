"""The command line: one function a verb, over the modules that do the work.

Hides options, the progress bar, tables on a terminal, and which error gives which exit code. Results go to
stdout, progress and errors to stderr. Each verb imports what it needs: `kg --help` loads no reasoner.
"""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
import logging
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kg.engine import Limits, guard
from kg.engine.formats import Kind, named_format
from kg.errors import BuildError, EndpointError, SnapshotError, SourceError, StromaError, UsageError
from kg.services import read as read_services
from kg.settings import Settings
from kg.terms import compress

if TYPE_CHECKING:
    from kg.client import Answer
    from kg.engine import Status
    from kg.engine.formats import Format
    from kg.snapshot import Snapshot


def _exit_codes() -> str:
    """The exit codes as `kg --help` lists them: those of the direct subclasses of StromaError."""
    codes = {0: "done", 1: "an error of the program itself", 130: "interrupted (Ctrl-C)"}
    for kind in StromaError.__subclasses__():
        codes[kind.exit_code] = (inspect.getdoc(kind) or "").splitlines()[0].rstrip(".")
    return "\n".join(f"  {code:>3}  {meaning}" for code, meaning in sorted(codes.items()))


app = typer.Typer(
    name="kg",
    help="Build the Stroma knowledge graph, ask it, serve it.",
    epilog=f"\b\nExit codes:\n{_exit_codes()}\n\n\b\n"
    "Settings come from the environment: KG_VAR (folder of the snapshots), HOST, PORT, KG_WORKERS,\n"
    "KG_QUEUE, KG_QUERY_SECONDS, KG_WORKER_MEMORY_BYTES, KG_LOG and others (docs/operations.md).\n"
    "Results go to stdout, progress to stderr.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


ontology_app = typer.Typer(
    name="ontology",
    help="Release the ontology, say what changed, write it for readers.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(ontology_app)
nanopub_app = typer.Typer(
    name="nanopub",
    help="Write claims as nanopublications, read those of others.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(nanopub_app)


def _verb(
    brief: str, *examples: str, of: typer.Typer = app, name: str | None = None, extra: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command: `brief` is its line in `kg --help`; its docstring and examples are its own help.

    An `extra` one takes options that it does not name.
    """
    context = {"allow_extra_args": True, "ignore_unknown_options": True} if extra else None

    def register(function: Callable[..., None]) -> Callable[..., None]:
        shown = "\n".join(f"  {example}" for example in examples)
        text = f"{inspect.getdoc(function)}\n\n\b\nExamples:\n{shown}"
        return of.command(name, help=text, short_help=brief, context_settings=context)(function)

    return register


def main() -> None:
    """The `kg` command: every StromaError becomes one line on stderr and its exit code."""
    try:
        app(prog_name="kg")
    except StromaError as problem:
        print(f"kg: {' '.join(str(problem).split())}", file=sys.stderr)
        sys.exit(problem.exit_code)


def _settings() -> Settings:
    return Settings.from_environ(os.environ)


def _current(settings: Settings) -> Snapshot:
    from kg.snapshot import current

    snapshot = current(settings.var)
    if snapshot is None:
        raise SnapshotError(f"there is no graph in {settings.var} yet; build it with `kg build`")
    return snapshot


# ------------------------------------------------------------------------------------ build, fetch


@_verb(
    "Build the graph and publish it.",
    "kg build",
    "kg build --data-dir ../shared/data",
    "kg build --source ictrp=export.xml --source clinicaltrials=NCT01547091.json",
    "kg build --data-dir ../shared/data --on spark://127.0.0.1:7077",
)
def build(
    source: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE=FILE", help="A file to add; may be repeated.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="A folder of real records; the files in it that we know are added.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(help="The snapshot's date. Default: the newest date of sources and ontology."),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            metavar="WORKERS",
            help="Who loads records: processes, processes:N (also for the steps after it), or Spark "
            "(spark://HOST:PORT, local[N]).",
        ),
    ] = "processes",
) -> None:
    """Build the graph from the embedded data and any files you add, and publish it.

    Where nothing changed since a build we still have, that one is published at once. Of large files only
    the records that changed are loaded; a build that was stopped goes on where it was.
    """
    from kg.build import build as run
    from kg.build import files_of

    files: dict[str, list[Path]] = {}
    not_loaded: Mapping[str, str] = {}
    if data_dir is not None:
        files, not_loaded = files_of(data_dir)
    for entry in source or []:
        name, path = _pair(entry, "--source", "SOURCE=FILE, such as ictrp=export.xml")
        files.setdefault(name, []).append(Path(path))
    with _progress() as bar:
        run(_settings(), sources=files, not_loaded=not_loaded, version=version, on=on, progress=bar)
    for message in bar.notes:
        print(message)


@_verb(
    "Download a source's records.",
    "kg fetch clinicaltrials",
    "kg build --source clinicaltrials=var/raw/clinicaltrials/page-00001.json",
)
def fetch(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Which source: clinicaltrials.")],
    to: Annotated[Path | None, typer.Option(help="The folder. Default: raw/SOURCE in KG_VAR.")] = None,
) -> None:
    """Download a source's records, one file a page; goes on where an earlier run stopped.

    Prints the files, one a line.
    """
    from loaders.fetch import fetch as run

    folder = to or _settings().var / "raw" / source
    with _progress() as bar:
        bar.step(f"fetch {source}")
        fetched = run(
            source, folder, progress=lambda pages, items: bar.step(f"{pages} pages, {items} records")
        )
    for path in fetched.files:
        print(path)


class _Bar:
    """Progress on a terminal's stderr; silent elsewhere."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.notes: list[str] = []
        self._show, self._step = show, ""

    def step(self, name: str) -> None:
        self._step = name
        self._show(name)

    def advance(self, count: int, left: float | None = None, kept: tuple[int, int] = (0, 0)) -> None:
        told = f"{self._step}: {count:,} quads" if count else self._step
        if kept[0]:
            told += f", {kept[0]:,} of {kept[1]:,} parts kept"
        self._show(told if left is None else f"{told}, about {_duration(left)} left")

    def note(self, message: str) -> None:
        self.notes.append(message)


def _duration(seconds: float) -> str:
    """ "40 s", "12 min", "2 h 5 min": no more exact than an estimate is."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def _progress() -> Iterator[_Bar]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    # Drawn when there is news, not by a thread: a process that has threads cannot fork others for its work.
    bar = Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, auto_refresh=False
    )
    with bar as progress:
        task = progress.add_task("start", total=None)

        def show(told: str) -> None:
            progress.update(task, description=told, refresh=True)

        yield _Bar(show)


def _pair(entry: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = entry.partition("=")
    if not equals:
        raise UsageError(f"{option} {entry}: write it as {form}")
    return name, value


# ------------------------------------------------------------------------------------------- query


@_verb(
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
    settings = _settings()
    if timeout is not None:
        settings = replace(settings, query_seconds=timeout)
    values = dict(_pair(e, "--param", "NAME=VALUE, such as weight=62.5") for e in param or [])
    text = _text_of(what, values, settings)
    kind = guard.inspect(text, Limits.of(settings)).kind
    as_table = format is None and kind is not Kind.GRAPH and sys.stdout.isatty()
    chosen = _format(("json" if as_table else "csv") if format is None else format, kind)
    asyncio.run(_ask(_current(settings), settings, text, chosen, as_table))


def _format(name: str, kind: Kind) -> Format:
    if kind is Kind.GRAPH and name == "csv":
        name = "turtle"
    return named_format(name, kind)


def _text_of(what: str, values: Mapping[str, str], settings: Settings) -> str:
    """The SPARQL text: of stdin, a file, or a question with its parameters bound."""
    from kg.canned import Catalogue

    if what != "-" and not Path(what).is_file():
        if what.endswith((".rq", ".sparql")) or "/" in what:
            raise UsageError(f"{what}: there is no such file")
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


# --------------------------------------------------------------------------------------------- ask


@_verb(
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
    values = dict(_pair(e, "--param", "NAME=VALUE, such as weight=62.5") for e in param or [])
    values |= _options(context.args)
    logging.getLogger("kg").setLevel(logging.CRITICAL)
    with Client(url, language=lang, settings=_settings()) as client:
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


@_verb(
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

    settings = _settings()
    logging.getLogger().setLevel(logging.ERROR)
    asyncio.run(serve(_current(settings), settings, metadata.version("stroma-kg")))


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


# --------------------------------------------------------------------------------------------- why


@_verb(
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
    settings = _settings()
    given = statement(subject, predicate, object) if predicate else None
    chosen = _current(settings) if snapshot is None else open_snapshot(snapshot)
    # What another server holds is explained from what stands here.
    store = store_of(chosen, settings.engine_here)
    ontology = settings.root / "ontology"
    triple = given or own_statement(store, subject)
    explanation = explain(store, ontology, *triple, limit=limit, version=chosen.version)
    sys.stdout.buffer.write(rendered(explanation, format))


@_verb(
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
    index = Index.of(_current(_settings()))
    done = reconcile_csv(index, text, column, sys.stdout, kinds=kind or (), language=language)
    none = done.rows - done.matched - done.unsure - done.empty
    print(
        f"{done.rows} rows: {done.matched} matched, {done.unsure} with a candidate that is not certain, "
        f"{none} without one, {done.empty} empty",
        file=sys.stderr,
    )


@_verb(
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
    settings = _settings()
    iri = expand(thing).value

    async def asked() -> bytes:
        async with engine_for(_current(settings), settings, workers=1) as engine:
            found, known = await bearing.bearings(engine, iri, Limits.of(settings))
            if format == "turtle":
                return bearing.as_turtle(found)
            return (bearing.as_json if format == "json" else bearing.as_text)(found, known).encode()

    sys.stdout.buffer.write(asyncio.run(asked()))


@_verb(
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
    settings = _settings()
    asyncio.run(_show_trial(_current(settings), settings, id, format))


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


# ------------------------------------------------------------------------------------ nanopublications


@_verb(
    "Write claims as nanopublications.",
    "kg nanopub export C047",
    "kg nanopub export C047 B154 --to claims.trig",
    "kg nanopub export --all --to claims.trig",
    of=nanopub_app,
)
def export(
    claim: Annotated[
        list[str] | None, typer.Argument(metavar="CLAIM...", help="Identifiers, CURIEs or IRIs.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every claim of the graph.")] = False,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: stdout.")] = None,
) -> None:
    """Write claims of the published graph as nanopublications (TriG): what each says, who says it and where.

    The IRI of each is trusty, a digest of its content; none is signed. The same claim gives the same bytes.
    """
    from kg.evidence.nanopub import Claims, trig
    from kg.snapshot import read_lines

    if every == bool(claim):
        raise UsageError("name claims, such as C047, or give --all")
    claims = Claims(read_lines(_current(_settings())))
    written = trig(claims[name] for name in (claims if every else map(claims.find, claim or ())))
    if to is None:
        sys.stdout.buffer.write(written)
    else:
        to.write_bytes(written)
        print(to)


@_verb(
    "Check nanopublications and say what a build takes from them.",
    "kg nanopub import claims.trig",
    "kg nanopub import claims.trig --to claims.nq",
    "kg build --source nanopubs=claims.trig",
    of=nanopub_app,
    name="import",
)
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TriG or N-Quads; may hold several.")],
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the quads too, as N-Quads.")] = None,
) -> None:
    """Check each nanopublication of a file, against its IRI and signature too, and say what it states.

    Nothing is published: `kg build --source nanopubs=FILE` builds a graph with them.
    """
    from kg import ontology
    from kg.snapshot import line_of
    from loaders import catalog
    from loaders.claims import stated

    if not file.is_file():
        raise UsageError(f"{file}: there is no such file")
    part = catalog.load("nanopubs", [file])
    quads = list(part.quads)
    ontology.read(_settings().root / "ontology").require_declared(quads)
    edges = stated(quads)
    print(f"{file}: {part.account.records} nanopublications, {len(edges)} propositions")
    for *edge, positive in edges:
        print(f"  {'' if positive else 'not: '}{' '.join(compress(term.value) for term in edge)}")
    for what, times in sorted(part.account.left_out.items()):
        print(f"left out: {what} ({times})")
    if to is not None:
        to.write_bytes(b"".join(sorted(set(map(line_of, quads)))))
        print(to)


# ------------------------------------------------------------------------------------------- serve


@_verb(
    "Serve a graph over HTTP.",
    "kg serve",
    "kg serve --port 9000",
    "kg serve --services https://sparql.uniprot.org/sparql",
    "kg serve --data trials.ttl --data more.nq.gz",
)
def serve(
    data: Annotated[
        list[Path] | None,
        typer.Option(help="An RDF file to serve instead of the published graph; may be repeated."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Default: HOST, or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Default: PORT, or 8000.")] = None,
    services: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL|FILE",
            help="An endpoint that SERVICE may ask, or a file of them; may be repeated. Default: "
            "KG_SERVICES, or none.",
        ),
    ] = None,
) -> None:
    """Serve the published graph, or RDF files as they are, until Ctrl-C.

    A graph that is published meanwhile (`kg build`) is loaded beside the old one and takes over; no request
    fails. SIGHUP makes it look at once.
    """
    from kg.snapshot import current, snapshot_of_files

    settings = _settings()
    if host is not None:
        settings = replace(settings, host=host)
    if port is not None:
        settings = replace(settings, port=port)
    if services:
        settings = replace(settings, services=read_services(" ".join(services)))
    if data:
        _serve(snapshot_of_files(data, settings.var), settings)
    else:
        _serve(_current(settings), settings, find=partial(current, settings.var))


def _serve(
    snapshot: Snapshot, settings: Settings, *, find: Callable[[], Snapshot | None] | None = None
) -> None:
    from kg.canned import Catalogue
    from kg.web import app as web
    from kg.web import claims, discovery, logs, ontology, queries, reconcile, things
    from kg.web import evidence as evidence_pages
    from kg.web import why as explanations

    catalogue = Catalogue.read(settings.root / "queries")

    def ready(status: Status) -> None:
        address = f"http://{settings.host}:{settings.port}"
        print(f"Serving {snapshot.name} ({snapshot.quads:,} quads) at {address}")
        held = {"memory": "in memory", "disk": "on disk", "remote": "by another server"}[status.holds]
        print(f"Held {held}: {status.why}")
        print(f"Try:  curl -G {address}/sparql -H 'Accept: text/csv' --data-urlencode \\")
        print(
            "      'query=SELECT ?graph (COUNT(*) AS ?quads) { GRAPH ?graph { ?s ?p ?o } } GROUP BY ?graph'"
        )
        print("Stop it with Ctrl-C.", flush=True)

    routers: list[web.RouterFactory] = [
        lambda _, settings: queries.router(catalogue, settings),
        lambda _, settings: explanations.router(settings),
        lambda _, settings: discovery.router(catalogue),
        lambda _, settings: claims.router(settings),
        lambda _, settings: evidence_pages.router(settings),
        lambda _, settings: ontology.router(settings),
        lambda _, settings: reconcile.router(settings),
        lambda _, settings: things.router(catalogue, settings),
    ]
    with logs.written_to(settings.log):
        web.run(snapshot, settings, routers=routers, on_ready=ready, find=find)


# ------------------------------------------------------------------------------ check, verify, info


@_verb("Check the ontology and the published graph.", "kg check", "kg check --hermit")
def check(
    hermit: Annotated[bool, typer.Option("--hermit", help="Ask HermiT too; needs a Java.")] = False,
) -> None:
    """Check the ontology (syntax, annotations, mappings, consistency), the claims, and the graph's shapes."""
    from kg.check import check as run
    from kg.snapshot import current
    from loaders.literature.ledger import account
    from loaders.mappings.review import review as mappings
    from loaders.obo.review import review as imports

    settings = _settings()
    failed = []
    published = current(settings.var)
    parts = {"mappings": mappings, "imports": imports}
    for finding in run(settings.root, published, hermit=hermit, claims=account, **parts):
        print(f"{'ok  ' if finding.holds else 'FAIL'}  {finding.check}: {finding.detail}", flush=True)
        if not finding.holds:
            failed.append(finding.check)
    if failed:
        do = "check does" if len(failed) == 1 else "checks do"
        raise BuildError(f"{len(failed)} {do} not hold: {', '.join(failed)}; see the lines with FAIL above")


@_verb(
    "List where statements contradict each other, as the rules found it.",
    "kg findings",
    "kg findings --status open",
    "kg findings threshold",
    "kg findings --page > docs/contradictions.md",
)
def findings(
    about: Annotated[str, typer.Argument(help="Show in full those with these words in name or text.")] = "",
    status: Annotated[str, typer.Option("--status", help="Only open, explained or source error.")] = "",
    page: Annotated[bool, typer.Option("--page", help="Print the whole page, in Markdown.")] = False,
) -> None:
    """Contradictions of the published graph: what is said, where, how it was computed, what was decided."""
    from kg.evidence import page as pages
    from kg.snapshot import read_lines

    contents = pages.read(read_lines(_current(_settings())))
    if page:
        print(pages.as_page(contents), end="")
        return
    known = {finding.status for finding in contents.findings} | {"open", "explained", "source error"}
    if status and status not in known:
        raise UsageError(f"no status is called {status!r}; there are: {', '.join(sorted(known))}")
    words = about.lower()
    found = [
        finding
        for finding in contents.findings
        if status in ("", finding.status)
        and words in f"{finding.name} {finding.kind} {finding.summary} {finding.computation}".lower()
    ]
    if about and not found:
        raise UsageError(f"no finding has {about!r} in its name or text; kg findings lists them")
    for finding in found:
        if about:
            print(pages.as_text(finding))
        else:
            print(f"{finding.name}  {finding.severity}, {finding.status}: {finding.summary}")
    print(pages.counts(found), file=sys.stderr)


@_verb(
    "Write the browsable reference of the ontology.", "kg ontology docs --to var/reference", of=ontology_app
)
def docs(
    to: Annotated[Path, typer.Option(help="The folder; empty, new, or an earlier reference.")],
) -> None:
    """Write a page for every term, with indexes, diagrams and a search: open index.html in a browser."""
    from kg.reference import write_reference

    written = write_reference(_settings().root, to)
    print(f"{written.pages:,} pages of {written.terms:,} terms: {written.folder / 'index.html'}")


@_verb("Draw the diagrams from the published graph.", "kg ontology diagrams", of=ontology_app)
def diagrams() -> None:
    """Draw docs/diagrams/NAME.svg for each declaration NAME.toml there, from the published graph."""
    from pyoxigraph import RdfFormat, parse

    from kg.reference import draw_all, read_pictures
    from kg.snapshot import read_lines

    settings = _settings()
    lines = read_lines(_current(settings))
    pictures = read_pictures(settings.root / "docs" / "diagrams")
    quads = parse(b"".join(lines), format=RdfFormat.N_QUADS)
    for file, text in draw_all(pictures, quads).items():
        file.write_text(text, encoding="utf-8", newline="\n")
        print(file)


@_verb(
    "Write the files of a release.",
    "kg ontology release --to release/2026-11-22",
    "kg ontology release --to release/2026-12-01 --version 2026-12-01 --previous release/2026-11-22",
    of=ontology_app,
)
def release(
    to: Annotated[Path, typer.Option(help="The folder to write; new or empty.")],
    version: Annotated[
        str | None, typer.Option(metavar="DATE", help="Default: the date in ontology/stroma.ttl.")
    ] = None,
    previous: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The release before, to say what changed.")
    ] = None,
) -> None:
    """Write the ontology as OWL, OBO, JSON-LD context, SHACL and SSSOM, with what changed since DIR.

    The same source and version give the same bytes. Prints where it is and what changed.
    """
    from kg.release import release as run

    changes = run(_settings().root / "ontology", to, version=version, previous=previous)
    print(f"{to}\n\n{changes.text}", end="")


@_verb(
    "Say what changed between two versions.",
    "kg ontology diff release/2026-11-22 ontology",
    "kg ontology diff release/2026-11-22 release/2026-12-01",
    of=ontology_app,
)
def diff(
    old: Annotated[Path, typer.Argument(help="A release, a released Turtle file, or the modules' folder.")],
    new: Annotated[Path, typer.Argument(help="The same, later.")],
) -> None:
    """Say in words, as Markdown, what changed from OLD to NEW; fails where a name vanished."""
    from kg.release import diff as run

    changes = run(old, new)
    print(changes.text, end="")
    if changes.vanished:
        raise BuildError(
            f"{', '.join(changes.vanished)}: gone without deprecation. A released name stays: put the term "
            "back with owl:deprecated true and obo:IAO_0100001, the term to use instead"
        )


@_verb(
    "Hand the graph over to another system, as files.",
    "kg export handover",
    "kg export handover --form nquads --form parquet --snapshot 2026-11-22",
    name="export",
)
def hand_over(
    to: Annotated[Path, typer.Argument(help="The folder to write; new or empty.")],
    form: Annotated[
        list[str] | None,
        typer.Option(
            help="nquads, graphs, jsonld, parquet; may be repeated. Default: all (parquet with pyarrow)."
        ),
    ] = None,
    snapshot: Annotated[str, typer.Option(help="A version, name, hash or folder, or current.")] = "current",
    part: Annotated[int, typer.Option(help="Quads in one part of N-Quads, at most.", min=1)] = 1_000_000,
) -> None:
    """Write a snapshot as sorted N-Quads in parts, Turtle and TriG, JSON-LD and Parquet, with checksums.

    No blank node is in two parts of N-Quads, so parts can be loaded in any order and by different machines.
    What changed since another snapshot: `kg diff A B --format patch`.
    """
    from kg.handover import NO_PYARROW, available
    from kg.handover import hand_over as run

    files = run(_snapshot(snapshot, _settings()), to, form or available(), part_quads=part)
    for each in dict.fromkeys(file.form for file in files):
        mine = [file for file in files if file.form == each]
        print(f"{each:<8}  {len(mine):>5,} files  {sum(file.bytes for file in mine):>13,} bytes")
    if not form and "parquet" not in available():
        print(f"parquet   left out: {NO_PYARROW}")


@_verb(
    "Put the graph on another SPARQL server.",
    "kg publish --to http://127.0.0.1:7878/query --store http://127.0.0.1:7878/store",
    "kg publish --to http://127.0.0.1:8890/sparql --isql 127.0.0.1:1111 --folder /var/lib/virtuoso/load",
)
def publish(
    to: Annotated[str, typer.Option(metavar="URL", help="The server's query endpoint.")],
    store: Annotated[str, typer.Option(metavar="URL", help="Its Graph Store (SPARQL 1.1).")] = "",
    isql: Annotated[str, typer.Option(metavar="HOST:PORT", help="For Virtuoso: its SQL port.")] = "",
    folder: Annotated[
        Path | None, typer.Option(help="For Virtuoso: a folder it may read (DirsAllowed).")
    ] = None,
    snapshot: Annotated[str, typer.Option(help="A version, name, hash or folder, or current.")] = "current",
) -> None:
    """Put a snapshot on another server, graph by graph; then serve from it with KG_ENGINE=URL.

    A graph that stands there already is not sent again, so a publication that was cut goes on. Graphs that
    are not ours are left alone. KG_REMOTE_USER and KG_REMOTE_PASSWORD say who we are there.
    """
    from kg.engine.publishing import GraphStore, VirtuosoLoader, publish_to
    from kg.settings import reached

    settings = _settings()
    to, user, password = reached(to, settings.remote_user, settings.remote_password)
    chosen = _snapshot(snapshot, settings)
    if bool(store) == bool(isql):
        raise UsageError("give --store URL (any server with a Graph Store), or --isql HOST:PORT (Virtuoso)")
    with _progress() as bar:
        bar.step("publish")
        there = 0

        def told(graph: str, quads: int) -> None:
            nonlocal there
            there += quads
            bar.step(f"publish, {compress(graph)} is there")
            bar.advance(there)

        if isql:
            if folder is None:
                raise UsageError("--isql needs --folder DIR, a folder that Virtuoso may read (DirsAllowed)")
            if not user or not password:
                raise UsageError(
                    "--isql needs KG_REMOTE_USER and KG_REMOTE_PASSWORD, which say who may load there"
                )
            loader = VirtuosoLoader(isql, folder, user, password)
            sent = publish_to(chosen, to, loader, user=user, password=password, told=told)
        else:
            with GraphStore(store, user, password) as target:
                sent = publish_to(chosen, to, target, user=user, password=password, told=told)
    print(f"{chosen.name}: {sent} of {len(chosen.graphs)} graphs sent; {to} holds it")


@_verb(
    "Say what changed between two snapshots.",
    "kg diff 2026-11-22 current",
    "kg diff 2026-11-22 current --format patch > changes.rdfp",
    name="diff",
)
def diff_snapshots(
    before: Annotated[str, typer.Argument(help="A version, name, hash or folder of a snapshot, or current.")],
    after: Annotated[str, typer.Argument(help="The same, later.")],
    format: Annotated[str, typer.Option(help="text, json, or patch (an RDF Patch, complete).")] = "text",
    most: Annotated[int, typer.Option(help="Things shown of each kind; text and json.")] = 20,
) -> None:
    """Say what a reader gains and loses from one snapshot to another: terms, trials, claims, inferences."""
    from kg.changes import as_json, as_text, changes, write_patch

    settings = _settings()
    old, new = _snapshot(before, settings), _snapshot(after, settings)
    if format == "patch":
        write_patch(old, new, sys.stdout.buffer)
    elif format in ("text", "json"):
        print((as_text if format == "text" else as_json)(changes(old, new, most=most)), end="")
    else:
        raise UsageError(f"--format {format}: there is no such format; there are: text, json, patch")


@_verb(
    "Make a newer graph of an older copy by a patch.",
    "kg patch changes.rdfp --of 2026-11-22 > graph.nq",
    "kg patch changes.rdfp --of stroma.nq.gz > graph.nq",
)
def patch(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="What `kg diff A B --format patch` wrote.", exists=True, dir_okay=False
        ),
    ],
    of: Annotated[
        str, typer.Option(help="A snapshot as for `kg diff`, or its file (.nq, .nq.gz: sorted N-Quads).")
    ] = "current",
) -> None:
    """Print the graph that a patch makes of an older one, as sorted N-Quads; nothing is published.

    The patch names both graphs by their hashes: what comes out is the newer one, to the byte, or it fails.
    """
    from kg.changes import patched
    from kg.snapshot import read_lines

    def old() -> Iterator[bytes]:
        copy = Path(of)
        if not copy.is_file():
            yield from read_lines(_snapshot(of, _settings()))
            return
        try:
            with (gzip.open if copy.suffix == ".gz" else open)(copy, "rb") as lines:
                yield from lines
        except (OSError, EOFError, zlib.error) as problem:
            raise SnapshotError(f"{copy}: cannot be read ({problem}); download it again") from problem

    with file.open("rb") as entries:
        sys.stdout.buffer.writelines(patched(old(), entries))
    sys.stdout.buffer.flush()


def _snapshot(text: str, settings: Settings) -> Snapshot:
    """The snapshot a person names: `current`, a folder, or the newest kept one of a version, name or hash."""
    from kg.snapshot import open_snapshot, snapshots

    if text == "current":
        return _current(settings)
    if (Path(text) / "manifest.json").is_file():
        return open_snapshot(Path(text))
    kept = snapshots(settings.var)
    for each in kept:
        if text in (each.version, each.name) or (len(text) >= 12 and each.hash.startswith(text)):
            return each
    names = ", ".join(each.name for each in kept) or "none; build one with `kg build`"
    raise UsageError(f"{text}: no snapshot is kept under that name. There are: {names}")


@_verb("Check the claims against the documents.", "kg verify --documents ../shared/seeds")
def verify(
    documents: Annotated[Path, typer.Option(help="The folder that holds the documents.")],
) -> None:
    """Check every claim against the documents: each span's line, offsets and SHA-256."""
    from loaders.literature.loader import verify as run

    if not documents.is_dir():
        raise UsageError(f"{documents}: there is no such folder; give the one that holds the documents")
    problems = run(documents)
    for problem in problems:
        print(problem)
    if problems:
        raise SourceError(
            f"{len(problems)} documents or claims are not as they were read; see above", source="literature"
        )
    print("every document and every claim's span is as it was read")


@_verb(
    "Check the mappings to other vocabularies, or find a term to map to.",
    "kg mappings",
    "kg mappings --against ../shared",
    "kg mappings --find gingiva --against ../shared",
)
def mappings(
    against: Annotated[
        Path | None, typer.Option(help="A folder that holds the vocabularies' files, at any depth.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write ontology/mappings/verified.tsv from what the files show.")
    ] = False,
    find: Annotated[
        str, typer.Option("--find", help="List the terms with these words in their label, or this id.")
    ] = "",
) -> None:
    """Check the mappings: form, labels, exactness, verified ids; with a folder, each object in it too."""
    from loaders.mappings.review import find as look_up
    from loaders.mappings.review import review, verify

    if write and against is None:
        raise UsageError("--write: nothing to verify the ids with; give --against DIR too")
    if against is not None and not against.is_dir():
        raise UsageError(f"{against}: there is no such folder; give the one that holds the vocabularies")
    if find:
        if against is None:
            raise UsageError("--find: nothing to look in; give --against DIR too")
        found = look_up(find, against)
        print(
            "\n".join(
                "\t".join(line) for line in (("object_id", "object_label", "object_source_version"), *found)
            )
        )
        if not found:
            raise UsageError(
                f"no term below {against} has {find!r} in its label; try a shorter word or a synonym"
            )
        return
    _refuse(verify(against) if write and against else review(against), "mappings")
    held = "form, labels and verified ids hold"
    print(held if against is None else "every mapping is as its vocabulary has it")


@_verb(
    "Check the lists of the public terms we use.",
    "kg imports",
    "kg imports --against ../shared/data/ontologies",
)
def imports(
    against: Annotated[
        Path | None,
        typer.Option(help="A folder that holds the ontologies' files, at any depth: write what is missing."),
    ] = None,
) -> None:
    """Compare the public terms of the modules, ontology/imports/ and the embedded table, or mend the two.

    With a folder, a term of a module gets its line in ontology/imports/, and each term there its row in
    loaders/obo/records/terms.tsv, with the parents that the files show. Prints what changed.
    """
    from loaders.obo.review import review, write

    if against is not None:
        if not against.is_dir():
            raise UsageError(f"{against}: there is no such folder; give the one that holds the ontologies")
        for line in write(against):
            print(line)
    _refuse(review(), "obo")
    print("every public term is listed and embedded")


def _refuse(problems: Sequence[object], source: str) -> None:
    """Print what is not right, a line each, and end with an error where there is any."""
    for problem in problems:
        print(problem)
    if problems:
        many = "1 place is" if len(problems) == 1 else f"{len(problems)} places are"
        raise SourceError(f"{many} not right; see above", source=source)


@_verb(
    "Look at a SPARQL endpoint as the public monitors do.",
    "kg selfcheck http://127.0.0.1:8000/sparql",
    "kg selfcheck https://sparql.uniprot.org/sparql --format json",
    "kg selfcheck http://127.0.0.1:8000/sparql --least 90",
)
def selfcheck(
    url: Annotated[str, typer.Argument(metavar="URL", help="The endpoint's address; any endpoint.")],
    format: Annotated[str, typer.Option(help="text or json.")] = "text",
    least: Annotated[float, typer.Option(help="Fail below this score, of 100.")] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds that one request may take.")] = 10,
) -> None:
    """Say how available, discoverable, interoperable and fresh an endpoint is, with a reason for each point.

    Sends about 60 requests, none of which changes anything. Fails where it does not answer at all.
    """
    from kg.selfcheck import selfcheck as run

    if format not in ("text", "json"):
        raise UsageError(f"--format {format}: there is no such format; there are: text, json")
    verdict = run(url, timeout=timeout)
    print(verdict.json() if format == "json" else verdict.text())
    if not verdict.answers:
        raise EndpointError(
            f"{url} does not answer a SPARQL query; see above. A site's endpoint is often at its /sparql"
        )
    if verdict.score < least:
        raise EndpointError(f"{url} scores {verdict.score:.1f}, below the {least:g} asked for; see above")


@_verb("Say what is published.", "kg info", "kg info --json")
def info(
    as_json: Annotated[bool, typer.Option("--json", help="The manifest, for programs.")] = False,
) -> None:
    """Say what is published: the snapshot, its sources, its graphs."""
    snapshot = _current(_settings())
    if as_json:
        print(json.dumps(snapshot.manifest, indent=1, ensure_ascii=False))
        return
    print(f"snapshot  {snapshot.name}")
    print(f"hash      {snapshot.hash}")
    print(f"created   {snapshot.created}")
    print(f"folder    {snapshot.folder}")
    print(f"quads     {snapshot.quads:,}")
    print("\nsources")
    for source in snapshot.manifest["sources"]:
        counts = (
            f"{source['records']:>9,} records  {source['quads']:>11,} quads" if "records" in source else ""
        )
        print(f"  {source.get('name') or source['file']:<16}{counts}  {source.get('title', '')}".rstrip())
    print("\ngraphs")
    for graph, count in snapshot.graphs.items():
        print(f"  {count:>11,}  {compress(graph)}")
