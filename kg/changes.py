"""What changed from one snapshot to another: in words for a reader, and as an RDF Patch for programs.

Hides how two sorted files are compared in one pass and flat memory. Lines are sorted by subject, so all that
either snapshot says of a thing is at hand at once: a thing is gained, lost or changed. What was inferred is
counted apart, by rule, and so is what a snapshot says of itself (its counts, its date), which always changes.

An RDF Patch (https://afs.github.io/rdf-delta/rdf-patch.html) has a line for each quad that is gone (`D`) or
new (`A`). Ours is sorted as the snapshots are, so `patched` applies it in one pass, too, and it names the
hashes of both, by which what comes out is known to be right.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from pyoxigraph import BlankNode, NamedNode, Quad, RdfFormat, parse
from pyoxigraph import Literal as Text

from kg.errors import SnapshotError
from kg.snapshot import Snapshot, current, read_lines
from kg.terms import BASE, RDFS, SKOS, compress

NOTED = "changes.json"  # in a snapshot's folder; not part of what its hash names
_INFERRED = BASE + "graph/inferred/"
_SELF = frozenset(BASE + f"graph/{name}" for name in ("metadata", "prefixes", "examples"))
_NAMES = (RDFS.label.value, SKOS.prefLabel.value)
_PATCH_ID = BASE + "patch/"
_PATCH_HASH = re.compile(rb'H (from|to) "([0-9a-f]{64})"')
Fate = Literal["gained", "lost", "changed"]

# How a kind of thing is called in a heading. A kind is the first segment of an IRI of ours.
PUBLIC, UNNAMED = "public", "unnamed"
_HEADINGS = {
    "ontology": "Terms of the ontology",
    "trial": "Trials",
    "record": "Registry records",
    "publication": "Publications",
    "claim": "Claims",
    "proposition": "Propositions",
    "observation": "Observations",
    "finding": "Contradictions found",
    "derived": "Derived numbers",
    "mapping": "Mappings",
    PUBLIC: "Terms of other vocabularies",
    UNNAMED: "Axioms without a name",
}


@dataclass(frozen=True)
class Thing:
    """A thing of which the two snapshots say different things. `removed` and `added` are canonical lines."""

    iri: str
    kind: str
    fate: Fate
    label: str
    removed: tuple[bytes, ...]
    added: tuple[bytes, ...]


@dataclass
class Changes:
    """All that changed, counted, with the first `most` things of a kind and fate, and inferences of a rule.

    `kinds` counts things by kind and fate; `rules` quads by rule's name, gained and lost; `itself` the quads
    by which the snapshots describe themselves.
    """

    before: str
    after: str
    most: int
    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    rules: dict[str, Counter[str]] = field(default_factory=dict)
    itself: Counter[str] = field(default_factory=Counter)
    things: list[Thing] = field(default_factory=list)
    inferences: list[tuple[str, str, bytes]] = field(default_factory=list)  # rule, "gained" or "lost", line
    labels: dict[str, str] = field(default_factory=dict)  # of what is named in them, where it has one

    @property
    def nothing(self) -> bool:
        """Whether the two say the same of the world; how they describe themselves does not count."""
        return not self.kinds and not self.rules


def changes(before: Snapshot, after: Snapshot, *, most: int = 20) -> Changes:
    """Compare two snapshots. Raises SnapshotError for a damaged one."""
    found = Changes(before.name, after.name, most)
    shown: Counter[tuple[str, str]] = Counter()
    for subject, removed, added, stays in _by_subject(_compared(read_lines(before), read_lines(after))):
        told: dict[str, list[bytes]] = {"removed": [], "added": []}
        for way, fate, lines in (("removed", "lost", removed), ("added", "gained", added)):
            for line in lines:
                graph = _graph(line)
                if graph in _SELF:
                    found.itself[fate] += 1
                elif graph.startswith(_INFERRED):
                    rule = graph.removeprefix(_INFERRED)
                    found.rules.setdefault(rule, Counter())[fate] += 1
                    shown[rule, fate] += 1
                    if shown[rule, fate] <= most:
                        found.inferences.append((rule, fate, line))
                else:
                    told[way].append(line)
        if told["removed"] or told["added"]:
            kind = _kind(subject)
            if stays or (told["removed"] and told["added"]):
                fate = "changed"
            else:
                fate = "gained" if told["added"] else "lost"
            found.kinds.setdefault(kind, Counter())[fate] += 1
            shown[kind, fate] += 1
            if shown[kind, fate] <= most:
                label = _label([*stays, *told["added"]]) or _label(told["removed"])
                found.things.append(
                    Thing(subject, kind, _fate(fate), label, tuple(told["removed"]), tuple(told["added"]))
                )
    _name(found, before, after)
    return found


def _fate(word: str) -> Fate:
    return "gained" if word == "gained" else "lost" if word == "lost" else "changed"


def _compared(before: Iterable[bytes], after: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Every line of two sorted sequences once, with "D" (only before), "A" (only after) or "=" (both)."""
    old, new = iter(before), iter(after)
    left, right = next(old, None), next(new, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left < right):
            assert left is not None
            yield "D", left
            left = next(old, None)
        elif left is None or right < left:
            yield "A", right
            right = next(new, None)
        else:
            yield "=", left
            left, right = next(old, None), next(new, None)


