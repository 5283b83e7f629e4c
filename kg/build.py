"""The build flow: sources -> quads -> checks -> inferences -> a snapshot, verified and published.

Hides the order of the steps, what stands on disk between them, and when there is nothing to do. A source that
fails, a shape that is broken, a full disk or a kill leaves the published snapshot as it was.
"""

from __future__ import annotations

import hashlib
import heapq
import importlib.metadata
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path

from pyoxigraph import RdfFormat, parse

from kg import census, describe, loading, reasoning, validation
from kg import ontology as ontologies
from kg.canned import Catalogue
from kg.changes import note_changes
from kg.dump import write_dump
from kg.engine.disk import choose, prepare
from kg.errors import OntologyError, ShapeViolation, SnapshotError, UsageError
from kg.evaluation import evaluate
from kg.ontology import Ontology
from kg.parts import SourceInfo
from kg.report import Progress, Quiet, Report, timed
from kg.search import write_index
from kg.settings import Settings, is_remote
from kg.snapshot import (
    PUBLISHED,
    Snapshot,
    check_version,
    draft,
    line_of,
    open_snapshot,
    publish,
    replace_reports,
    snapshots,
    sort_quads,
    sorted_unique,
    write_snapshot,
)
from kg.terms import ROOT, compress
from kg.validation import Violation
from kg.workers import beside, can_fork
from loaders import catalog

# Which files of a folder of real records (`--data-dir`) each loader reads.
DATA_FILES = {
    "clinicaltrials": (
        "clinicaltrials/*/NCT*.json",
        *(f"clinicaltrials/*{suffix}" for suffix in (".json", ".jsonl", ".jsonl.gz")),
    ),
    "ictrp": ("ictrp/*.xml",),
    "publications": ("publications/ctgov_references*.tsv", "publications/*_corrections.csv"),
    "obo": tuple(f"ontologies/*{suffix}" for suffix in (".obo", ".obo.gz", ".owl", ".ttl", ".sssom.tsv")),
}
# Files that a loader could read and that a folder's build leaves out; given by name (`--source`) they load.
LEFT_OUT = {
    "clinicaltrials/classic-api-responses/*": "repeats studies that stand in the folder one by one",
    "publications/published_msc_ra_trials.tsv": "its facts are embedded in the source publications",
    "publications/registered_msc_ra_trials_17.tsv": "its facts are embedded in the source clinicaltrials",
}
# A new version of one of these may give other quads from the same files.
_PACKAGES = (
    "pyoxigraph",
    "rdflib",
    "pyelk-reasoner",
    "shacl",
    "obonet",
    "py-horned-owl",
    "scipy",
    "statsmodels",
)


