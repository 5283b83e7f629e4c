"""The command line: one function a verb, over the modules that do the work.

Hides options, the progress bar, tables on a terminal, and which error gives which exit code. Results go to
stdout, progress and errors to stderr. Each verb imports what it needs: `kg --help` loads no reasoner.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pyoxigraph import (
    NamedNode,
    QueryBoolean,
    QueryResultsFormat,
    QuerySolutions,
    QueryTriples,
    RdfFormat,
    Store,
)

from kg.errors import (
    BuildError,
    QueryFailed,
    QuerySyntaxError,
    QueryTimeout,
    SnapshotError,
    SourceError,
    StromaError,
    UsageError,
)
from kg.settings import Settings
from kg.terms import compress

if TYPE_CHECKING:
    from kg.snapshot import Snapshot

TABLES = {
    "json": QueryResultsFormat.JSON,
    "xml": QueryResultsFormat.XML,
    "csv": QueryResultsFormat.CSV,
    "tsv": QueryResultsFormat.TSV,
}
GRAPHS = {
    "ttl": RdfFormat.TURTLE,
    "nt": RdfFormat.N_TRIPLES,
    "nq": RdfFormat.N_QUADS,
    "trig": RdfFormat.TRIG,
    "rdf": RdfFormat.RDF_XML,
    "jsonld": RdfFormat.JSON_LD,
}


def _exit_codes() -> str:
    """The exit codes as `kg --help` lists them: those of the direct classes of StromaError."""
    codes = {0: "done", 1: "an error of the program itself", 130: "interrupted (Ctrl-C)"}
    for kind in StromaError.__subclasses__():
        codes[kind.exit_code] = (inspect.getdoc(kind) or "").splitlines()[0].rstrip(".")
    return "\n".join(f"  {code:>3}  {meaning}" for code, meaning in sorted(codes.items()))


def _example(help: str, *commands: str) -> str:
    """A help text with its examples, kept line by line."""
    return f"{help}\n\n\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


app = typer.Typer(
    name="kg",
    help="Build the Stroma knowledge graph, ask it, serve it.",
    epilog=f"\b\nExit codes:\n{_exit_codes()}\n\n\b\n"
    "Settings come from the environment: KG_VAR (folder of the snapshots), HOST, PORT, KG_WORKERS,\n"
    "KG_QUEUE, KG_QUERY_SECONDS, KG_WORKER_MEMORY_BYTES. Results go to stdout, progress to stderr.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The `kg` command: every StromaError becomes one line on stderr and its exit code."""
    try:
        app(prog_name="kg")
    except StromaError as problem:
        print(f"kg: {' '.join(str(problem).split())}", file=sys.stderr)
        sys.stderr.flush()
        if isinstance(problem, QueryTimeout):
            os._exit(problem.exit_code)  # the evaluation cannot be stopped; leave it behind
        sys.exit(problem.exit_code)


def _settings() -> Settings:
    return Settings.from_environ(os.environ)


def _current(settings: Settings) -> Snapshot:
    from kg.snapshot import current

    snapshot = current(settings.var)
    if snapshot is None:
        raise SnapshotError(f"there is no graph in {settings.var} yet; build it with `kg build`")
    return snapshot


# -------------------------------------------------------------------------------------------- build


@app.command(
    help=_example(
        "Build the graph from the embedded data and any files you add, and publish it.",
        "kg build",
        "kg build --data-dir ../shared/data",
        "kg build --source ictrp=export.xml --source clinicaltrials=NCT01547091.json",
    )
)
def build(
    source: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE=FILE", help="A file to add; may be repeated.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="A folder of real records; known files in it are added.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(help="The snapshot's date. Default: the newest date of sources and ontology."),
    ] = None,
) -> None:
    from kg.build import build as run
    from kg.build import files_of

    files: dict[str, list[Path]] = {}
    not_loaded: Sequence[Path] = ()
    if data_dir is not None:
        files, not_loaded = files_of(data_dir)
    for entry in source or []:
        name, equals, path = entry.partition("=")
        if not equals:
            raise UsageError(f"--source {entry}: write it as SOURCE=FILE, such as ictrp=export.xml")
        files.setdefault(name, []).append(Path(path))
    with _progress() as progress:
        run(_settings(), sources=files, not_loaded=not_loaded, version=version, progress=progress)
    for message in progress.notes:
        print(message)


