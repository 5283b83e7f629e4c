"""Nanopublications: claims written as such, judged by the `nanopub` library; and those of others, read."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from base64 import encodebytes
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from Crypto.PublicKey import RSA
from hypothesis import given, settings
from hypothesis import strategies as st
from nanopub import Nanopub, NanopubConf
from nanopub.namespaces import NPX as LIBRARY_NPX
from nanopub.profile import Profile
from pyoxigraph import Literal, NamedNode, Quad, RdfFormat, parse, serialize
from rdflib import ConjunctiveGraph, Dataset, Graph, URIRef
from rdflib import Literal as RdflibLiteral
from rdflib.plugins.sparql import prepareQuery

from kg.build import build
from kg.errors import OntologyError, SourceError, UsageError
from kg.evidence.nanopub import Claims, Nanopublication, trig
from kg.parts import Account
from kg.settings import Settings
from kg.snapshot import Snapshot, current, read_lines
from kg.terms import DCTERMS, PROV, RDF, RDFS, ROOT, STROMA, artifact_code, expand, mint
from loaders import catalog
from loaders.claims import stated

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of rdflib, in the library


@pytest.fixture(scope="module")
def claims(embedded: Snapshot) -> Claims:
    return Claims(read_lines(embedded))


@pytest.fixture(scope="module")
def every(claims: Claims) -> list[Nanopublication]:
    return list(claims.values())


# ------------------------------------------------------------------------------- the library's verdict


# Before 2.1, which needs Python 3.12, the library takes the older class.
Quads: Any = ConjunctiveGraph if version("nanopub").startswith("2.0.") else Dataset


class Parsed(Quads):
    """A graph that parses the library's one query once, and not a thousand times."""

    def query(self, text: Any, *arguments: Any, **options: Any) -> Any:
        return super().query(prepared(text), *arguments, **options)


@lru_cache
def prepared(text: str) -> Any:
    return prepareQuery(text, initNs={"npx": LIBRARY_NPX})


def judged(nanopub: Nanopublication) -> Nanopub:
    graph = Parsed()
    graph.parse(data=serialize(nanopub.quads, format=RdfFormat.N_QUADS), format="nquads")
    return Nanopub(rdf=graph)


