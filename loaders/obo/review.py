"""The public terms we use, in the three places that hold them, kept alike.

A public term of a module has a line in `ontology/imports/<ontology>.txt`, so that loaders bring what its
ontology says of it; and every term listed there, of a module or not, has a row in the embedded table
`records/terms.tsv`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from pyoxigraph import Literal, NamedNode, RdfFormat, parse

from kg.errors import SourceError
from kg.terms import OWL, RDF, RDFS, ROOT, STROMA, compress
from loaders import catalog
from loaders.obo.embedded import table
from loaders.obo.formats import SUFFIXES, labels
from loaders.obo.loader import wanted
from loaders.tables import rows

IMPORTS = ROOT / "ontology" / "imports"
TERMS = catalog.FOLDER / "obo" / "records" / "terms.tsv"
_REMEDY = "Write it by kg imports --against DIR, DIR holding the ontologies' files"


@dataclass(frozen=True)
class Stub:
    """A public term as a module declares it."""

    label: str
    seen: str  # the file in which its id and label were seen
    file: str


def stubs() -> Mapping[str, Stub]:
    """The public classes, properties and individuals of the modules, of ontologies we import: by CURIE."""
    kinds = {OWL.Class, OWL.ObjectProperty, OWL.DatatypeProperty, OWL.NamedIndividual}
    known = {path.stem for path in IMPORTS.glob("*.txt")}
    found: dict[str, Stub] = {}
    for path in sorted((ROOT / "ontology" / "modules").glob("*.ttl")):
        said: dict[NamedNode, dict[NamedNode, str]] = {}
        typed: set[NamedNode] = set()
        for quad in parse(path=path, format=RdfFormat.TURTLE):
            if not isinstance(quad.subject, NamedNode):
                continue
            if quad.predicate == RDF.type and quad.object in kinds:
                typed.add(quad.subject)
            elif quad.predicate in (RDFS.label, STROMA.importedFrom) and isinstance(quad.object, Literal):
                said.setdefault(quad.subject, {})[quad.predicate] = quad.object.value
        for term in typed:
            name, texts = compress(term.value), said.get(term, {})
            if STROMA.importedFrom in texts and name.partition(":")[0].lower() in known:
                found[name] = Stub(texts.get(RDFS.label, ""), texts[STROMA.importedFrom], path.name)
    return found


def review() -> list[SourceError]:
    """What differs between the modules, the lists in `ontology/imports/` and the embedded table."""
    return [*_listed(), *_embedded()]


def _listed() -> Iterator[SourceError]:
    listed = wanted()
    for name, stub in sorted(stubs().items()):
        if name not in listed:
            yield SourceError(
                f"{name} is not listed in ontology/imports/{_list(name).name}",
                source="obo", file=stub.file, record=name, advice=_REMEDY,
            )  # fmt: skip
        elif listed[name][0] != stub.label:
            yield SourceError(
                f"is {listed[name][0]!r} in ontology/imports/{_list(name).name}",
                source="obo", file=stub.file, record=name, field="rdfs:label", value=stub.label,
                advice="Write the label of its ontology in both",
            )  # fmt: skip


def _embedded() -> Iterator[SourceError]:
    listed = wanted()
    held = {row.fields["id"]: row.fields["name"] for row in rows(TERMS, source="obo")}
    for name in sorted(listed.keys() - held.keys()):
        yield SourceError(
            f"{name} of ontology/imports/{_list(name).name} has no row",
            source="obo", file=f"loaders/obo/records/{TERMS.name}", record=name, advice=_REMEDY,
        )  # fmt: skip
    for name, label in sorted(held.items()):
        if name not in listed or listed[name][0] != label:
            now = f"is called {listed[name][0]!r}" if name in listed else "is not listed"
            yield SourceError(
                f"{name} ({label!r}) {now} in ontology/imports/",
                source="obo", file=f"loaders/obo/records/{TERMS.name}", record=name, advice=_REMEDY,
            )  # fmt: skip


def _list(name: str) -> Path:
    return IMPORTS / f"{name.partition(':')[0].lower()}.txt"


def write(folder: Path) -> list[str]:
    """Add the lines of `ontology/imports/` that are missing, and write the embedded table anew.

    Kind and parents come from the ontology files below `folder`. Where a file that the table names is not
    there, the rows that stand stay as they are. Returns what was added, changed or removed.
    """
    files = [path for path in sorted(folder.resolve().rglob("*")) if _is_imported(path.name)]
    told = []
    for name, stub in sorted(stubs().items()):
        if name not in wanted():
            _seen(name, stub, files, folder)
            path, line = _list(name), f"{name}  # {stub.label} [{stub.seen}]"
            lines = [*path.read_text(encoding="utf-8").splitlines(), line]
            comments = [text for text in lines if text.startswith("#")]
            terms = sorted(text for text in lines if text.strip() and not text.startswith("#"))
            path.write_text("".join(f"{text}\n" for text in (*comments, *terms)), encoding="utf-8")
            told.append(f"ontology/imports/{path.name}: + {line}")
    wanted.cache_clear()
    before = TERMS.read_text(encoding="utf-8")
    after = _kept(before, table(files), {path.name for path in files})
    TERMS.write_text(after, encoding="utf-8")
    old, new = before.splitlines(), after.splitlines()
    place = f"loaders/obo/records/{TERMS.name}"
    told += [f"{place}: - {line}" for line in old if line not in new]
    return told + [f"{place}: + {line}" for line in new if line not in old]


def _seen(name: str, stub: Stub, files: Sequence[Path], folder: Path) -> None:
    """Raises SourceError where the file that a stub names is not here, or has not its id with its label.

    A list of terms out of a package, which is no file of an ontology, is not looked for.
    """
    if stub.seen.endswith(SUFFIXES) and stub.seen not in {path.name for path in files}:
        prefix = name.partition(":")[0].lower()
        alike = [path.name for path in files if _ontology(path.name) == prefix]
        raise SourceError(
            f"no file below {folder} is called {stub.seen} (of {prefix}: {', '.join(alike) or 'none'})",
            source="obo", file=stub.file, record=name, field="stroma:importedFrom", value=stub.seen,
            advice="Put the file there, or name the one in which you saw id and label",
        )  # fmt: skip
    for path in files:
        if path.name != stub.seen:
            continue
        found = [(id, label) for id, label, gone in labels(path, "obo") if not gone]
        if (name, stub.label) not in found:
            alike = [f"{id} {label!r}" for id, label in found if id == name or label == stub.label]
            raise SourceError(
                f"{stub.seen} has no {name} called {stub.label!r} (there: {', '.join(alike) or 'neither'})",
                source="obo", file=stub.file, record=name, advice="Correct the id, the label or the file",
            )  # fmt: skip


def _ontology(file: str) -> str:
    """The ontology of a file, by its name: "cl" of cl-basic_2022-12-15.obo."""
    return re.split(r"[^a-z]", file.lower(), maxsplit=1)[0]


def _is_imported(file: str) -> bool:
    return file.endswith(SUFFIXES) and (IMPORTS / f"{_ontology(file)}.txt").is_file()


def _kept(before: str, after: str, here: Set[str]) -> str:
    """The new table, but with the rows that stand where a file that one of them rests on is not here."""
    old = {line.partition("\t")[0]: line for line in before.splitlines()}
    used = {line.rpartition("\t")[2] for line in old.values()}
    if {file for file in used if _is_imported(file)} <= here:
        return after
    lines = []
    for line in after.splitlines():
        name, _, label, *_ = line.split("\t")
        known = name in old and old[name].split("\t")[2] == label
        lines.append(old[name] if known else line)
    return "\n".join(lines) + "\n"