class _Bar:
    """Progress on a terminal's stderr; silent elsewhere."""

    def __init__(self, show: Callable[[str, int], None]) -> None:
        self.notes: list[str] = []
        self._show, self._step = show, ""

    def step(self, name: str) -> None:
        self._step = name
        self._show(name, 0)

    def advance(self, count: int) -> None:
        self._show(self._step, count)

    def note(self, message: str) -> None:
        self.notes.append(message)


@contextmanager
def _progress() -> Iterator[_Bar]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("start", total=None)

        def show(step: str, count: int) -> None:
            progress.update(task, description=f"{step}: {count:,} quads" if count else step)

        yield _Bar(show)


# -------------------------------------------------------------------------------------------- query


@app.command(
    help=_example(
        "Ask the published graph: a SPARQL file, a question by its name, or - for stdin.",
        "kg query registered-trials",
        "kg query registered-trials --param status=stroma:StatusCompleted --format csv",
        "echo 'SELECT (COUNT(*) AS ?quads) { ?s ?p ?o }' | kg query -",
    )
)
def query(
    what: Annotated[str, typer.Argument(metavar="FILE|ID|-", help="Which query.")],
    format: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join([*TABLES, *GRAPHS])}. Default: a table on a terminal, else csv or ttl."
        ),
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A question's parameter; may be repeated.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds until it is given up. Default: KG_QUERY_SECONDS, or 60.")
    ] = None,
) -> None:
    from kg.snapshot import load_store

    if format is not None and format not in {**TABLES, **GRAPHS}:
        raise UsageError(f"no format is called {format!r}; there are: {', '.join([*TABLES, *GRAPHS])}")
    settings = _settings()
    text = _text_of(what, dict(_pair(entry) for entry in param or []), settings)
    seconds = settings.query_seconds if timeout is None else timeout
    store = load_store(_current(settings))
    _within(seconds, lambda: _answer(store, text, format))
    sys.stdout.flush()


def _pair(entry: str) -> tuple[str, str]:
    name, equals, value = entry.partition("=")
    if not equals:
        raise UsageError(f"--param {entry}: write it as NAME=VALUE, such as status=stroma:StatusCompleted")
    return name, value


def _text_of(what: str, values: Mapping[str, str], settings: Settings) -> str:
    """The SPARQL text: of stdin, a file, or a question with its parameters bound."""
    from kg.canned import Catalogue

    is_file = what == "-" or Path(what).is_file()
    if not is_file:
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


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Do some work in a thread and wait so long for it; its errors are raised here.

    pyoxigraph can neither be cancelled nor handle a signal while it evaluates, so the thread is left behind.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as problem:
            raised.append(problem)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise QueryTimeout(
            f"the query ran longer than {seconds:g} seconds. Make it smaller (bind more, LIMIT), or give it "
            f"longer with --timeout"
        )
    for problem in raised:
        raise problem


def _answer(store: Store, text: str, format: str | None) -> None:
    try:
        results = store.query(text, use_default_graph_as_union=True)
    except SyntaxError as problem:
        raise QuerySyntaxError(problem.msg, problem.lineno, problem.offset) from problem
    except (OSError, ValueError, RuntimeError) as problem:
        raise QueryFailed(f"the query stopped: {problem}") from problem
    terminal = sys.stdout.isatty()
    offered = GRAPHS if isinstance(results, QueryTriples) else TABLES
    if format is not None and format not in offered:
        kind = "triples" if isinstance(results, QueryTriples) else "a table"
        raise UsageError(f"this query gives {kind}: --format {' or '.join(offered)}, not {format}")
    if isinstance(results, QueryTriples):
        results.serialize(sys.stdout.buffer, GRAPHS[format or "ttl"])
    elif isinstance(results, QueryBoolean) and format is None:
        print("yes" if results else "no")
    elif isinstance(results, QuerySolutions) and format is None and terminal:
        _print_table(results)
    else:
        results.serialize(sys.stdout.buffer, TABLES[format or "csv"])