def test_the_library_finds_every_formalised_claim_valid_and_its_iri_trusty(
    claims: Claims, every: list[Nanopublication], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the library asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    formalised = [each for each in every if not claims.is_text(each.claim)]
    assert len(formalised) > 1_000
    for each in formalised:
        found = judged(each)
        assert found.is_valid, each.claim
        assert found.has_valid_trusty, each.claim
        assert found.source_uri == each.iri.value


def test_a_text_claim_is_a_valid_nanopublication_too(claims: Claims, every: list[Nanopublication]) -> None:
    text = [each for each in every if claims.is_text(each.claim)]
    assert len(text) > 20
    for each in text[::10]:
        assert judged(each).is_valid
        assert judged(each).has_valid_trusty


def test_the_library_reads_the_trig_we_write(claims: Claims) -> None:
    graph = Parsed()
    graph.parse(data=trig([claims[mint("claim", "C047")]]), format="trig")
    found = Nanopub(rdf=graph)
    assert found.is_valid
    assert found.has_valid_trusty
    assert not found.metadata.signature
    assert len(found.assertion) == 6  # a proposition of five triples, and its plain edge


# ------------------------------------------------------------------------------------ what is written


def part(nanopub: Nanopublication, name: str) -> set[tuple[object, object, object]]:
    graph = NamedNode(f"{nanopub.iri.value}#{name}")
    return {(q.subject, q.predicate, q.object) for q in nanopub.quads if q.graph_name == graph}


def test_the_provenance_points_at_the_characters_of_the_document(claims: Claims) -> None:
    # Document 002, line 17: that interferon gamma can activate MSC beforehand.
    claim, span = mint("claim", "C047"), mint("span", "C047")
    said = part(claims[claim], "provenance")
    assert (span, STROMA.inDocument, mint("document", "002")) in said
    assert (span, STROMA.lineNumber, Literal(17)) in said
    assert {p for s, p, _ in said if s == span} >= {STROMA.startOffset, STROMA.endOffset, STROMA.sha256}
    digest_of = NamedNode("https://doi.org/10.1186/s13287-025-04772-x")
    assert (mint("document", "002"), PROV.wasDerivedFrom, digest_of) in said


def test_the_publication_info_names_licence_date_and_an_organisation(claims: Claims) -> None:
    nanopub = claims[mint("claim", "C047")]
    said = {(p, o) for s, p, o in part(nanopub, "pubinfo") if s == nanopub.iri}
    licence = NamedNode("https://creativecommons.org/licenses/by/4.0/")
    assert (DCTERMS.license, licence) in said
    assert (DCTERMS.creator, mint("organization", "stroma")) in said
    dates = {o.value for p, o in said if p == PROV.generatedAtTime and isinstance(o, Literal)}
    assert dates == {"2026-11-22T00:00:00Z"}  # the version of the source, not the time of the export


def test_what_is_hedged_recommended_or_denied_is_no_plain_edge(every: list[Nanopublication]) -> None:
    firm, soft = 0, 0
    for nanopub in every:
        asserted = (nanopub.claim, STROMA.modality, STROMA.ModalityAsserted) in part(nanopub, "provenance")
        edges = part(nanopub, "assertion")
        for *edge, positive in stated(nanopub.quads):
            stands = asserted and positive
            assert (tuple(edge) in edges) == stands, nanopub.claim
            firm, soft = firm + stands, soft + (not stands)
    assert firm > 2_000
    assert soft > 50


def test_a_number_comes_with_what_it_is_a_number_of_and_as_it_was_printed(claims: Claims) -> None:
    # Document 001, line 49: 39.3 % in low disease activity at month 12; B-claims give values singly.
    about = mint("observation", "001-28-yang2025-msc-DAS28ESR-0m")
    nanopub = next(n for n in claims.values() if any(q.subject == about for q in n.quads))
    said = {(p, o) for s, p, o in part(nanopub, "assertion") if s == about}
    assert (STROMA.forMeasure, STROMA.MeasureDAS28ESR) in said
    assert (RDF.type, STROMA.BaselineObservation) in said
    printed = {
        quad.object.value
        for quad in parse(trig(claims.values()), format=RdfFormat.TRIG)
        if isinstance(quad.object, Literal) and quad.predicate == STROMA.propositionObject
    }
    assert {"5.70", "46.59"} <= printed  # a store would say 5.7


def test_a_nanopublication_does_not_change_with_what_else_is_in_the_graph(embedded: Snapshot) -> None:
    lines = list(read_lines(embedded))
    claim = mint("claim", "C047")
    others = [line for line in lines if b"/claim/A" not in line]
    assert len(others) < len(lines)
    random.Random(1).shuffle(others)
    assert trig([Claims(others)[claim]]) == trig([Claims(lines)[claim]])


def test_a_claim_is_found_by_identifier_curie_or_iri_and_a_near_one_is_named(claims: Claims) -> None:
    iri = mint("claim", "C047")
    assert {claims.find(text) for text in ("C047", "claim:C047", iri.value, f"<{iri.value}>")} == {iri}
    for text in ("C0477", "nothing:x", "", "<>", "\x00", "claim:", "x y"):
        with pytest.raises(UsageError, match="there is no claim"):
            claims.find(text)
    with pytest.raises(UsageError, match=r"did you mean .*C047"):
        claims.find("c047")


CODE = "RA" + "x" * 43
TERMS = st.sampled_from([NamedNode(f"https://example.org/{CODE}#{name}") for name in "abc"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LITERALS = TEXTS.map(Literal) | TEXTS.map(lambda text: Literal(text, language="en"))


@settings(deadline=None)
@given(st.lists(st.builds(Quad, TERMS, TERMS, TERMS | LITERALS, TERMS), max_size=6), st.randoms())
def test_a_code_is_that_of_the_set_of_quads_and_of_the_library(
    quads: list[Quad], chance: random.Random
) -> None:
    from nanopub.trustyuri.rdf import RdfHasher, RdfUtils

    shuffled = [*quads, *quads]
    chance.shuffle(shuffled)
    code = artifact_code(quads, CODE)
    assert artifact_code(shuffled, CODE) == code
    graph = Quads()
    graph.parse(data=serialize(quads, format=RdfFormat.N_QUADS), format="nquads")
    base = f"https://example.org/{CODE}#"
    assert RdfHasher.make_hash(RdfUtils.get_quads(graph), " ", base) == code


# ------------------------------------------------------------------------------------ and read again


def load(path: Path) -> list[Quad]:
    return list(catalog.load("nanopubs", [path]).quads)


@pytest.fixture(scope="module")
def exported(every: list[Nanopublication], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nanopubs") / "all.trig"
    path.write_bytes(trig(every))
    return path


@pytest.fixture(scope="module")
def taken_in(exported: Path) -> tuple[list[Quad], Account]:
    part = catalog.load("nanopubs", [exported])
    return list(part.quads), part.account


@pytest.fixture(scope="module")
def imported(taken_in: tuple[list[Quad], Account]) -> list[Quad]:
    return taken_in[0]


def test_what_was_exported_comes_back_as_the_same_propositions(
    embedded: Snapshot, imported: list[Quad]
) -> None:
    wanted = b"".join(line for line in read_lines(embedded) if b"/ontology/p" in line or b"/asserts>" in line)
    quads = list(parse(wanted, format=RdfFormat.N_QUADS))
    claimed = {quad.object for quad in quads if quad.predicate == STROMA.asserts}  # not only found out
    assert stated(imported) == stated(quad for quad in quads if quad.subject in claimed)


def test_no_plain_edge_comes_back_that_no_source_stated(embedded: Snapshot, imported: list[Quad]) -> None:
    stood = {quad.triple for quad in parse(b"".join(read_lines(embedded)), format=RdfFormat.N_QUADS)}
    ours = tuple(mint(kind, "x").value[:-1] for kind in ("claim", "nanopub"))
    new = {
        quad.triple
        for quad in imported
        if isinstance(quad.subject, NamedNode) and not quad.subject.value.startswith(ours)
    }
    assert new <= stood


def test_an_imported_claim_keeps_its_place_its_firmness_and_where_it_came_from(
    claims: Claims, imported: list[Quad]
) -> None:
    hedged = next(n.claim for n in claims.values() if any(q.object == STROMA.ModalityHedged for q in n.quads))
    nanopub = claims[hedged]
    code = nanopub.iri.value.rpartition("/")[2]
    said = {(q.predicate, q.object) for q in imported if q.subject == mint("claim", "nanopubs", code)}
    assert (STROMA.modality, STROMA.ModalityHedged) in said
    assert {nanopub.iri, hedged} <= {o for p, o in said if p == PROV.wasDerivedFrom}
    basis = {o.value for p, o in said if p == STROMA.basis and isinstance(o, Literal)}
    assert any("fits its trusty IRI; it is not signed" in text for text in basis)


def test_every_field_of_ours_is_taken_or_ignored_with_a_reason(taken_in: tuple[list[Quad], Account]) -> None:
    _, account = taken_in
    assert account.unread == {}
    assert account.records > 1_000


# ------------------------------------------------------------------------------------- those of others


KEY = RSA.generate(2048)


def profile(key: RSA.RsaKey = KEY) -> Profile:
    def text(part: RSA.RsaKey) -> str:
        return encodebytes(part.export_key("DER", pkcs=8)).decode().replace("\n", "")

    return Profile(
        name="Nobody", orcid_id="https://orcid.org/0000-0000-0000-0000",
        private_key=text(key), public_key=text(key.public_key()),
    )  # fmt: skip


def made_by_others(
    folder: Path, triples: Iterable[tuple[str, str, str]], *, sign: bool = True, name: str = "foreign.trig"
) -> Path:
    """A nanopublication as the library makes one, signed or not."""
    assertion = Graph()
    for triple in triples:
        assertion.add(tuple(URIRef(term) for term in triple))  # type: ignore[arg-type]
    conf = NanopubConf(
        profile=profile(), derived_from="https://doi.org/10.1000/example",
        attribute_assertion_to_profile=True, attribute_publication_to_profile=True,
    )  # fmt: skip
    found = Nanopub(assertion=assertion, conf=conf)
    found.pubinfo.add((found.metadata.namespace[""], URIRef(RDFS.label.value), RdflibLiteral("A finding")))
    if sign:
        found.sign()
    path = folder / name
    path.write_text(found.rdf.serialize(format="trig"), encoding="utf-8")
    return path


FOREIGN = ("https://example.org/gene", "https://example.org/raises", "https://example.org/protein")
OURS = (expand("PR:000000017").value, STROMA.enhances.value, STROMA.MSCActivation.value)


def test_a_signed_nanopublication_of_others_is_read(tmp_path: Path) -> None:
    quads = load(made_by_others(tmp_path, [FOREIGN]))
    assert [tuple(term.value for term in edge[:3]) for edge in stated(quads)] == [FOREIGN]
    claim = next(q.subject for q in quads if q.predicate == STROMA.asserts)
    said = {(q.predicate, q.object) for q in quads if q.subject == claim}
    assert (STROMA.claimText, Literal("A finding", language="en")) in said
    assert (PROV.wasDerivedFrom, NamedNode("https://doi.org/10.1000/example")) in said
    assert any(
        "its signature holds" in o.value for p, o in said if p == STROMA.basis and isinstance(o, Literal)
    )


def test_the_person_who_made_it_stays_out_and_that_is_told(tmp_path: Path) -> None:
    part = catalog.load("nanopubs", [made_by_others(tmp_path, [FOREIGN])])
    assert "orcid" not in " ".join(map(str, part.quads))
    assert any("a person" in what for what in part.account.left_out)


def edges_of(quads: list[Quad], triple: tuple[str, str, str]) -> list[Quad]:
    subject, predicate, object = map(NamedNode, triple)
    return [q for q in quads if (q.subject, q.predicate, q.object) == (subject, predicate, object)]


def test_an_edge_of_our_vocabulary_is_stated_and_one_of_another_only_claimed(tmp_path: Path) -> None:
    quads = load(made_by_others(tmp_path, [OURS, FOREIGN]))
    assert len(stated(quads)) == 2
    assert edges_of(quads, OURS)
    assert not edges_of(quads, FOREIGN)


def test_an_imported_statement_never_changes_the_vocabulary(tmp_path: Path) -> None:
    changes = [
        (STROMA.MSCProduct.value, RDFS.subClassOf.value, STROMA.DrugProduct.value),
        (STROMA.MSCProduct.value, RDF.type.value, STROMA.DrugProduct.value),
        (STROMA.hasArm.value, "http://www.w3.org/2002/07/owl#equivalentProperty", STROMA.hasRoute.value),
    ]
    quads = load(made_by_others(tmp_path, changes))
    assert len(stated(quads)) == 3
    assert not any(edges_of(quads, change) for change in changes)


def test_an_assertion_may_not_say_who_claims_what(tmp_path: Path) -> None:
    forged = (mint("claim", "C047").value, STROMA.asserts.value, mint("proposition", "x").value)
    with pytest.raises(SourceError, match=r"stroma:asserts.*for the provenance"):
        load(made_by_others(tmp_path, [forged]))


def test_a_term_of_ours_that_nobody_declared_stops_the_import(tmp_path: Path) -> None:
    from kg import ontology

    quads = load(made_by_others(tmp_path, [(OURS[0], STROMA.enhancess.value, OURS[2])]))
    with pytest.raises(OntologyError, match=r"stroma:enhancess.*stroma:enhances"):
        ontology.read(ROOT / "ontology").require_declared(quads)


# -------------------------------------------------------------------------------------------- refused


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def resealed(path: Path, change: Callable[[str], str]) -> Path:
    """The file after a change, its trusty code made to fit again: only the signature can tell."""
    text = change(text_of(path))
    quads = list(parse(text, format=RdfFormat.TRIG))
    iri = next(q.subject.value for q in quads if q.predicate == RDF.type and "Nanopub" in str(q.object))
    old = iri.rpartition("/")[2]
    path.write_text(text.replace(old, artifact_code(quads, old)), encoding="utf-8")
    return path


def test_a_statement_changed_under_its_signature_is_refused(tmp_path: Path) -> None:
    path = resealed(made_by_others(tmp_path, [FOREIGN]), lambda text: text.replace("protein", "toxin"))
    with pytest.raises(SourceError, match=r"foreign\.trig.*signature does not hold"):
        load(path)


def test_a_signature_by_another_key_is_refused(tmp_path: Path) -> None:
    other = profile(RSA.generate(2048)).public_key
    path = resealed(
        made_by_others(tmp_path, [FOREIGN]), lambda text: text.replace(profile().public_key, other)
    )
    with pytest.raises(SourceError, match="signature does not hold"):
        load(path)


def test_a_changed_statement_no_longer_fits_the_iri(tmp_path: Path) -> None:
    path = made_by_others(tmp_path, [FOREIGN])
    path.write_text(text_of(path).replace("protein", "toxin"), encoding="utf-8")
    with pytest.raises(SourceError, match="changed after it got its IRI"):
        load(path)


BASE = """@prefix np: <http://www.nanopub.org/nschema#> . @prefix npx: <http://purl.org/nanopub/x/> .
@prefix prov: <http://www.w3.org/ns/prov#> . @prefix e: <https://example.org/> .
@prefix stroma: <https://w3id.org/stroma/ontology/> .
e:H { e:n a np:Nanopublication ; np:hasAssertion e:A ; np:hasProvenance e:P ; np:hasPublicationInfo e:I . }
e:A { e:gene e:raises e:protein . }
e:P { e:A prov:wasDerivedFrom e:paper . }
e:I { e:n prov:generatedAtTime "2020-01-01" . }
"""
REFUSED = {
    "an unclosed graph": (("e:paper . }", "e:paper ."), "does not parse"),
    "no nanopublication": (("a np:Nanopublication ;", ""), "holds no nanopublication"),
    "two assertions": (("np:hasAssertion e:A", "np:hasAssertion e:A, e:B"), "names 2 assertion graphs"),
    "no provenance named": (("np:hasProvenance e:P ;", ""), "names 0 provenance graphs"),
    "an empty assertion": (("e:A { e:gene e:raises e:protein . }", ""), "assertion graph .* is empty"),
    "one graph for two parts": (("np:hasProvenance e:P", "np:hasProvenance e:A"), "serves twice"),
    "provenance of nothing": (("{ e:A prov:", "{ e:B prov:"), "provenance says nothing of its assertion"),
    "info of nothing": (("e:I { e:n", "e:I { e:m"), "pubinfo says nothing of it"),
    "a stray graph": (("e:A {", "e:X { e:a e:b e:c } e:A {"), "example.org/X> belongs to no nanopublication"),
    "a statement in no graph": (("e:A {", "e:a e:b e:c . e:A {"), "stands in no named graph"),
    "a blank node": (("e:gene e:raises", "[] e:raises"), "blank node"),
    "no IRI of its own": (("e:n a np", "[] a np"), "has no IRI"),
    "two heads": (
        ("a np:Nanopublication ;", "a np:Nanopublication . e:m a np:Nanopublication . e:n"),
        "names 0 assertion graphs|serves twice",
    ),
    "half a signature": (("e:n prov:gen", 'e:n npx:hasPublicKey "x" ; prov:gen'), "no whole one"),
    "a signature without a trusty IRI": (
        (
            "e:n prov:gen",
            'e:s npx:hasPublicKey "x" ; npx:hasAlgorithm "RSA" ; npx:hasSignatureTarget e:n ; '
            'npx:hasSignature "x" . e:n prov:gen',
        ),
        "no trusty code",
    ),
    "an algorithm we cannot check": (
        (
            "e:n prov:gen",
            'e:s npx:hasPublicKey "x" ; npx:hasAlgorithm "none" ; npx:hasSignatureTarget e:n ; '
            'npx:hasSignature "x" . e:n prov:gen',
        ),
        "algorithm 'none'",
    ),
    "a proposition under a false name": (
        (
            "e:gene e:raises e:protein .",
            "<https://w3id.org/stroma/proposition/1> a stroma:Proposition ; stroma:propositionSubject e:a ; "
            "stroma:propositionPredicate e:b ; stroma:propositionObject e:c ; "
            "stroma:polarity stroma:PolarityPositive .",
        ),
        "is not the IRI of this proposition",
    ),
    "half a proposition": (
        ("e:gene e:raises e:protein .", "e:x a stroma:Proposition ; stroma:propositionSubject e:a ."),
        "no whole proposition",
    ),
    "a thousand statements and more": (
        ("e:gene e:raises e:protein .", " ".join(f"e:g{n} e:raises e:p ." for n in range(1300))),
        "over 1,200",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_malformed_is_refused_with_its_file_and_fault(fault: str, tmp_path: Path) -> None:
    (old, new), message = REFUSED[fault]
    assert BASE.count(old) == 1
    path = tmp_path / "bad.trig"
    path.write_text(BASE.replace(old, new), encoding="utf-8")
    with pytest.raises(SourceError, match=rf"(?s)nanopubs, file bad\.trig.*({message})"):
        load(path)


def test_the_pattern_of_the_faults_is_itself_fine(tmp_path: Path) -> None:
    path = tmp_path / "good.trig"
    path.write_text(BASE, encoding="utf-8")
    assert len(stated(load(path))) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.ttl", b"", "suffix is none of"),
        ("x.trig", b"", "holds no nanopublication"),
        ("x.trig", b"\xff\xfe\x00", "does not parse"),
        ("x.trig", b"e:H {" * 10_000, "does not parse"),
        ("x.nq", b"<a:a> <a:a> <a:a> .\n", "stands in no named graph"),
    ],
    ids=["suffix", "empty", "bytes", "deep", "triples"],
)
def test_a_file_of_something_else_is_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        load(path)


def test_one_that_comes_twice_is_refused(claims: Claims, tmp_path: Path) -> None:
    for name in ("a.trig", "b.trig"):
        (tmp_path / name).write_bytes(trig([claims[mint("claim", "C047")]]))
    with pytest.raises(SourceError, match=r"also stands in a\.trig"):
        list(catalog.load("nanopubs", [tmp_path / "a.trig", tmp_path / "b.trig"]).quads)


# -------------------------------------------------------------------------------------- as a user does


@pytest.fixture
def kg(embedded: Snapshot) -> Callable[..., subprocess.CompletedProcess[str]]:
    var = str(embedded.folder.parent.parent)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kg", *arguments],
            cwd=ROOT, env={"KG_VAR": var}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def test_a_claim_goes_out_and_comes_in_by_the_command_line(
    kg: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    file = tmp_path / "c047.trig"
    assert kg("nanopub", "export", "C047", "--to", str(file)).returncode == 0
    assert kg("nanopub", "export", "claim:C047").stdout == text_of(file)
    done = kg("nanopub", "import", str(file), "--to", str(tmp_path / "c047.nq"))
    assert "1 nanopublications, 1 propositions" in done.stdout
    assert "  PR:000000017 stroma:enhances stroma:MSCActivation" in done.stdout
    assert stated(parse(path=tmp_path / "c047.nq", format=RdfFormat.N_QUADS))


def test_a_wrong_use_of_the_command_line_says_what_to_do(
    kg: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "bad.trig").write_text("no TriG", encoding="utf-8")
    for arguments, code, message in (
        (("nanopub", "export"), 2, "--all"),
        (("nanopub", "export", "C047", "--all"), 2, "--all"),
        (("nanopub", "export", "nothing"), 2, "there is no claim 'nothing'"),
        (("nanopub", "import", str(tmp_path / "gone.trig")), 2, "there is no such file"),
        (("nanopub", "import", str(tmp_path / "bad.trig")), 3, "does not parse"),
    ):
        done = kg(*arguments)
        assert done.returncode == code, arguments
        assert message in done.stderr
        assert not done.stdout


def test_a_build_takes_one_in_and_a_bad_one_leaves_what_was_published(claims: Claims, tmp_path: Path) -> None:
    settings = Settings(var=tmp_path / "var")
    good, bad = tmp_path / "good.trig", tmp_path / "bad.trig"
    good.write_bytes(trig([claims[mint("claim", "C047")]]))
    bad.write_bytes(good.read_bytes().replace(b"MSCActivation", b"MSCSurvival"))
    built = build(settings, sources={"nanopubs": [good]})
    assert built.graphs[mint("graph", "nanopubs").value] > 10
    edge = f"{expand('PR:000000017')} {STROMA.enhances} {STROMA.MSCActivation} ".encode()
    graphs = [line.split()[3] for line in read_lines(built) if line.startswith(edge)]
    assert sorted(graphs) == [str(mint("graph", name)).encode() for name in ("literature", "nanopubs")]
    with pytest.raises(SourceError, match="changed after it got its IRI"):
        build(settings, sources={"nanopubs": [bad]})
    assert current(settings.var) == built