def _by_subject(
    compared: Iterable[tuple[str, bytes]],
) -> Iterator[tuple[str, list[bytes], list[bytes], list[bytes]]]:
    """Subjects of which a line changed, with the lines removed, added, and kept (but inferred ones)."""
    subject, lines = b"", {"D": list[bytes](), "A": list[bytes](), "=": list[bytes]()}
    for way, line in compared:
        mine = line.split(b" ", 1)[0]
        if mine != subject:
            if lines["D"] or lines["A"]:
                yield subject.decode().strip("<>"), lines["D"], lines["A"], lines["="]
            subject, lines = mine, {"D": [], "A": [], "=": []}
        if way != "=" or not _graph(line).startswith(_INFERRED):
            lines[way].append(line)
    if lines["D"] or lines["A"]:
        yield subject.decode().strip("<>"), lines["D"], lines["A"], lines["="]


def _graph(line: bytes) -> str:
    return line.rsplit(b" ", 2)[1].decode().strip("<>")


def _kind(subject: str) -> str:
    if subject.startswith("_:"):
        return UNNAMED
    if not subject.startswith(BASE):
        return PUBLIC
    return subject.removeprefix(BASE).split("/", 1)[0]


def _label(lines: Iterable[bytes]) -> str:
    """The English name among a thing's lines, else any name, else nothing."""
    names: dict[str, str] = {}
    for line in lines:
        predicate = line.split(b" ", 2)[1].decode().strip("<>")
        if predicate in _NAMES:
            value = _quad(line).object
            if isinstance(value, Text):
                names.setdefault(value.language or "en", value.value)
    return names.get("en") or next(iter(names.values()), "")


def _quad(line: bytes) -> Quad:
    (quad,) = parse(line, format=RdfFormat.N_QUADS)
    assert isinstance(quad, Quad)
    return quad


def _name(found: Changes, before: Snapshot, after: Snapshot) -> None:
    """Find the names of all that the kept lines name: one more pass, over lines with a name only."""
    lines = [line for thing in found.things for line in (*thing.removed, *thing.added)]
    wanted = {
        term.value
        for line in [*lines, *(line for _, _, line in found.inferences)]
        for term in (_quad(line).subject, _quad(line).predicate, _quad(line).object)
        if isinstance(term, NamedNode)
    }
    if not wanted:
        return
    mark = f" <{RDFS.label.value}> ".encode()
    for snapshot in (before, after):
        for line in read_lines(snapshot):
            if mark in line and line.split(b" ", 1)[0].decode().strip("<>") in wanted:
                quad = _quad(line)
                if isinstance(quad.object, Text) and quad.object.language in (None, "en"):
                    found.labels[str(quad.subject).strip("<>")] = quad.object.value


# ------------------------------------------------------------------------------------------ in words


