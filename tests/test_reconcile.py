"""Reconciliation: the names of a table find their things, over OpenRefine's protocol or `kg reconcile`."""

from __future__ import annotations

import html
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from referencing import Registry, Resource
from typer.testing import CliRunner

from kg.cli import app
from kg.errors import UsageError
from kg.reconciling import Reconciled, candidates, reconcile_csv
from kg.search import KIND_NAMES, Index
from kg.snapshot import Snapshot
from kg.terms import ROOT
from tests.peers import whole_site

# Our own, of what the specification says. Its schemas (0.2/schemas of github.com/reconciliation-api/specs)
# come without a licence; where somebody put them there, they are asked as well.
SCHEMAS = json.loads((Path(__file__).parent / "reconciliation.json").read_text(encoding="utf-8"))
OFFICIAL = ROOT / "var" / "reconciliation-api"


@pytest.fixture(scope="module")
def index(embedded: Snapshot) -> Index:
    return Index.of(embedded)


@pytest.fixture(scope="module")
def service(embedded: Snapshot) -> Iterator[httpx.Client]:
    with whole_site(embedded) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def asked(service: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    batch = json.dumps({"q": query})
    response = service.post("/reconcile", data={"queries": batch})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["q"]["result"]
    return found


# ----------------------------------------------------------------------------------- candidates


@pytest.mark.parametrize(
    ("name", "curie"),
    [
        ("ACR20", "stroma:MeasureACR20"),
        ("Umbilical cord", "UBERON:0002331"),
        ("潑尼松", "CHEBI:8382"),
        ("NCT01547091", "trial:NCT01547091"),
        ("MONDO:0008383", "MONDO:0008383"),
    ],
)
def test_what_is_called_exactly_so_and_alone_is_a_match(index: Index, name: str, curie: str) -> None:
    first, *others = candidates(index, name)
    assert (first.hit.curie, first.match) == (curie, True)
    assert not any(each.match for each in others)


def test_of_namesakes_none_is_a_match_until_a_kind_tells_them_apart(index: Index) -> None:
    both = candidates(index, "methotrexate")[:2]
    assert [each.score for each in both] == [100, 100]
    assert {each.hit.curie for each in both} == {"CHEBI:44185", "product:methotrexate"}
    assert not any(each.match for each in both)
    assert candidates(index, "methotrexate", kinds=["product"])[0].match


@pytest.mark.parametrize("name", ["metotrexate", "umbilical", "stromal cell of", "no such thing at all", ""])
def test_what_is_only_like_a_name_is_no_match(index: Index, name: str) -> None:
    assert not any(each.match for each in candidates(index, name))


def test_statements_are_candidates_only_for_who_asks_for_them(index: Index) -> None:
    assert {each.hit.kind for each in candidates(index, "A321")} <= set(KIND_NAMES) - {"claim", "finding"}
    assert candidates(index, "A321", kinds=["claim"])[0].hit.curie == "claim:A321"


@given(st.text(max_size=60))
def test_any_name_has_candidates_or_none_and_at_most_one_match(index: Index, name: str) -> None:
    found = candidates(index, name)
    assert sum(each.match for each in found) <= 1
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert all(0 <= each.score <= 100 for each in found)


# --------------------------------------------------------------------------------------- tables


def written(index: Index, text: str, column: str = "drug", **options: Any) -> tuple[list[str], Reconciled]:
    out = io.StringIO()
    done = reconcile_csv(index, text, column, out, **options)
    return out.getvalue().splitlines(), done


def test_a_table_comes_back_with_four_columns_more(index: Index) -> None:
    table = 'nr,drug\n1,methotrexate\n2,"潑尼松"\n3,metotrexate\n4,\n5,zzzzqqq\n6,methotrexate\n'
    lines, done = written(index, table, kinds=["class"])
    assert lines[0] == "nr,drug,id,label,score,match"
    assert lines[1] == "1,methotrexate,CHEBI:44185,methotrexate,100,true"
    assert lines[2].startswith("2,潑尼松,CHEBI:8382,prednisone,")
    assert (
        re.fullmatch(r"3,metotrexate,CHEBI:44185,methotrexate,[\d.]+,false", lines[3]) or "true" in lines[3]
    )
    assert lines[4] == "4,,,,,"
    assert lines[5] == "5,zzzzqqq,,,,"
    assert lines[6] == "6" + lines[1][1:]
    assert done == Reconciled(rows=6, matched=3, unsure=1, empty=1)


def test_a_column_that_is_there_already_is_not_written_over(index: Index) -> None:
    lines, _ = written(index, "drug;id\nmethotrexate;17\n")
    assert lines[0] == "drug,id,drug_id,drug_label,drug_score,drug_match"
    assert lines[1].startswith("methotrexate,17,")


def test_labels_come_in_the_language_asked(index: Index) -> None:
    lines, _ = written(index, "drug\nmethotrexate\n", kinds=["class"], language="zh-Hant")
    assert "CHEBI:44185,甲" in lines[1]


@pytest.mark.parametrize("text", ["", "name\nx\n", "\n"])
def test_a_table_without_the_column_is_refused_with_those_it_has(index: Index, text: str) -> None:
    with pytest.raises(UsageError, match="there is no column 'drug'"):
        written(index, text)


def test_rows_of_any_length_and_cells_of_any_text_keep_their_place(index: Index) -> None:
    lines, done = written(index, 'drug,note\n"a, ""b""\nc",x\nmethotrexate\n', kinds=["class"])
    assert done.rows == 2
    assert lines[-1].startswith("methotrexate,,")
    assert lines[-1].endswith(",true")


def test_the_verb_prints_the_table_and_says_how_many_matched(
    embedded: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KG_VAR", str(embedded.folder.parent.parent))
    file = tmp_path / "trials.csv"
    file.write_text("trial\nNCT01547091\nNCT99999999\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["reconcile", str(file), "--column", "trial", "--kind", "trial"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1].startswith("NCT01547091,trial:NCT01547091,")
    assert done.stdout.splitlines()[1].endswith(",100,true")
    assert "1 matched" in done.stderr


# ----------------------------------------------------------------------------------- the protocol


def test_the_manifest_says_what_the_service_can_and_where(service: httpx.Client) -> None:
    manifest = service.get("/reconcile").json()
    assert manifest["versions"] == ["0.2"]
    assert {each["id"] for each in manifest["defaultTypes"]} <= set(KIND_NAMES)
    for name, each in manifest["suggest"].items():
        word = {"entity": "cell", "property": "has", "type": "trial"}[name]
        told = service.get(each["service_url"] + each["service_path"], params={"prefix": word})
        assert told.json()["result"]
    page = manifest["view"]["url"].replace("{{id}}", "CL%3A0000134")
    assert service.get(page, headers={"Accept": "text/html"}).status_code == 200
    assert service.get("/reconcile").headers["access-control-allow-origin"] == "*"


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize("accept", ["*/*", "", "application/json", "text/csv", "image/png",
                                    "text/javascript, application/javascript, */*; q=0.01"])  # fmt: skip
def test_every_program_gets_the_manifest(service: httpx.Client, accept: str) -> None:
    told = service.get("/reconcile", headers={"Accept": accept})
    assert told.json()["versions"] == ["0.2"]
    assert {"Accept", "Accept-Language"} <= set(told.headers["vary"].split(", "))


@pytest.mark.parametrize(("tag", "word"), [("en", "menu"), ("zh-Hans", "菜单"), ("zh-Hant", "選單")])
def test_a_reader_gets_a_page_with_the_address_to_paste(service: httpx.Client, tag: str, word: str) -> None:
    page = service.get("/reconcile", headers={"Accept": BROWSER, "Accept-Language": tag})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f'<html lang="{tag}">' in page.text
    assert f'<pre tabindex="0">{service.base_url.join("/reconcile")}</pre>' in page.text
    assert word in page.text
    assert all(f"<code>{kind}</code>" in page.text for kind in KIND_NAMES)
    assert service.get("/reconcile?format=json", headers={"Accept": BROWSER}).json()["versions"] == ["0.2"]
    assert service.get("/reconcile?format=html").text.startswith("<!DOCTYPE html>")


def test_a_browser_that_asks_something_gets_the_answer_and_no_page(service: httpx.Client) -> None:
    queries = json.dumps({"q": {"query": "ACR20"}})
    told = service.get("/reconcile", params={"queries": queries}, headers={"Accept": BROWSER})
    assert told.json()["q"]["result"][0]["id"] == "stroma:MeasureACR20"
    refused = service.get("/reconcile", params={"format": "xml"})
    assert (refused.status_code, "json, html" in refused.json()["detail"]) == (400, True)
    also = service.get("/reconcile", params={"queries": queries, "format": "html"})
    assert also.json() == told.json()
    called = service.get("/reconcile", params={"callback": "f"}, headers={"Accept": BROWSER})
    assert called.text.startswith("/**/f(")


def test_the_page_s_commands_work_as_they_stand(service: httpx.Client) -> None:
    page = html.unescape(service.get("/reconcile", headers={"Accept": BROWSER}).text)
    line = re.search(r'<pre tabindex="0">curl (.*)</pre>', page)
    assert line is not None
    url, _, field = shlex.split(line[1])
    name, _, value = field.partition("=")
    assert httpx.post(url, data={name: value}).json()["q"]["result"][0]["id"] == "CHEBI:44185"


def test_a_batch_is_answered_by_get_and_by_post_alike(service: httpx.Client) -> None:
    batch = json.dumps(
        {"q0": {"query": "methotrexate", "type": "class"}, "q1": {"query": "臍帶", "limit": 2}}
    )
    got = service.get("/reconcile", params={"queries": batch}).json()
    assert got == service.post("/reconcile", data={"queries": batch}).json()
    assert got["q0"]["result"][0]["id"] == "CHEBI:44185"
    assert got["q0"]["result"][0]["match"] is True
    assert 0 < len(got["q1"]["result"]) <= 2


def test_values_tell_namesakes_apart(service: httpx.Client) -> None:
    in_china = {"pid": "stroma:inCountry", "v": "china"}
    elsewhere = {"pid": "stroma:inCountry", "v": "Spain"}
    (fits, *_) = asked(service, query="NCT01547091", type="trial", properties=[in_china])
    (lacks, *_) = asked(service, query="NCT01547091", type="trial", properties=[elsewhere])
    assert (fits["match"], lacks["match"]) == (True, False)
    assert lacks["score"] < fits["score"]
    assert {"id": "stroma:inCountry", "value": False} in lacks["features"]


def test_a_value_may_be_a_thing_by_its_id_or_by_any_of_its_names(service: httpx.Client) -> None:
    for value in ({"id": "stroma:Phase1Phase2"}, "phase 1/2", "第一/二期"):
        (first, *_) = asked(service, query="NCT01547091", properties=[{"pid": "stroma:hasPhase", "v": value}])
        assert first["match"] is True, value


def test_without_a_name_values_alone_find_things(service: httpx.Client) -> None:
    found = asked(service, properties=[{"pid": "dcterms:identifier", "v": "NCT01547091"}], type=["trial"])
    assert [each["id"] for each in found] == ["trial:NCT01547091"]


def test_values_of_things_are_fetched(service: httpx.Client) -> None:
    wanted = {
        "ids": ["trial:NCT01547091", "trial:NCT00000000"],
        "properties": [
            {"id": "stroma:hasPhase"},
            {"id": "stroma:enrollmentCount", "settings": {"limit": 1}},
            {"id": "stroma:firstPostedDate"},
            {"id": "stroma:minimumAgeYears"},
            {"id": "dcterms:title"},
        ],
    }
    told = service.post("/reconcile", data={"extend": json.dumps(wanted)}).json()
    row = told["rows"]["trial:NCT01547091"]
    assert row["stroma:hasPhase"] == [{"id": "stroma:Phase1Phase2", "name": "phase 1/2"}]
    assert row["stroma:enrollmentCount"] == [{"int": 172}]
    assert row["stroma:firstPostedDate"] == [{"date": "2012-03-07T00:00:00"}]
    assert row["stroma:minimumAgeYears"] == [{"float": 18.0}]
    assert row["dcterms:title"][0]["str"].startswith("Safety and Efficacy")
    assert all(values == [] for values in told["rows"]["trial:NCT00000000"].values())
    assert [each["id"] for each in told["meta"]] == [each["id"] for each in wanted["properties"]]


def test_properties_are_proposed_by_how_often_things_of_a_type_have_them(service: httpx.Client) -> None:
    told = service.get("/reconcile/properties", params={"type": "trial", "limit": 200}).json()
    assert "stroma:hasPhase" in {each["id"] for each in told["properties"]}
    few = service.get("/reconcile/properties", params={"type": "trial", "limit": 3}).json()
    assert few["properties"] == told["properties"][:3]


def test_a_word_that_is_being_written_gets_suggestions_and_each_has_a_flyout(service: httpx.Client) -> None:
    words = {"entity": ["macroph"], "property": ["hasPh", "phase"], "type": ["tri", "試"]}
    for kind, prefix in ((kind, word) for kind, some in words.items() for word in some):
        found = service.get(f"/reconcile/suggest/{kind}", params={"prefix": prefix}).json()["result"]
        assert found, (kind, prefix)
        flyout = service.get(f"/reconcile/flyout/{kind}", params={"id": found[0]["id"]}).json()
        assert flyout["id"] == found[0]["id"]
        assert flyout["html"].startswith("<p>")
    first = service.get("/reconcile/suggest/entity", params={"prefix": "cell"}).json()["result"]
    rest = service.get("/reconcile/suggest/entity", params={"prefix": "cell", "cursor": 5}).json()["result"]
    assert first[5:] == rest[: len(first) - 5]


def test_a_preview_may_stand_in_a_frame_and_nothing_else_may(service: httpx.Client) -> None:
    preview = service.get("/reconcile/preview", params={"id": "CL:0000134"})
    assert "mesenchymal stem cell" in preview.text
    policies = preview.headers.get_list("content-security-policy")
    assert len(policies) == 1
    assert "frame-ancestors *" in policies[0]
    assert "<script" not in preview.text
    assert "frame-ancestors 'none'" in service.get("/").headers["content-security-policy"]


def test_jsonp_calls_the_function_that_is_named_and_no_other_text(service: httpx.Client) -> None:
    called = service.get("/reconcile", params={"callback": "jQuery.cb_1"})
    assert called.headers["content-type"].startswith("application/javascript")
    inside = re.fullmatch(r"/\*\*/jQuery\.cb_1\((.*)\);", called.text, re.DOTALL)
    assert inside is not None
    assert json.loads(inside[1]) == service.get("/reconcile").json()
    for text in ("alert(1)//", "a b", "<script>", "a;b"):
        assert service.get("/reconcile", params={"callback": text}).status_code == 400


def test_jsonp_is_no_script_for_a_page_of_ours(service: httpx.Client) -> None:
    # Our policy lets a page of ours run scripts of this server, and this one calls what its address says.
    for site, status in (("same-origin", 400), ("cross-site", 200)):
        answer = service.get("/reconcile", params={"callback": "f"}, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == status
        assert status == 400 or "Sec-Fetch-Site" in answer.headers["vary"]


def test_half_a_character_in_an_id_is_replaced(service: httpx.Client) -> None:
    answer = service.post("/reconcile", data={"queries": '{"q\\ud800": {"query": "cell"}}'})
    assert (answer.status_code, list(answer.json())) == (200, ["q?"])


@pytest.mark.parametrize(
    "queries",
    ["[]", "{", '{"q": 1}', '{"q": {}}', '{"q": {"query": 3}}', '{"q": {"query": "x", "type": "trail"}}',
     '{"q": {"query": "x", "limit": 0}}', '{"q": {"query": "x", "properties": [{"pid": "nope:x", "v": 1}]}}',
     '{"q": {"query": "x", "properties": [{"v": 1}]}}', '{"q": {"query": "x", "type": 3}}',
     '{"q": {"query": "x", "limit": "000000001999"}}', '{"q": {"query": "x", "limit": Infinity}}',
     '{"q": {"query": "x", "type": [["trial"]]}}', "[" * 100_000],
)  # fmt: skip
def test_a_batch_that_is_none_is_refused_by_name(service: httpx.Client, queries: str) -> None:
    response = service.post("/reconcile", data={"queries": queries})
    assert response.status_code == 400
    assert response.json()["detail"]


def test_a_batch_that_is_too_large_is_refused(service: httpx.Client) -> None:
    many = json.dumps({f"q{n}": {"query": "cell"} for n in range(101)})
    assert service.post("/reconcile", data={"queries": many}).status_code == 413
    assert service.post("/reconcile", data={"queries": "x" * 2**20}).status_code == 413
    ids = json.dumps({"ids": [f"CL:{n:07}" for n in range(501)], "properties": [{"id": "rdfs:label"}]})
    assert service.post("/reconcile", data={"extend": ids}).status_code == 413
    # A cell for each property of each entity: some kilobytes asked would become gigabytes answered.
    named = json.dumps({"ids": ["CL:0000134"], "properties": [{"id": f"rdfs:p{n}"} for n in range(101)]})
    assert service.post("/reconcile", data={"extend": named}).status_code == 413
    # Each of these is a query to the engine.
    wanted = json.dumps({"q": {"properties": [{"pid": f"rdfs:p{n}", "v": "x"} for n in range(21)]}})
    assert service.post("/reconcile", data={"queries": wanted}).status_code == 413


def test_a_batch_has_a_deadline(embedded: Snapshot) -> None:
    with whole_site(embedded, query_seconds=0.2) as address:
        every = {"query": "mesenchyml stm cels arthrits", "properties": [{"pid": "rdf:type", "v": "x"}]}
        queries = json.dumps({f"q{n}": every for n in range(100)})
        response = httpx.post(f"{address}/reconcile", data={"queries": queries}, timeout=60)
    assert response.status_code == 503
    assert "0.2 seconds" in response.json()["detail"]


@settings(max_examples=30, deadline=None)
@given(
    text=st.text(min_size=1, max_size=40), value=st.one_of(st.text(max_size=20), st.integers(), st.booleans())
)
def test_any_text_may_be_asked_and_becomes_no_markup_or_query(
    service: httpx.Client, text: str, value: object
) -> None:
    try:
        text.encode()
        str(value).encode()
    except UnicodeEncodeError:
        return
    found = asked(service, query=text, properties=[{"pid": "stroma:hasPhase", "v": value}])
    assert isinstance(found, list)


# ------------------------------------------------------------------------------ the protocol's schemas


BATCH = {
    "a": {"query": "methotrexate", "type": ["class"], "limit": 3},
    "b": {"query": "x", "properties": [{"pid": "stroma:hasPhase", "v": [1, True, "y"]}]},
    "c": {"properties": [{"pid": "dcterms:identifier", "v": "NCT01547091"}]},
}
EXTEND = {
    "ids": ["trial:NCT01547091", "CL:0000134"],
    "properties": [
        {"id": name}
        for name in ("rdf:type", "stroma:startDate", "stroma:firstPostedDate", "stroma:enrollmentCount",
                     "stroma:minimumAgeYears", "rdfs:label", "rdfs:subClassOf")
    ],
}  # fmt: skip
# By schema: what is asked for an answer of its kind.
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "manifest": ("/reconcile", {}),
    "reconciliation-result-batch": ("/reconcile", {"queries": json.dumps(BATCH)}),
    "suggest-entities-response": ("/reconcile/suggest/entity", {"prefix": "cell"}),
    "suggest-properties-response": ("/reconcile/suggest/property", {"prefix": "has"}),
    "suggest-types-response": ("/reconcile/suggest/type", {"prefix": ""}),
    "flyout-response": ("/reconcile/flyout/entity", {"id": "CL:0000134"}),
    "data-extension-property-proposal": ("/reconcile/properties", {"type": "trial", "limit": 5}),
    "data-extension-response": ("/reconcile", {"extend": json.dumps(EXTEND)}),
}
Validator = jsonschema.protocols.Validator


def own(name: str) -> Validator:
    return jsonschema.Draft202012Validator({**SCHEMAS, "$ref": f"#/$defs/{name}"})


def official(name: str) -> Validator | None:
    if not (OFFICIAL / f"{name}.json").is_file():
        return None
    resources = [json.loads(path.read_text(encoding="utf-8")) for path in OFFICIAL.glob("*.json")]
    registry: Registry[Any] = Registry().with_resources(
        (each["$id"], Resource.from_contents({**each, "$schema": "http://json-schema.org/draft-07/schema#"}))
        for each in resources
    )
    schema = json.loads((OFFICIAL / f"{name}.json").read_text(encoding="utf-8"))
    return jsonschema.Draft7Validator(schema, registry=registry)


def answer_of(service: httpx.Client, schema: str) -> dict[str, Any]:
    path, parameters = ASKED[schema]
    told = service.get(path, params=parameters)
    assert told.status_code == 200
    found: dict[str, Any] = told.json()
    return found


def spoilt(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every way in which one thing of a document is null, missing its id, or has a field nobody defined."""
    if isinstance(value, dict):
        yield f"{at} with another field", {**value, "nobody": None}
        if "id" in value:
            yield f"{at} without id", {name: each for name, each in value.items() if name != "id"}
    for name, each in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        for how, other in ((f"{at}/{name} is null", None), *spoilt(each, f"{at}/{name}")):
            changed = dict(value) if isinstance(value, dict) else list(value)
            changed[name] = other
            yield how, changed


@pytest.mark.parametrize("schema", ASKED)
def test_an_answer_is_as_the_protocol_s_schema_says(service: httpx.Client, schema: str) -> None:
    told = answer_of(service, schema)
    own(schema).validate(told)
    if theirs := official(schema):
        theirs.validate(told)


@pytest.mark.parametrize("schema", ASKED)
def test_no_part_of_an_answer_can_be_spoilt_without_its_schema_refusing_it(
    service: httpx.Client, schema: str
) -> None:
    judge = own(schema)
    ways = list(spoilt(answer_of(service, schema)))
    assert ways
    assert [how for how, changed in ways if judge.is_valid(changed)] == []


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ("manifest", {"versions": ["0.1"]}),
        ("manifest", {"view": {"url": "https://example.org/thing"}}),
        ("manifest", {"identifierSpace": "trial"}),
        ("reconciliation-result-batch", {"q": {"result": [{"id": "a", "name": "b", "score": "100"}]}}),
        ("reconciliation-result-batch", {"q": {"result": [{"id": "a", "name": "b"}]}}),
        ("reconciliation-result-batch", {"q": {"result": {}}}),
        ("data-extension-response", {"rows": {"a": {"p": [{"date": "2012-03-07"}]}}}),
        ("data-extension-response", {"rows": {"a": {"p": [{"int": 1.5}]}}}),
        ("data-extension-response", {"rows": {"a": {"p": [{"str": "b", "int": 1}]}}}),
        ("data-extension-response", {"rows": {"a": {"p": {"str": "b"}}}}),
        ("suggest-types-response", {"result": [{"id": "trial", "name": ""}]}),
    ],
)
def test_an_answer_of_the_wrong_form_is_refused(
    service: httpx.Client, schema: str, wrong: dict[str, Any]
) -> None:
    assert not own(schema).is_valid({**answer_of(service, schema), **wrong})
