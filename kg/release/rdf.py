"""RDF as text that never changes without cause: Turtle as people write it, RDF/XML, and how both are read.

Hides the parser, the order of statements, and blank nodes: each is written where it is used, so none has a
label. Literals keep their lexical form and language tags their case, which no store does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pyoxigraph
from pyoxigraph import BlankNode, NamedNode, RdfFormat
from rdflib import OWL, RDF, RDFS, SKOS, XSD, BNode, Graph, Literal, URIRef
from rdflib.term import Node

from kg.errors import OntologyError
from kg.terms import compress, prefixes

OBO = "http://purl.obolibrary.org/obo/"
# What a reader looks for first comes first; other predicates follow by name.
_FIRST = [
    RDF.type,
    OWL.versionIRI,
    OWL.onProperty,
    OWL.annotatedSource,
    OWL.annotatedProperty,
    OWL.annotatedTarget,
    RDFS.subClassOf,
    OWL.equivalentClass,
    OWL.disjointWith,
    RDFS.subPropertyOf,
    OWL.propertyChainAxiom,
    OWL.inverseOf,
    RDFS.label,
    SKOS.prefLabel,
    SKOS.altLabel,
    SKOS.hiddenLabel,
    URIRef(OBO + "IAO_0000115"),
    URIRef(OBO + "IAO_0000119"),
]
_RANK = {predicate: number for number, predicate in enumerate(_FIRST)}
_SECTIONS = [
    (OWL.Ontology, "ontology"),
    (OWL.AnnotationProperty, "annotation properties"),
    (OWL.ObjectProperty, "object properties"),
    (OWL.DatatypeProperty, "data properties"),
    (OWL.Class, "classes"),
    (OWL.NamedIndividual, "individuals"),
]
_LOCAL = re.compile(r"[A-Za-z0-9_](?:[\w\-]*[A-Za-z0-9_])?", re.ASCII)
_XML_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")
_BARE = {
    XSD.integer: re.compile(r"[+-]?\d+"),
    XSD.decimal: re.compile(r"[+-]?\d*\.\d+"),
    XSD.boolean: re.compile(r"true|false"),
}
_WIDTH = 100
_FORMATS = {"turtle": RdfFormat.TURTLE, "xml": RdfFormat.RDF_XML}


def parse(text: str | bytes, format: str, place: str) -> Graph:
    """The graph of a text in "turtle" or "xml": lexical forms as written, tags in the case of RFC 5646.

    Raises OntologyError naming `place`, and line and column where the parser gives them.
    """
    # rdflib's parser reads the Turtle 0089 as 89; this one keeps it, but writes zh-Hans as zh-hans.
    graph = Graph(bind_namespaces="none")
    reader = pyoxigraph.parse(text, format=_FORMATS[format], rename_blank_nodes=True)
    try:
        for quad in reader:
            assert isinstance(quad.subject, (NamedNode, BlankNode))
            graph.add((_node(quad.subject), URIRef(quad.predicate.value), _node(quad.object)))
    except SyntaxError as problem:
        line = f", line {problem.lineno}, column {problem.offset}" if problem.lineno else ""
        raise OntologyError(f"{place}{line}: {problem.msg}. Mend the file and try again") from problem
    for prefix, iri in reader.prefixes.items():
        graph.bind(prefix, iri)
    return graph


def _node(term: object) -> Node:
    if isinstance(term, NamedNode):
        return URIRef(term.value)
    if isinstance(term, BlankNode):
        return BNode(term.value)
    assert isinstance(term, pyoxigraph.Literal)
    if term.language:
        return Literal(term.value, lang=_tag(term.language))
    datatype = URIRef(term.datatype.value)
    return Literal(term.value, datatype=None if datatype == XSD.string else datatype, normalize=False)


def _tag(language: str) -> str:
    """A language tag in the case RFC 5646 recommends: zh-Hans-CN."""
    first, *rest = language.lower().split("-")
    sized = {4: str.title, 2: str.upper}
    return "-".join([first, *(sized.get(len(part), str.lower)(part) for part in rest)])


def parse_file(path: Path) -> Graph:
    """The graph of a Turtle file; errors as `parse`, and OntologyError for a file that cannot be read."""
    try:
        return parse(path.read_bytes(), "turtle", path.name)
    except OSError as problem:
        raise OntologyError(f"{path}: cannot be read ({problem.strerror}). Check that it exists") from problem


class Tree:
    """A graph whose blank nodes are each used in one place, which OWL and SHACL promise of theirs.

    Two blank nodes that say the same of the same subject are one. Raises OntologyError for a cycle of them.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._keys: dict[Node, str] = {}
        self._open: set[Node] = set()

    def key(self, node: Node) -> str:
        """A text that is the same for the same term, whatever a blank node's label."""
        if not isinstance(node, BNode):
            return node.n3()
        if node not in self._keys:
            if node in self._open:
                raise OntologyError(
                    "a blank node contains itself, which OWL does not allow. Give the node an IRI"
                )
            self._open.add(node)
            self._keys[node] = f"[{' ; '.join(f'{p.n3()} {self.key(o)}' for p, o in self._pairs(node))}]"
            self._open.discard(node)
        return self._keys[node]

    def _pairs(self, node: Node) -> list[tuple[Node, Node]]:
        return sorted(self.graph.predicate_objects(node), key=lambda pair: (pair[0].n3(), self.key(pair[1])))

    def statements(self, node: Node) -> list[tuple[URIRef, list[Node]]]:
        """What is said of a node: predicates in the order a reader expects, each with its objects."""
        found: dict[URIRef, dict[str, Node]] = {}
        for predicate, value in self.graph.predicate_objects(node):
            assert isinstance(predicate, URIRef)
            found.setdefault(predicate, {})[self.key(value)] = value
        ranked = sorted(found, key=lambda p: (_RANK.get(p, len(_RANK)), p))
        return [
            (p, [found[p][key] for key in sorted(found[p], key=lambda k: self._order(found[p][k]))])
            for p in ranked
        ]

    def _order(self, node: Node) -> tuple[int, str, str]:
        """Terms before blank nodes; literals by language."""
        language = node.language or "" if isinstance(node, Literal) else ""
        return (isinstance(node, BNode), language, self.key(node))

    def items(self, node: Node) -> list[Node] | None:
        """The members of an RDF list; None for a node that is none."""
        if node == RDF.nil:
            return []
        members: list[Node] = []
        while isinstance(node, BNode) and (first := self.graph.value(node, RDF.first)) is not None:
            members.append(first)
            rest = self.graph.value(node, RDF.rest)
            if rest == RDF.nil:
                return members
            assert rest is not None
            node = rest
        return None

    @cached_property
    def roots(self) -> list[Node]:
        """The subjects that stand for themselves: IRIs in order, then blank nodes nothing refers to."""
        used = {value for value in self.graph.objects() if isinstance(value, BNode)}
        subjects = set(self.graph.subjects())
        loose = {self.key(s): s for s in subjects if isinstance(s, BNode) and s not in used}
        for node in subjects & used:
            self.key(node)  # finds a cycle
        return [*sorted(s for s in subjects if isinstance(s, URIRef)), *(loose[key] for key in sorted(loose))]


