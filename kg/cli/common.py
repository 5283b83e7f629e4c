"""What the verbs share: the program they belong to, help, settings, snapshots by name, the progress bar."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kg.errors import SnapshotError, StromaError, UsageError
from kg.settings import Settings

if TYPE_CHECKING:
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


def _group(name: str, help: str) -> typer.Typer:
    """Verbs of one kind, below `kg NAME`."""
    group = typer.Typer(
        name=name, help=help, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    app.add_typer(group)
    return group


ontology_app = _group("ontology", "Release the ontology, say what changed, write it for readers.")
nanopub_app = _group("nanopub", "Write claims as nanopublications, read those of others.")


def verb(
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


def settings_here() -> Settings:
    """The settings of this process's environment."""
    return Settings.from_environ(os.environ)


def current_snapshot(settings: Settings) -> Snapshot:
    """The published snapshot; raises SnapshotError where there is none."""
    from kg.snapshot import current

    snapshot = current(settings.var)
    if snapshot is None:
        raise SnapshotError(f"there is no graph in {settings.var} yet; build it with `kg build`")
    return snapshot


def named_snapshot(text: str, settings: Settings) -> Snapshot:
    """The snapshot a person names: `current`, a folder, or the newest kept one of a version, name or hash."""
    from kg.snapshot import open_snapshot, snapshots

    if text == "current":
        return current_snapshot(settings)
    if (Path(text) / "manifest.json").is_file():
        return open_snapshot(Path(text))
    kept = snapshots(settings.var)
    for each in kept:
        if text in (each.version, each.name) or (len(text) >= 12 and each.hash.startswith(text)):
            return each
    names = ", ".join(each.name for each in kept) or "none; build one with `kg build`"
    raise UsageError(f"{text}: no snapshot is kept under that name. There are: {names}")


def pair(entry: str, option: str, form: str) -> tuple[str, str]:
    """The two sides of NAME=VALUE, given to an option; raises UsageError with the form it has."""
    name, equals, value = entry.partition("=")
    if not equals:
        raise UsageError(f"{option} {entry}: write it as {form}")
    return name, value


class Bar:
    """Progress (`kg.report.Progress`) on a terminal's stderr; silent elsewhere. `notes` are for the end."""

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
def progress_shown() -> Iterator[Bar]:
    """Progress, for as long as the block runs."""
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

        yield Bar(show)