def as_text(found: Changes) -> str:
    """The changes as Markdown: a table of counts, then each kind with its first things, then inferences."""
    out = [f"# What changed from {found.before} to {found.after}\n"]
    if found.nothing:
        out.append("Nothing: both say the same.\n")
        return "\n".join(out)
    out.append("| | gained | lost | changed |\n|---|---:|---:|---:|")
    for kind in _ordered(found.kinds):
        counts = found.kinds[kind]
        out.append(f"| {heading(kind)} | {counts['gained']:,} | {counts['lost']:,} | {counts['changed']:,} |")
    gained, lost = (sum(counts[fate] for counts in found.rules.values()) for fate in ("gained", "lost"))
    out.append(f"| Inferred statements | {gained:,} | {lost:,} | |\n")
    for kind in _ordered(found.kinds):
        out.append(f"## {heading(kind)}\n")
        for fate in ("gained", "lost", "changed"):
            mine = [thing for thing in found.things if (thing.kind, thing.fate) == (kind, fate)]
            for thing in mine:
                name = _called(thing.iri, thing.label)
                out.append(f"- **{fate}** {name}")
                if fate == "changed":
                    out += [f"  - {each.words}" for each in statements(found, thing)]
            out += _more(found.kinds[kind][fate] - len(mine), fate)
        out.append("")
    if found.rules:
        out.append("## Inferred statements\n")
    for rule in sorted(found.rules):
        out.append(f"- {rule}: {found.rules[rule]['gained']:,} gained, {found.rules[rule]['lost']:,} lost")
        for fate in ("gained", "lost"):
            mine_ = [line for name, way, line in found.inferences if (name, way) == (rule, fate)]
            out += [f"  - {'+' if fate == 'gained' else '-'} {inference(found, line)}" for line in mine_]
            out += [f"  {words}" for words in _more(found.rules[rule][fate] - len(mine_), fate)]
    return "\n".join(out).rstrip("\n") + "\n"


def _ordered(kinds: Iterable[str]) -> list[str]:
    known = list(_HEADINGS)
    return sorted(kinds, key=lambda kind: (known.index(kind) if kind in known else len(known), kind))


def heading(kind: str) -> str:
    """What a kind of thing is called in a heading."""
    return _HEADINGS.get(kind, kind.capitalize())


def _called(iri: str, label: str) -> str:
    short = compress(iri)
    return f"{label} (`{short}`)" if label else f"`{short}`"


def _more(count: int, fate: str) -> list[str]:
    return [f"- and {count:,} more {fate}"] if count > 0 else []


@dataclass(frozen=True)
class PropertyChange:
    """What a property of a thing says no more, and says now, in words. Both empty: said in other graphs."""

    iri: str
    label: str
    gone: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def words(self) -> str:
        """A sentence."""
        gone, new = ", ".join(self.gone), ", ".join(self.new)
        if gone and new:
            return f"{self.label}: {gone} became {new}"
        if new:
            return f"{self.label}: {new} is new"
        return f"{self.label}: {gone} is gone" if gone else f"{self.label}: is said in other graphs"


def statements(found: Changes, thing: Thing) -> list[PropertyChange]:
    """What changed of a thing, by property."""
    by_property: dict[str, tuple[set[str], set[str]]] = {}
    for place, lines in enumerate((thing.removed, thing.added)):
        for line in lines:
            quad = _quad(line)
            by_property.setdefault(quad.predicate.value, (set(), set()))[place].add(
                _value(found, quad.object)
            )
    return [
        PropertyChange(
            predicate,
            found.labels.get(predicate) or compress(predicate),
            _sorted(old - new),
            _sorted(new - old),
        )
        for predicate, (old, new) in sorted(by_property.items())
    ]


def _sorted(values: set[str]) -> tuple[str, ...]:
    return tuple(sorted(values))


def inference(found: Changes, line: bytes) -> str:
    """An inferred statement in words."""
    quad = _quad(line)
    return " ".join(_value(found, term) for term in (quad.subject, quad.predicate, quad.object))


def _value(found: Changes, term: object) -> str:
    if isinstance(term, NamedNode):
        return found.labels.get(term.value) or f"`{compress(term.value)}`"
    if isinstance(term, Text):
        short = re.sub(r"\s+", " ", term.value)
        short = short if len(short) <= 120 else short[:119] + "…"
        return f'"{short}"' + (f"@{term.language}" if term.language else "")
    return str(term) if isinstance(term, BlankNode) else f"`{term}`"


def as_json(found: Changes) -> str:
    """The changes for programs: counts, the first things with their lines, and inferences."""
    return (
        json.dumps(
            {
                "before": found.before,
                "after": found.after,
                "kinds": {kind: dict(counts) for kind, counts in sorted(found.kinds.items())},
                "inferred": {rule: dict(counts) for rule, counts in sorted(found.rules.items())},
                "itself": dict(found.itself),
                "most": found.most,
                "things": [
                    {
                        "iri": thing.iri,
                        "kind": thing.kind,
                        "change": thing.fate,
                        "label": thing.label,
                        "properties": [asdict(each) for each in statements(found, thing)],
                    }
                    for thing in found.things
                ],
                "inferences": [
                    {"rule": rule, "change": fate, "words": inference(found, line)}
                    for rule, fate, line in found.inferences
                ],
            },
            ensure_ascii=False,
            indent=1,
        )
        + "\n"
    )


