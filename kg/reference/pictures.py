"""Pictures of the main patterns, drawn as SVG from statements that stand in a graph.

Hides the form of a declaration (`docs/diagrams/<name>.toml`), where an arrow meets a box, and colours. A
declaration places boxes and names edges; labels, kinds and what is inferred come from the graph, and an edge
the graph does not state is refused:

    title = "Product"
    description = "One sentence that says what is to be seen."
    edges = ["product RO:0002248 cell"]          # box, property ("a" is a type), box
    [boxes]
    product = {term = "product:uc-msc", at = [110, 60]}     # the centre, in pixels
    percent = {value = "25", at = [400, 60]}                # a literal
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from pyoxigraph import Literal, NamedNode, Quad

from kg.errors import OntologyError
from kg.terms import BASE, OWL, RDF, RDFS, STROMA, compress, expand

_STYLE = """
svg { --ink: #1d2430; --soft: #5b6676; --paper: #ffffff; --inferred: #a04d00; --class: #e3edfb;
  --classline: #2f6fb7; --thing: #ffffff; --thingline: #7a8696; --word: #e5f4ea; --wordline: #2f8050; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e4e8ee; --soft: #a3afbf; --paper: #14181f; --inferred: #f0b26b; --class: #1b2f4a;
    --classline: #6ea8ea; --thing: #1c222b; --thingline: #8793a3; --word: #17332a; --wordline: #62b98a; }
}
.paper { fill: var(--paper); }
text { font: 13px system-ui, "Noto Sans", "Helvetica Neue", Arial, sans-serif; text-anchor: middle;
  fill: var(--ink); }
.id { font: 10.5px ui-monospace, Consolas, "Liberation Mono", monospace; fill: var(--soft); }
.box { stroke-width: 1.4; }
.class { fill: var(--class); stroke: var(--classline); }
.thing { fill: var(--thing); stroke: var(--thingline); }
.word { fill: var(--word); stroke: var(--wordline); }
.value { fill: none; stroke: none; }
.edge { stroke: var(--soft); stroke-width: 1.3; fill: none; }
.edge.inferred { stroke: var(--inferred); stroke-dasharray: 5 4; }
.head { fill: var(--soft); }
.head.inferred { fill: var(--inferred); }
.says { font-size: 11.5px; fill: var(--soft); }
.says.inferred { fill: var(--inferred); }
"""
_NAMES = {RDF.type: "is a", RDFS.subClassOf: "subclass of"}
_LINE, _PADDING, _WIDEST = 16, 11, 27  # pixels, pixels, characters
_MARGIN = 14  # pixels
_INFERRED = BASE + "graph/inferred/"


@dataclass(frozen=True)
class Box:
    """A node of a picture: a term, or a literal's text, and its centre in pixels."""

    name: str
    term: NamedNode | None
    value: str
    at: tuple[float, float]


@dataclass(frozen=True)
class Edge:
    """A statement of a picture, between boxes; `label_at` is the label's place on the arrow (0 to 1)."""

    subject: str
    predicate: NamedNode
    object: str
    label_at: float = 0.5


@dataclass(frozen=True)
class Picture:
    """A declaration as read; `file` is where its SVG stands."""

    name: str
    title: str
    description: str
    boxes: Mapping[str, Box]
    edges: tuple[Edge, ...]
    file: Path

    def terms(self) -> frozenset[NamedNode]:
        """Every term in a box or on an edge."""
        shown = {box.term for box in self.boxes.values() if box.term is not None}
        return frozenset(shown | {edge.predicate for edge in self.edges})


def read_pictures(folder: Path) -> tuple[Picture, ...]:
    """The declarations of a folder, in order of name. Raises OntologyError naming file and entry."""
    return tuple(_read(path) for path in sorted(folder.glob("*.toml")))