def build(
    settings: Settings,
    *,
    sources: Mapping[str, Sequence[Path]] | None = None,
    not_loaded: Mapping[str, str] | None = None,
    version: str | None = None,
    on: str = "processes",
    progress: Progress | None = None,
) -> Snapshot:
    """Build the graph from every source's embedded data and publish it; returns the published snapshot.

    `sources` adds files to a source's embedded data; `not_loaded` are files to name in the report, with the
    reason; `version` is a date, by default the newest among sources and ontology; `on` says who loads the
    records, and how many processes the build may use (`kg.loading.workers`). Where inputs and code are
    those of a snapshot we have, that one is published and nothing is built.
    Raises SourceError, BuildError (counts, terms, shapes, ontology, disk) or UsageError: nothing changed.
    """
    progress = progress or Quiet()
    if version is not None:
        check_version(version)
    loading.check_workers(on)
    infos = catalog.find_sources()
    extra = _checked(sources or {}, infos)
    fingerprint = _fingerprint(settings.root, extra, version)
    if (same := _built_before(settings.var, fingerprint)) is not None:
        if not (same.folder / PUBLISHED).exists():
            with draft(settings.var), loading.workers(on) as them:
                _finish(same, settings, Report.read(same.report), them.processes, progress)
        if (settings.var / "current").resolve() != same.folder:
            publish(same, settings.var, keep=settings.keep_snapshots)
        progress.note(f"unchanged: {same.name} is up to date")
        return same

    ontology = ontologies.read(settings.root / "ontology")
    version = version or _newest_date([*(info.version for info in infos.values()), ontology.version])
    report = Report(fingerprint, version, not_loaded=dict(not_loaded or {}))
    with draft(settings.var) as work:
        sources_loaded: list[loading.Source] = []
        with loading.workers(on) as them:
            processes = them.processes
            for name, info in infos.items():
                with report.step(f"load {name}", progress):
                    source = loading.load(info, extra.get(name, ()), settings.var, work, them, progress)
                    _require_declared(source, ontology)
                sources_loaded.append(source)
        if processes > 1 and not can_fork():
            progress.note(
                f"after loading, one process works instead of {processes}: loading left threads behind"
            )
        files = [source.file for source in sources_loaded]
        report.sources = [source.told for source in sources_loaded]

        shapes = settings.root / "ontology" / "shapes"
        with report.step("check shapes", progress):
            for what in validation.looks_beyond(shapes):
                progress.note(f"shapes are checked with the whole graph in memory: {what}")
            _check_shapes(files, ontology, shapes, report, processes)

        with report.step("infer", progress):
            inferred = work / "inferred.nq"
            rules = settings.root / "ontology" / "rules"
            inferences = reasoning.infer(ontology, _lines(files), rules, inferred, processes=processes)
            report.inferences = dict(inferences.counts)
            for rule, why in inferences.whole.items():
                progress.note(f"rule {rule} is run over the whole graph in memory: {why}")
            report.inferring = {name: round(took, 3) for name, took in inferences.seconds.items()}

        with report.step("evidence", progress):
            computed = work / "evidence.nq"

            def stated() -> Iterator[bytes]:
                return chain(_lines([*files, inferred]), map(line_of, ontology.quads))

            sort_quads(evaluate(stated, work, strict=not extra, processes=processes), computed)
            ontology.require_declared(parse(path=computed, format=RdfFormat.N_QUADS))
            # The statuses of findings.
            reviewed = [file for file in files if file.name.startswith("reviews.")]
            _check_shapes([*reviewed, computed], ontology, shapes, report, processes)
            files.append(computed)

        with report.step("describe", progress):
            described = describe.examples(Catalogue.read(settings.root / "queries").values())
            described += describe.prefix_declarations()
            others = map(line_of, [*ontology.quads, *described])
            files.append(_kept(sorted_unique(chain(_lines([inferred]), others), work), work / "others.nq"))
            # Left out is what the reasoner told already of the graphs of its rules.
            left_out = describe.METADATA.value
            counted = census.count(_merged(files), work, without=left_out, processes=processes)
            loaded = [(source.info, source.told) for source in sources_loaded]
            about = describe.metadata(version, loaded, counted, counted.left_out)
            of_itself = sort_quads(about, work / "about.nq")
            files.append(work / "about.nq")
            report.graphs = {
                compress(graph): counts.triples
                for (graph, type, name), counts in counted.slices.items()
                if graph and not type and not name
            }
            report.graphs[compress(describe.METADATA.value)] = counted.left_out + of_itself

        with report.step("write", progress):
            snapshot = write_snapshot(
                _merged(files),
                settings.var,
                are_sorted=True,
                version=version,
                sources=[told.summary() for told in report.sources],
                reports=report.files(),
            )
    # What the snapshot was made of, some hundred bytes a quad, is gone by now: the last steps need the room.
    with draft(settings.var):
        _finish(snapshot, settings, report, processes, progress)
        publish(snapshot, settings.var, keep=settings.keep_snapshots)
        oldest = min(datetime.fromisoformat(kept.created) for kept in snapshots(settings.var))
        loading.forget(settings.var, oldest)
    progress.note(f"built {snapshot.name}: {snapshot.quads:,} quads")
    return snapshot


def _finish(
    snapshot: Snapshot, settings: Settings, report: Report, processes: int, progress: Progress
) -> None:
    """Make what stands beside a snapshot's data, as far as a build that was stopped did not; tell of it."""
    replace_reports(snapshot, report.files())  # should this be stopped, the next build goes on from here
    tasks = {name: partial(timed, step) for name, step in _last_steps(snapshot, settings).items()}
    for name, took in beside(tasks, processes, progress.step).items():
        report.add_step(name, took)
    replace_reports(snapshot, report.files())


def _last_steps(snapshot: Snapshot, settings: Settings) -> dict[str, Callable[[], object]]:
    """What only reads the snapshot and stands beside it, the longest first."""
    steps: dict[str, Callable[[], object]] = {
        "dump": partial(write_dump, snapshot),
        "index": partial(write_index, snapshot),
        "changes": partial(note_changes, snapshot, settings.var),
    }
    if not is_remote(settings.engine) and choose(snapshot, settings.engine).engine == "disk":
        return {"store": partial(prepare, snapshot), **steps}  # now, so that a server only opens it
    return steps


# ------------------------------------------------------------------------------------ nothing to do


def _fingerprint(root: Path, extra: Mapping[str, Sequence[Path]], version: str | None) -> str:
    """A hash of all that the snapshot's content depends on."""
    seen = hashlib.sha256(f"{version} {sys.version_info[:2]}".encode())
    for package in _PACKAGES:
        seen.update(f"{package} {importlib.metadata.version(package)}".encode())
    ours = chain(
        (ROOT / "kg").glob("*.py"),
        (ROOT / "kg" / "evidence").rglob("*.py"),
        catalog.FOLDER.rglob("*"),
        (root / "ontology").rglob("*"),
        (root / "queries").rglob("*"),
    )
    for path in sorted(path for path in ours if path.is_file() and path.suffix != ".pyc"):
        seen.update(f"{path.parent.name}/{path.name} {_sha256(path)}".encode())
    for name, files in sorted(extra.items()):
        for path in files:
            seen.update(f"{name} {path.name} {_sha256(path)}".encode())
    return seen.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _built_before(var: Path, fingerprint: str) -> Snapshot | None:
    for snapshot in snapshots(var):
        if snapshot.report.get("fingerprint") == fingerprint:
            try:
                return open_snapshot(snapshot.folder, verify=True)
            except SnapshotError:
                continue
    return None


