"""Verbs that make graphs and hand them on: build, fetch, info, export, publish, diff, patch."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from kg.cli.common import (
    current_snapshot,
    named_snapshot,
    pair,
    progress_shown,
    settings_here,
    verb,
)
from kg.errors import SnapshotError, UsageError
from kg.terms import compress


@verb(
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
        name, path = pair(entry, "--source", "SOURCE=FILE, such as ictrp=export.xml")
        files.setdefault(name, []).append(Path(path))
    with progress_shown() as bar:
        run(settings_here(), sources=files, not_loaded=not_loaded, version=version, on=on, progress=bar)
    for message in bar.notes:
        print(message)


@verb(
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

    folder = to or settings_here().var / "raw" / source
    with progress_shown() as bar:
        bar.step(f"fetch {source}")
        fetched = run(
            source, folder, progress=lambda pages, items: bar.step(f"{pages} pages, {items} records")
        )
    for path in fetched.files:
        print(path)


@verb("Say what is published.", "kg info", "kg info --json")
def info(
    as_json: Annotated[bool, typer.Option("--json", help="The manifest, for programs.")] = False,
) -> None:
    """Say what is published: the snapshot, its sources, its graphs."""
    snapshot = current_snapshot(settings_here())
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


@verb(
    "Hand the graph over to another system, as files.",
    "kg export handover",
    "kg export handover --form nquads --form parquet --snapshot 2026-11-22",
    "kg export changes --form patch --since 2026-11-22",
    name="export",
)
def hand_over(
    to: Annotated[Path, typer.Argument(help="The folder to write; new or empty.")],
    form: Annotated[
        list[str] | None,
        typer.Option(
            help="nquads, graphs, jsonld, parquet, patch; may be repeated. Default: all (parquet with "
            "pyarrow, patch with --since)."
        ),
    ] = None,
    snapshot: Annotated[str, typer.Option(help="A version, name, hash or folder, or current.")] = "current",
    part: Annotated[
        int,
        typer.Option(
            help="Quads in one part of N-Quads, at most; the first has all with blank nodes.", min=1
        ),
    ] = 1_000_000,
    since: Annotated[
        str | None, typer.Option(metavar="SNAPSHOT", help="The older snapshot that a patch starts from.")
    ] = None,
) -> None:
    """Write a snapshot as sorted N-Quads in parts, Turtle and TriG, JSON-LD and Parquet, with checksums.

    No blank node is in two parts of N-Quads, so parts can be loaded in any order and by different machines.
    With --since, what changed as an RDF Patch, too: `kg patch FILE --of SNAPSHOT` applies it.
    """
    from kg.handover import NO_PYARROW, PATCH, available
    from kg.handover import hand_over as run

    settings = settings_here()
    older = None if since is None else named_snapshot(since, settings)
    forms = form or (available() if older is None else (*available(), PATCH))
    files = run(named_snapshot(snapshot, settings), to, forms, part_quads=part, since=older)
    for each in dict.fromkeys(file.form for file in files):
        mine = [file for file in files if file.form == each]
        print(f"{each:<8}  {len(mine):>5,} files  {sum(file.bytes for file in mine):>13,} bytes")
    if not form and "parquet" not in available():
        print(f"parquet   left out: {NO_PYARROW}")


@verb(
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
    are not ours are left alone. KG_REMOTE_USER and KG_REMOTE_PASSWORD say who we are there; a server that
    says nothing for KG_PUBLISH_SECONDS is given up.
    """
    from kg.engine.publishing import GraphStore, VirtuosoLoader, publish_to
    from kg.settings import reached

    settings = settings_here()
    to, user, password = reached(to, settings.remote_user, settings.remote_password)
    patience = settings.publish_seconds
    chosen = named_snapshot(snapshot, settings)
    if bool(store) == bool(isql):
        raise UsageError("give --store URL (any server with a Graph Store), or --isql HOST:PORT (Virtuoso)")
    with progress_shown() as bar:
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
            loader = VirtuosoLoader(isql, folder, user, password, patience=patience)
            sent = publish_to(chosen, to, loader, user=user, password=password, told=told, patience=patience)
        else:
            with GraphStore(store, user, password, patience=patience) as target:
                sent = publish_to(
                    chosen, to, target, user=user, password=password, told=told, patience=patience
                )
    print(f"{chosen.name}: {sent} of {len(chosen.graphs)} graphs sent; {to} holds it")


@verb(
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

    settings = settings_here()
    old, new = named_snapshot(before, settings), named_snapshot(after, settings)
    if format == "patch":
        write_patch(old, new, sys.stdout.buffer)
    elif format in ("text", "json"):
        print((as_text if format == "text" else as_json)(changes(old, new, most=most)), end="")
    else:
        raise UsageError(f"--format {format}: there is no such format; there are: text, json, patch")


@verb(
    "Make a newer graph of an older copy by a patch.",
    "kg patch changes.rdfp --of 2026-11-22 > graph.nq",
    "kg patch handover/patch/0a1b2c3d4e5f-5f4e3d2c1b0a.rdfp.gz --of 2026-11-22 > graph.nq",
    "kg patch changes.rdfp --of stroma.nq.gz > graph.nq",
)
def patch(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="What `kg diff A B --format patch` or `kg export --since A` wrote (.rdfp, .rdfp.gz).",
            exists=True,
            dir_okay=False,
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

    def lines(path: Path) -> Iterator[bytes]:
        try:
            with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as found:
                yield from found
        except (OSError, EOFError, zlib.error) as problem:
            raise SnapshotError(f"{path}: cannot be read ({problem}); download it again") from problem

    old = lines(Path(of)) if Path(of).is_file() else read_lines(named_snapshot(of, settings_here()))
    sys.stdout.buffer.writelines(patched(old, lines(file)))
    sys.stdout.buffer.flush()
