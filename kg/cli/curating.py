"""Verbs of those who curate: checks, findings, mappings, releases of the ontology, nanopublications."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kg.cli.common import (
    current_snapshot,
    nanopub_app,
    ontology_app,
    settings_here,
    verb,
)
from kg.errors import BuildError, SourceError, UsageError
from kg.terms import compress


@verb("Check the ontology and the published graph.", "kg check", "kg check --hermit")
def check(
    hermit: Annotated[bool, typer.Option("--hermit", help="Ask HermiT too; needs a Java.")] = False,
) -> None:
    """Check the ontology (syntax, annotations, mappings, consistency), the claims, and the graph's shapes."""
    from kg.check import check as run
    from kg.snapshot import current
    from loaders.literature.ledger import account
    from loaders.mappings.review import review as mappings
    from loaders.obo.review import review as imports

    settings = settings_here()
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


@verb("Check the claims against the documents.", "kg verify --documents ../shared/seeds")
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


@verb(
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

    contents = pages.read(read_lines(current_snapshot(settings_here())))
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


@verb(
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


@verb(
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


@verb(
    "Write the browsable reference of the ontology.", "kg ontology docs --to var/reference", of=ontology_app
)
def docs(
    to: Annotated[Path, typer.Option(help="The folder; empty, new, or an earlier reference.")],
) -> None:
    """Write a page for every term, with indexes, diagrams and a search: open index.html in a browser."""
    from kg.reference import write_reference

    written = write_reference(settings_here().root, to)
    print(f"{written.pages:,} pages of {written.terms:,} terms: {written.folder / 'index.html'}")


@verb("Draw the diagrams from the published graph.", "kg ontology diagrams", of=ontology_app)
def diagrams() -> None:
    """Draw docs/diagrams/NAME.svg for each declaration NAME.toml there, from the published graph."""
    from pyoxigraph import RdfFormat, parse

    from kg.reference import draw_all, read_pictures
    from kg.snapshot import read_lines

    settings = settings_here()
    lines = read_lines(current_snapshot(settings))
    pictures = read_pictures(settings.root / "docs" / "diagrams")
    quads = parse(b"".join(lines), format=RdfFormat.N_QUADS)
    for file, text in draw_all(pictures, quads).items():
        file.write_text(text, encoding="utf-8", newline="\n")
        print(file)


@verb(
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

    changes = run(settings_here().root / "ontology", to, version=version, previous=previous)
    print(f"{to}\n\n{changes.text}", end="")


@verb(
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


@verb(
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
    claims = Claims(read_lines(current_snapshot(settings_here())))
    written = trig(claims[name] for name in (claims if every else map(claims.find, claim or ())))
    if to is None:
        sys.stdout.buffer.write(written)
    else:
        to.write_bytes(written)
        print(to)


@verb(
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
    ontology.read(settings_here().root / "ontology").require_declared(quads)
    edges = stated(quads)
    print(f"{file}: {part.account.records} nanopublications, {len(edges)} propositions")
    for *edge, positive in edges:
        print(f"  {'' if positive else 'not: '}{' '.join(compress(term.value) for term in edge)}")
    for what, times in sorted(part.account.left_out.items()):
        print(f"left out: {what} ({times})")
    if to is not None:
        to.write_bytes(b"".join(sorted(set(map(line_of, quads)))))
        print(to)