def _newest_date(versions: Sequence[str]) -> str:
    dates = [version for version in versions if re.fullmatch(r"\d{4}-\d{2}-\d{2}", version)]
    if not dates:
        raise UsageError(
            "no source and no ontology has a date as version; give one: kg build --version 2026-11-22"
        )
    return max(dates)


# ------------------------------------------------------------------------------------------ loading


def files_of(folder: Path) -> tuple[dict[str, list[Path]], dict[str, str]]:
    """The files of a folder of real records by the source that reads them; and the others, with the reason.

    Raises UsageError for a folder without any file a loader knows.
    """
    reasons = {path: why for pattern, why in LEFT_OUT.items() for path in folder.glob(pattern)}
    found = {
        name: sorted({path for pattern in patterns for path in folder.glob(pattern)} - set(reasons))
        for name, patterns in DATA_FILES.items()
    }
    known = {path for paths in found.values() for path in paths}
    if not known:
        raise UsageError(
            f"{folder}: holds no file that a loader knows by its place; name it: --source ictrp=export.xml"
        )
    others = sorted(path for path in folder.rglob("*") if path.is_file() and path not in known)
    rest = {str(path.relative_to(folder)): reasons.get(path, "no loader reads it") for path in others}
    return {name: paths for name, paths in found.items() if paths}, rest


def _checked(sources: Mapping[str, Sequence[Path]], infos: Mapping[str, SourceInfo]) -> dict[str, list[Path]]:
    for name, files in sources.items():
        if name not in infos:
            raise UsageError(f"no source is called {name!r}; there are: {', '.join(infos)}")
        for path in files:
            if not path.is_file():
                raise UsageError(f"{path}: there is no such file; it was given for source {name}")
            if not path.stat().st_size:
                raise UsageError(
                    f"{path}: the file is empty; it was given for source {name}. "
                    "Fetch it again, or leave it out"
                )
    # Sorted: the order in which files are named must not matter.
    return {
        name: sorted(set(files), key=lambda path: (path.name, str(path))) for name, files in sources.items()
    }


def _require_declared(source: loading.Source, ontology: Ontology) -> None:
    try:
        ontology.require_declared(parse(b"".join(source.terms), format=RdfFormat.N_QUADS))
    except OntologyError as problem:
        raise OntologyError(f"source {source.info.name}: {problem}") from problem


def _lines(files: Sequence[Path]) -> Iterator[bytes]:
    for file in files:
        with file.open("rb") as lines:
            yield from loading.read_lines(lines) if file.suffix == ".zst" else lines


def _merged(files: Sequence[Path]) -> Iterator[bytes]:
    """The lines of files that are sorted, sorted; one that stands in two of them comes twice."""
    return heapq.merge(*(_lines([file]) for file in files))


def _kept(lines: Iterable[bytes], file: Path) -> Path:
    with file.open("wb") as kept:
        kept.writelines(lines)
    return file


# ------------------------------------------------------------------------------------------- shapes


def _check_shapes(
    files: Sequence[Path], ontology: Ontology, shapes: Path, report: Report, processes: int
) -> None:
    """Files together with the ontology against the shapes; only violations stop the build."""
    defined = sorted(map(line_of, ontology.quads))

    def stated() -> Iterator[bytes]:
        return heapq.merge(defined, _merged(files))

    results = validation.validate(stated, shapes, folder=files[0].parent, processes=processes)
    broken = [result for result in results if result.severity == "Violation"]
    report.warnings += [asdict(result) for result in results if result.severity != "Violation"]
    if broken:
        kinds: dict[tuple[str, str, str], list[Violation]] = {}
        for result in broken:
            kinds.setdefault((result.shape, result.path, result.message), []).append(result)
        some = sorted(kinds.values(), key=len, reverse=True)[:8]
        sources = _sources_of([those[0].focus for those in some], files)
        shown = "; ".join(
            f"{sources[those[0].focus]}{those[0]}" + (f", {len(those)} times" if those[1:] else "")
            for those in some
        )
        more = f"; and {len(kinds) - 8} more kinds" if len(kinds) > 8 else ""
        raise ShapeViolation(
            f"{len(broken)} statement(s) break a shape. {shown}{more}. Mend the record or its loader, "
            f"or the shape in ontology/shapes/"
        )


def _sources_of(iris: Iterable[str], files: Sequence[Path]) -> dict[str, str]:
    """The sources that state something about each of some things, for a message; read once for all."""
    found: dict[str, list[str]] = {iri: [] for iri in iris}
    starts = tuple(f"<{iri}> ".encode() for iri in found)
    for file in files:
        subjects = {
            line.split(b" ", 1)[0][1:-1].decode() for line in _lines([file]) if line.startswith(starts)
        }
        for iri in subjects:
            found[iri].append(file.name.partition(".")[0])
    return {iri: f"source {', '.join(names)}: " if names else "" for iri, names in found.items()}
