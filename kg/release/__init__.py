"""Releases of the ontology: what is published for others, as files of a folder.

Hides which files a release has, how each is written and read back, and that a folder appears whole or not
at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyhornedowl

from kg.errors import OntologyError, UsageError
from kg.release import diff as differ
from kg.release import rdf, source
from kg.release.diff import Difference
from kg.release.jsonld import context
from kg.release.obo import Obo, obographs
from kg.release.owl import Axioms, functional, render
from kg.release.rdf import curie

MANIFEST = "manifest.json"
_PURPOSES = {
    "stroma.ttl": "merged product, Turtle: all terms with the stubs of public terms",
    "stroma.owl": "merged product, RDF/XML: for Protégé and OWL tools",
    "stroma.ofn": "merged product, functional syntax: one axiom a line, for comparing",
    "stroma-base.ttl": "base product, Turtle: what Stroma itself states, without the stubs' statements",
    "stroma-base.owl": "base product, RDF/XML: to import beside the public ontologies themselves",
    "stroma-base.ofn": "base product, functional syntax",
    "stroma.obo": "merged product, OBO format 1.4; REPORT.md lists what it cannot say",
    "stroma.json": "merged product, OBO Graphs JSON",
    "context.jsonld": "JSON-LD context: short names for every term",
    "shapes.ttl": "SHACL shapes of the knowledge graph, merged",
    "CHANGES.md": "what changed since the release before",
    "REPORT.md": "counts, and the axioms OBO format cannot say",
}


def release(
    folder: Path, to: Path, *, version: str | None = None, previous: Path | None = None
) -> Difference:
    """Write a release of the ontology in `folder` as the folder `to`, and say what changed since `previous`.

    The version is a date; default is that of `stroma.ttl`. The same source and version give the same bytes.
    Raises UsageError for a version that is no date, a folder that is not empty, or a version already
    released with other content; OntologyError for a source that is not fit (see `kg.release.source.read`), a
    released term that vanished, or a file that does not read back as written. Nothing is left behind then.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(f"{to}: is not empty. Give a new folder with --to, or empty this one first")
    checked = source.read(folder)
    version = source.dated(version) if version is not None else checked.version
    files, changes = _files(checked, version, previous)
    try:
        _publish(files, to)
    except OSError as problem:
        raise UsageError(
            f"{to}: cannot be written ({problem.strerror}). Give another folder with --to"
        ) from problem
    return changes


def _publish(files: Mapping[str, bytes], to: Path) -> None:
    """Write files beside `to` and move them there in one step."""
    to.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
    try:
        for name, content in files.items():
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        temporary.chmod(0o755)
        os.replace(temporary, to)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def diff(old: Path, new: Path) -> Difference:
    """What changed between two versions: each a release's folder, a released Turtle file, or the modules'.

    Raises UsageError and OntologyError as `kg.release.diff.open_edition`.
    """
    return differ.compare(differ.open_edition(old), differ.open_edition(new))


def _files(
    checked: source.Source, version: str, previous: Path | None
) -> tuple[dict[str, bytes], Difference]:
    merged, shapes = checked.merged(version), checked.merged_shapes(version)
    axioms, base = Axioms(merged), Axioms(checked.base(version))
    changes = _since(previous, differ.edition(merged, version, checked.mappings))
    obo = Obo(axioms, version)
    texts: dict[str, str] = {}
    for stem, product in (("stroma", axioms), ("stroma-base", base)):
        texts[f"{stem}.ttl"] = rdf.turtle(product.graph)
        texts[f"{stem}.owl"] = rdf.rdfxml(product.graph)
        texts[f"{stem}.ofn"] = functional(product)
        _read_back(stem, product, texts)
    texts["stroma.obo"] = obo.text()
    texts["stroma.json"] = _json(obographs(axioms, f"{source.ONTOLOGY}/{version}/stroma.json"))
    texts["context.jsonld"] = _json(context(axioms, shapes))
    texts["shapes.ttl"] = rdf.turtle(shapes)
    texts["CHANGES.md"] = changes.text
    texts["REPORT.md"] = _report(version, axioms, base, obo)
    files = {name: text.encode() for name, text in texts.items()}
    files |= {f"mappings/{path.name}": path.read_bytes() for path in checked.mappings}
    files[MANIFEST] = _manifest(version, files, axioms, base).encode()
    return files, changes