def _read(path: Path) -> Picture:
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
        boxes = {
            name: Box(
                name,
                expand(box["term"]) if "term" in box else None,
                str(box.get("value", "")),
                (float(box["at"][0]), float(box["at"][1])),
            )
            for name, box in said["boxes"].items()
        }
        edges = tuple(_edge(entry) for entry in said["edges"])
        title, description = said["title"], said["description"]
    except (tomllib.TOMLDecodeError, KeyError, ValueError, TypeError) as problem:
        raise OntologyError(
            f"{path}: does not read as a picture: {problem}; see kg/reference/pictures.py"
        ) from (problem)
    for edge in edges:
        for end in (edge.subject, edge.object):
            if end not in boxes:
                raise OntologyError(
                    f"{path}: an edge names the box {end!r}, which is not in [boxes]; place it"
                )
    return Picture(path.stem, title, description, boxes, edges, path.with_suffix(".svg"))


def _edge(entry: str) -> Edge:
    subject, predicate, object_, *place = entry.split()
    named = RDF.type if predicate == "a" else expand(predicate)
    return Edge(subject, named, object_, float(place[0].removeprefix("@")) if place else 0.5)


def draw_all(pictures: Iterable[Picture], quads: Iterable[Quad]) -> dict[Path, str]:
    """The SVG text of each picture by file, from the statements of a graph (`quads`, read once).

    Raises OntologyError for an edge that the graph does not state, naming the picture and the edge.
    """
    wanted = tuple(pictures)
    known = _Known(frozenset().union(*(picture.terms() for picture in wanted)), quads)
    return {picture.file: _svg(picture, known) for picture in wanted}


class _Known:
    """What the graph says of the terms that are drawn."""

    def __init__(self, shown: frozenset[NamedNode], quads: Iterable[Quad]) -> None:
        self.classes: set[NamedNode] = set()
        self.graphs: dict[tuple[NamedNode, NamedNode, object], set[str]] = {}
        self._labels: dict[NamedNode, str] = {}
        self._types: dict[NamedNode, list[NamedNode]] = {}
        for quad in quads:
            s, p, o = quad.subject, quad.predicate, quad.object
            if not isinstance(s, NamedNode):
                continue
            if p == RDFS.label and isinstance(o, Literal) and o.language in (None, "en"):
                self._labels[s] = min(o.value, self._labels.get(s, o.value))
            if s not in shown:
                continue
            graph = quad.graph_name.value if isinstance(quad.graph_name, NamedNode) else ""
            if p == RDF.type and o == OWL.Class:
                self.classes.add(s)
            elif p == RDF.type and isinstance(o, NamedNode) and not graph.startswith(_INFERRED):
                self._types.setdefault(s, []).append(o)
            value = o.value if isinstance(o, Literal) else o
            self.graphs.setdefault((s, p, value), set()).add(graph)

    def label(self, term: NamedNode) -> str:
        """A term's English label; of a thing without one, that of its kind."""
        named = _NAMES.get(term) or self._labels.get(term)
        kinds = sorted(self._labels[kind] for kind in self._types.get(term, ()) if kind in self._labels)
        return named or (kinds[0] if kinds else compress(term.value))


def _svg(picture: Picture, known: _Known) -> str:
    frames = {name: _Frame.of(box, known) for name, box in picture.boxes.items()}
    left = min(frame.x - frame.width / 2 for frame in frames.values()) - _MARGIN
    top = min(frame.y - frame.height / 2 for frame in frames.values()) - _MARGIN
    width = max(frame.x + frame.width / 2 for frame in frames.values()) + _MARGIN - left
    height = max(frame.y + frame.height / 2 for frame in frames.values()) + _MARGIN - top
    drawn = [_drawn(picture, edge, frames, known) for edge in picture.edges]
    sentences = " ".join(sentence for _, _, sentence in drawn)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left:.0f} {top:.0f} {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(picture.title)}</title>',
        f'<desc id="description">{escape(picture.description)} {escape(sentences)}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" x="{left:.0f}" y="{top:.0f}" width="100%" height="100%"/>',
        *(line for line, _, _ in drawn),
        *(line for frame in frames.values() for line in frame.lines()),
        *(label for _, label, _ in drawn),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