def note_changes(snapshot: Snapshot, var: Path) -> None:
    """Write `changes.json` into a snapshot's folder: what changed since the one that is published in `var`.

    Where none is published, or it says the same or is damaged, there is nothing to note.
    """
    try:
        before = current(var)
        if before is None or before.hash == snapshot.hash:
            return
        text = as_json(changes(before, snapshot))
    except SnapshotError:
        return
    (snapshot.folder / NOTED).write_text(text, encoding="utf-8")


def noted_changes(snapshot: Snapshot) -> Mapping[str, Any] | None:
    """What `note_changes` wrote when the snapshot was built, as `as_json` has it; None if nothing."""
    try:
        read: Mapping[str, Any] = json.loads((snapshot.folder / NOTED).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return read


# ----------------------------------------------------------------------------------------- RDF Patch


def write_patch(before: Snapshot, after: Snapshot, file: IO[bytes]) -> int:
    """Write the RDF Patch that makes `after` of `before`; returns how many quads it adds and removes.

    The same two give the same bytes.
    """
    changed = 0
    name = f"{_PATCH_ID}{before.hash[:12]}-{after.hash[:12]}"
    file.write(f'H id <{name}> .\nH from "{before.hash}" .\nH to "{after.hash}" .\nTX .\n'.encode())
    for way, line in _compared(read_lines(before), read_lines(after)):
        if way != "=":
            file.write(way.encode() + b" " + line)
            changed += 1
    file.write(b"TC .\n")
    return changed


def patched(lines: Iterable[bytes], patch: Iterable[bytes]) -> Iterator[bytes]:
    """Sorted lines with a sorted patch applied, as `write_patch` writes it.

    Raises SnapshotError naming the patch's line that does not fit: one to remove that is not there, one to
    add that is, one out of order, or a patch that ends before its commit (`TC`); and at the end, where what
    was read or came out is not the snapshot that the patch names, so that it is no copy of one.
    """
    read, made, named = hashlib.sha256(), hashlib.sha256(), dict[bytes, str]()

    def headed() -> Iterator[bytes]:
        for entry in patch:
            if found := _PATCH_HASH.match(entry):
                named[found[1]] = found[2].decode()
            yield entry

    def noted() -> Iterator[bytes]:
        for line in lines:
            read.update(line)
            yield line

    for line in _applied(noted(), headed()):
        made.update(line)
        yield line
    for which, digest in ((b"from", read.hexdigest()), (b"to", made.hexdigest())):
        if named.get(which, digest) != digest:
            what = "is applied to" if which == b"from" else "gives"
            raise SnapshotError(
                f"the patch {what} another graph than it says: {digest[:12]}, not {named[which][:12]}. Throw "
                "away what was written, and apply it to the snapshot that it names"
            )


def _applied(lines: Iterable[bytes], patch: Iterable[bytes]) -> Iterator[bytes]:
    old = iter(lines)
    here = next(old, None)
    number, last, committed = 0, b"", False
    for number, entry in enumerate(patch, 1):
        way, _, line = entry.partition(b" ")
        if way in (b"H", b"TX"):
            continue
        if way == b"TC":
            committed = True
            break
        if way not in (b"A", b"D"):
            raise _unfit(number, f"{entry[:60].decode('utf-8', 'replace')!r} is no line of an RDF Patch")
        if line < last:
            raise _unfit(number, "is out of order; patches are sorted as snapshots are")
        last = line
        while here is not None and here < line:
            yield here
            here = next(old, None)
        if (way == b"D") != (here == line):
            missing = "is to be removed and is not there" if way == b"D" else "is to be added and is there"
            raise _unfit(number, f"the statement {missing}; the patch is for another snapshot")
        if way == b"A":
            yield line
        else:
            here = next(old, None)
    if not committed:
        raise _unfit(number, "the patch ends before its commit (TC); copy it again")
    while here is not None:
        yield here
        here = next(old, None)


def _unfit(number: int, problem: str) -> SnapshotError:
    return SnapshotError(f"patch, line {number}: {problem}")