def _since(previous: Path | None, new: differ.Edition) -> Difference:
    if previous is None:
        return Difference(f"# Changes to {new.version}\n\nNo earlier release was given to compare with.\n")
    old = differ.open_edition(previous)
    changes = differ.compare(old, new)
    if changes.vanished:
        raise OntologyError(
            f"{', '.join(changes.vanished)}: released in {old.version} and gone now. A released name stays: "
            "put the term back with owl:deprecated true and obo:IAO_0100001, the term to use instead"
        )
    if old.version > new.version or (old.version == new.version and not changes.same):
        raise UsageError(
            f"version {new.version}: {previous} is the release of {old.version}, and a release never "
            "changes. Give a later --version"
        )
    return changes


def _read_back(stem: str, product: Axioms, texts: Mapping[str, str]) -> None:
    """Raise OntologyError if a file does not say what was meant; no parser used here is our own."""
    wanted = texts[f"{stem}.ttl"]
    for ending, format in (("ttl", "turtle"), ("owl", "xml")):
        name = f"{stem}.{ending}"
        if rdf.turtle(rdf.parse(texts[name], format, name)) != wanted:
            raise OntologyError(f"{name}: reads back as another graph; this is a fault of kg/release/rdf.py")
    try:
        read = pyhornedowl.open_ontology_from_string(texts[f"{stem}.ofn"], "ofn")
    except Exception as problem:  # the parser raises plain ValueError, and more
        raise OntologyError(f"{stem}.ofn: does not read back ({problem}); see kg/release/owl.py") from problem
    header = ("OntologyID", "OntologyAnnotation")
    count = sum(type(part.component).__name__ not in header for part in read.get_components())
    if count != len(product.axioms):
        raise OntologyError(
            f"{stem}.ofn: {len(product.axioms)} axioms were written and {count} read back; see "
            "kg/release/owl.py"
        )


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _terms(axioms: Axioms) -> dict[str, int]:
    counts = Counter(kind for term, kinds in axioms.kinds.items() if source.ours(term) for kind in kinds)
    return dict(sorted(counts.items()))


def _manifest(version: str, files: Mapping[str, bytes], axioms: Axioms, base: Axioms) -> str:
    listed = [
        {
            "file": name,
            "purpose": _PURPOSES.get(name, "mappings to other vocabularies, SSSOM"),
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        for name, content in sorted(files.items())
    ]
    return _json(
        {
            "ontology": str(source.ONTOLOGY),
            "version": version,
            "versionIRI": f"{source.ONTOLOGY}/{version}",
            "licence": str(axioms.graph.value(axioms.header, source.LICENCE)),
            "terms": _terms(axioms),
            "publicTerms": sum(not source.ours(term) for term in axioms.kinds),
            "axioms": {"merged": len(axioms.axioms), "base": len(base.axioms)},
            "files": listed,
        }
    )


def _report(version: str, axioms: Axioms, base: Axioms, obo: Obo) -> str:
    kinds = Counter(str(axiom[0]) for axiom in axioms)
    held = Counter(str(axiom[0]) for axiom in base)
    rows = [f"| {kind} | {kinds[kind]:,} | {held[kind]:,} |" for kind in sorted(kinds)]
    unsaid: dict[str, list[str]] = {}
    for axiom in obo.unsaid:
        unsaid.setdefault(str(axiom[0]), []).append(render(axiom, curie))
    parts = [
        f"# Report on release {version}",
        "| axioms | merged | base |\n|---|---|---|\n" + "\n".join(rows),
        "## What OBO format cannot say",
        f"{len(obo.unsaid):,} of {len(axioms.axioms):,} axioms are in the OWL files only: data properties "
        "and everything about them, expressions inside expressions, definitions without a named parent, "
        "chains of more than two properties.",
        *(
            f"### {kind} ({len(lines)})\n\n```\n" + "\n".join(lines) + "\n```"
            for kind, lines in unsaid.items()
        ),
    ]
    return "\n\n".join(parts) + "\n"