@dataclass(frozen=True)
class _Frame:
    """A box as drawn: its lines of text, its kind, its place."""

    label: tuple[str, ...]
    id: str
    kind: str
    x: float
    y: float

    @classmethod
    def of(cls, box: Box, known: _Known) -> _Frame:
        if box.term is None:
            return cls(_wrapped(f'"{box.value}"'), "", "value", *box.at)
        kind = "class" if box.term in known.classes else "thing"
        if kind == "thing" and box.term.value.startswith(STROMA("").value):
            kind = "word"  # an individual of the vocabulary
        name = compress(box.term.value)
        shown = name if len(name) <= 34 else f"{name[:20]}…{name[-13:]}"
        return cls(_wrapped(known.label(box.term)), shown, kind, *box.at)

    @property
    def width(self) -> float:
        return max(*(7.1 * len(line) for line in self.label), 6.4 * len(self.id), 30) + 2 * _PADDING

    @property
    def height(self) -> float:
        return _LINE * (len(self.label) + bool(self.id)) + 12

    def lines(self) -> Iterator[str]:
        left, top = self.x - self.width / 2, self.y - self.height / 2
        radius = 12 if self.kind == "class" else 3
        yield (
            f'<rect class="box {self.kind}" x="{left:.1f}" y="{top:.1f}" width="{self.width:.1f}" '
            f'height="{self.height:.1f}" rx="{radius}"/>'
        )
        for number, line in enumerate(self.label):
            yield f'<text x="{self.x:.1f}" y="{top + 18 + _LINE * number:.1f}">{escape(line)}</text>'
        if self.id:
            below = top + 18 + _LINE * len(self.label)
            yield f'<text class="id" x="{self.x:.1f}" y="{below:.1f}">{escape(self.id)}</text>'

    def border(self, x: float, y: float) -> tuple[float, float]:
        """Where the line from the centre to a point leaves the box."""
        dx, dy = x - self.x, y - self.y
        scale = min(
            (self.width / 2 + 2) / abs(dx) if dx else float("inf"),
            (self.height / 2 + 2) / abs(dy) if dy else float("inf"),
        )
        return self.x + dx * scale, self.y + dy * scale


def _wrapped(text: str) -> tuple[str, ...]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _WIDEST:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return tuple(lines)


def _drawn(picture: Picture, edge: Edge, frames: Mapping[str, _Frame], known: _Known) -> tuple[str, str, str]:
    """An edge's arrow, its label, and the sentence it states."""
    source, target = picture.boxes[edge.subject], picture.boxes[edge.object]
    if source.term is None:
        raise OntologyError(f"{picture.name}: the literal {edge.subject!r} can be no subject; turn the edge")
    value: object = target.value if target.term is None else target.term
    graphs = known.graphs.get((source.term, edge.predicate, value))
    if graphs is None:
        told = f"{compress(source.term.value)} {compress(edge.predicate.value)} "
        told += target.value if target.term is None else compress(target.term.value)
        raise OntologyError(
            f"{picture.file.with_suffix('.toml')}: no graph states <{told}>; correct the edge or the graph"
        )
    inferred = all(graph.startswith(_INFERRED) for graph in graphs)
    style = " inferred" if inferred else ""
    start, end = frames[edge.subject], frames[edge.object]
    x1, y1 = start.border(end.x, end.y)
    x2, y2 = end.border(start.x, start.y)
    length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1.0)
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    bx, by = x2 - 8 * ux, y2 - 8 * uy
    head = f"{x2:.1f},{y2:.1f} {bx - 4 * uy:.1f},{by + 4 * ux:.1f} {bx + 4 * uy:.1f},{by - 4 * ux:.1f}"
    arrow = (
        f'<path class="edge{style}" d="M{x1:.1f},{y1:.1f} L{bx:.1f},{by:.1f}"/>'
        f'<polygon class="head{style}" points="{head}"/>'
    )
    name = known.label(edge.predicate)
    x, y = x1 + (x2 - x1) * edge.label_at, y1 + (y2 - y1) * edge.label_at + 4
    half = 2.95 * len(name) + 4  # the text's width is estimated: a file cannot measure a reader's font
    label = (
        f'<rect class="paper" x="{x - half:.1f}" y="{y - 12:.1f}" width="{2 * half:.1f}" height="16"/>'
        f'<text class="says{style}" x="{x:.1f}" y="{y:.1f}">{escape(name)}</text>'
    )
    spoken = f"{' '.join(start.label)} – {name} – {' '.join(end.label)}{' (inferred)' if inferred else ''}."
    return arrow, label, spoken