def namespaces() -> dict[str, str]:
    """The prefixes of released files: those of vocabularies; public OBO terms all under `obo`."""
    chosen = {
        prefix: iri
        for prefix, iri in prefixes().items()
        if not iri.startswith(OBO) and not iri.startswith("https://w3id.org/stroma/")
    }
    ours = {prefix: prefixes()[prefix] for prefix in ("stroma", "shape")}
    return dict(sorted((chosen | ours | {"obo": OBO}).items(), key=lambda pair: pair[0].lower()))


def curie(iri: str) -> str:
    """An IRI as people write it in text: a CURIE where a prefix is known, else the IRI in angle brackets."""
    short = compress(iri)
    return f"<{iri}>" if short == iri else short


class Names:
    """Short names of IRIs, and which prefixes were used."""

    def __init__(self) -> None:
        self._spaces = sorted(namespaces().items(), key=lambda pair: -len(pair[1]))
        self.used: set[str] = set()

    def short(self, iri: str) -> str:
        for prefix, space in self._spaces:
            if iri.startswith(space) and _LOCAL.fullmatch(iri[len(space) :]):
                self.used.add(prefix)
                return f"{prefix}:{iri[len(space) :]}"
        return f"<{iri}>"


# --- Turtle


def turtle(graph: Graph) -> str:
    """A graph as Turtle: terms by kind and name, blank nodes in place, the same text for the same graph."""
    tree, names = Tree(graph), Names()
    blocks: list[str] = []
    left = list(tree.roots)
    for kind, title in _SECTIONS:
        chosen = [s for s in left if isinstance(s, URIRef) and (s, RDF.type, kind) in graph]
        taken = set(chosen)
        left = [s for s in left if s not in taken]
        if chosen:
            blocks.append(f"#### {title}")
            blocks += [_block(tree, names, subject) for subject in chosen]
    if left:
        blocks.append("#### statements about several terms" if blocks else "#### terms")
        blocks += [_block(tree, names, subject) for subject in left]
    spaces = namespaces()
    heading = "".join(f"@prefix {p}: <{spaces[p]}> .\n" for p in spaces if p in names.used)
    return heading + "\n" + "\n\n".join(blocks) + "\n"


def _block(tree: Tree, names: Names, subject: Node) -> str:
    head = "[]" if isinstance(subject, BNode) else names.short(str(subject))
    return f"{head} {_predicates(tree, names, subject, 1)} ."


def _predicates(tree: Tree, names: Names, subject: Node, depth: int) -> str:
    pad = "    " * depth
    parts = []
    for predicate, values in tree.statements(subject):
        verb = "a" if predicate == RDF.type else names.short(predicate)
        texts = [_term(tree, names, value, depth + (len(values) > 1)) for value in values]
        line = f"{verb} {' , '.join(texts)}"
        if len(texts) > 1 and (len(line) > _WIDTH or "\n" in line):
            line = f"{verb}\n{pad}    " + f" ,\n{pad}    ".join(texts)
        parts.append(line)
    return f" ;\n{pad}".join(parts)