def _print_table(results: QuerySolutions) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    names = [variable.value for variable in results.variables]
    for name in names:
        table.add_column(name, overflow="fold")
    for row in results:
        table.add_row(*(_cell(row[name]) for name in names))
    console = Console(markup=False, highlight=False)
    console.print(table)
    console.print(f"{table.row_count} row{'' if table.row_count == 1 else 's'}")


def _cell(term: object) -> str:
    if term is None:
        return ""
    return compress(term.value) if isinstance(term, NamedNode) else str(getattr(term, "value", term))


# -------------------------------------------------------------------------------------------- serve


@app.command(
    help=_example(
        "Serve the published graph, or RDF files as they are, on http://HOST:PORT.",
        "kg serve",
        "kg serve --port 9000",
        "kg serve --data trials.ttl --data more.nq.gz",
    )
)
def serve(
    data: Annotated[
        list[Path] | None,
        typer.Option(help="An RDF file to serve instead of the published graph; may be repeated."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Default: HOST, or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Default: PORT, or 8000.")] = None,
) -> None:
    from dataclasses import replace

    from kg.snapshot import snapshot_of_files
    from kg.web import app as web

    settings = _settings()
    settings = replace(
        settings,
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
    )
    snapshot = snapshot_of_files(data, settings.var) if data else _current(settings)
    web.run(snapshot, settings)


# -------------------------------------------------------------------------------------- check, verify


@app.command(
    help=_example(
        "Check the ontology (syntax, annotations, consistency) and the published graph against its shapes.",
        "kg check",
        "kg check --hermit",
    )
)
def check(
    hermit: Annotated[bool, typer.Option("--hermit", help="Ask HermiT too; needs a Java.")] = False,
) -> None:
    from kg.check import check as run
    from kg.snapshot import current

    settings = _settings()
    failed = 0
    for finding in run(settings.root, current(settings.var), hermit=hermit):
        print(f"{'ok  ' if finding.holds else 'FAIL'}  {finding.check}: {finding.detail}", flush=True)
        failed += not finding.holds
    if failed:
        raise BuildError(f"{failed} check{' does' if failed == 1 else 's do'} not hold; see above")


@app.command(
    help=_example(
        "Check every claim against the documents: each span's line, offsets and SHA-256.",
        "kg verify --documents ../shared/seeds",
    )
)
def verify(
    documents: Annotated[Path, typer.Option(help="The folder that holds the documents.")],
) -> None:
    from loaders.literature.loader import verify as run

    if not documents.is_dir():
        raise UsageError(f"{documents}: there is no such folder; give the one that holds the documents")
    problems = run(documents)
    for problem in problems:
        print(problem)
    if problems:
        raise SourceError(f"{len(problems)} claims or documents differ", source="literature")
    print("every document and every claim's span is as it was read")


@app.command(
    help=_example(
        "Say what is published: the snapshot, its sources, its graphs.",
        "kg info",
        "kg info --json",
    )
)
def info(
    as_json: Annotated[bool, typer.Option("--json", help="The manifest, for programs.")] = False,
) -> None:
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
        told = (
            f"{source['records']:>9,} records  {source['quads']:>11,} quads  " if "records" in source else ""
        )
        print(f"  {source.get('name') or source['file']:<16}{told}{source.get('title', '')}")
    print("\ngraphs")
    for graph, count in snapshot.graphs.items():
        print(f"  {count:>11,}  {compress(graph)}")