def _term(tree: Tree, names: Names, node: Node, depth: int) -> str:
    if isinstance(node, URIRef):
        return names.short(node)
    if isinstance(node, Literal):
        return _literal(node, names)
    items = tree.items(node)
    pad = "    " * depth
    if items is not None:
        texts = [_term(tree, names, item, depth + 1) for item in items]
        line = f"( {' '.join(texts)} )" if texts else "()"
        if len(line) > _WIDTH or "\n" in line:
            line = f"(\n{pad}    " + f"\n{pad}    ".join(texts) + f"\n{pad})"
        return line
    inner = _predicates(tree, names, node, depth + 1)
    flat = re.sub(r" ;\n *", " ; ", inner)
    if "\n" not in flat and len(flat) <= _WIDTH:
        return f"[ {flat} ]"
    return f"[\n{pad}    {inner}\n{pad}]"


def _literal(literal: Literal, names: Names) -> str:
    text = str(literal)
    bare = _BARE.get(literal.datatype) if literal.datatype is not None else None
    if bare is not None and bare.fullmatch(text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r")
    quoted = f'"""{quoted}"""' if "\n" in quoted else f'"{quoted}"'
    if literal.language:
        return f"{quoted}@{literal.language}"
    if literal.datatype is None or literal.datatype == XSD.string:
        return quoted
    return f"{quoted}^^{names.short(literal.datatype)}"


# --- RDF/XML


def rdfxml(graph: Graph) -> str:
    """A graph as RDF/XML, in the order of `turtle`; raises OntologyError for a predicate XML cannot name."""
    tree = Tree(graph)
    spaces = {"rdf": str(RDF)}
    lines = [line for subject in tree.roots for line in _element(tree, spaces, subject, 1)]
    declared = "".join(f'\n    xmlns:{p}="{escape(iri)}"' for p, iri in sorted(spaces.items()))
    body = "\n".join(lines)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<rdf:RDF{declared}>\n{body}\n</rdf:RDF>\n'


def _name(spaces: dict[str, str], iri: str) -> str:
    """The qualified name of an IRI; notes its namespace."""
    for prefix, space in namespaces().items():
        if iri.startswith(space) and _XML_NAME.fullmatch(iri[len(space) :]):
            spaces[prefix] = space
            return f"{prefix}:{iri[len(space) :]}"
    match = re.fullmatch(rf"(.*[/#:])({_XML_NAME.pattern})", iri)
    if match is None:
        raise OntologyError(f"<{iri}>: RDF/XML cannot name this property. Give it an IRI that ends in a name")
    space, local = match.groups()
    prefix = next((p for p, known in spaces.items() if known == space), f"ns{len(spaces)}")
    spaces[prefix] = space
    return f"{prefix}:{local}"


def _element(tree: Tree, spaces: dict[str, str], node: Node, depth: int) -> Iterator[str]:
    pad = "    " * depth
    about = f" rdf:about={quoteattr(str(node))}" if isinstance(node, URIRef) else ""
    statements = tree.statements(node)
    kind = "rdf:Description"
    if statements and statements[0][0] == RDF.type:
        vocabulary = [t for t in statements[0][1] if str(t).startswith(str(OWL)) or t == RDFS.Datatype]
        if vocabulary:
            kind = _name(spaces, str(vocabulary[0]))
            rest = [t for t in statements[0][1] if t != vocabulary[0]]
            statements = [(RDF.type, rest), *statements[1:]] if rest else statements[1:]
    if not statements:
        yield f"{pad}<{kind}{about}/>"
        return
    yield f"{pad}<{kind}{about}>"
    for predicate, values in statements:
        name = _name(spaces, predicate)
        for value in values:
            yield from _property(tree, spaces, name, value, depth + 1)
    yield f"{pad}</{kind}>"


def _property(tree: Tree, spaces: dict[str, str], name: str, value: Node, depth: int) -> Iterator[str]:
    pad = "    " * depth
    if isinstance(value, URIRef):
        yield f"{pad}<{name} rdf:resource={quoteattr(str(value))}/>"
    elif isinstance(value, Literal):
        mark = f' xml:lang="{value.language}"' if value.language else ""
        if value.datatype is not None and value.datatype != XSD.string:
            mark = f" rdf:datatype={quoteattr(str(value.datatype))}"
        text = escape(str(value), {"\r": "&#13;"})
        yield f"{pad}<{name}{mark}>{text}</{name}>"
    else:
        items = tree.items(value)
        collection = items is not None and not any(isinstance(item, Literal) for item in items)
        yield f'{pad}<{name} rdf:parseType="Collection">' if collection else f"{pad}<{name}>"
        for item in (items or []) if collection else [value]:
            if isinstance(item, URIRef):
                yield f"{pad}    <rdf:Description rdf:about={quoteattr(str(item))}/>"
            else:
                yield from _element(tree, spaces, item, depth + 1)
        yield f"{pad}</{name}>"
