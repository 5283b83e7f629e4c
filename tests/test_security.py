"""What SECURITY.md promises and no other file tests; and that each test it names is there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import pytest

from kg.snapshot import Snapshot, write_snapshot
from kg.terms import ROOT
from tests.peers import whole_site

EVIL = "<script>alert(1)</script>"
GRAPH = "https://w3id.org/stroma/graph/evil"
# What somebody may put into a registry record: into a label, a language's label, an IRI.
RDFS, TRIAL = "http://www.w3.org/2000/01/rdf-schema#", "<https://w3id.org/stroma/trial/EVIL>"
STATEMENTS = [
    f'{TRIAL} <{RDFS}label> "{EVIL}"@en <{GRAPH}> .',
    f'{TRIAL} <http://purl.org/dc/terms/title> "\\"><img src=x onerror=alert(1)>" <{GRAPH}> .',
    f"{TRIAL} <{RDFS}seeAlso> <javascript:alert(1)> <{GRAPH}> .",
    f"{TRIAL} <{RDFS}seeAlso> <https://h/'onmouseover='alert(1)> <{GRAPH}> .",
    f"{TRIAL} <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> "
    f"<https://w3id.org/stroma/ontology/ClinicalStudy> <{GRAPH}> .",
]


BROWSER = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server on a graph that holds what an attacker wrote into a record."""
    lines = [line.encode() + b"\n" for line in STATEMENTS]
    snapshot: Snapshot = write_snapshot(lines, tmp_path_factory.mktemp("evil"), version="2026-11-22")
    with whole_site(snapshot, workers=1) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


class _Markup(HTMLParser):
    """What of a page a browser would run, or follow to something that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        is_data = values.get("type") == "application/ld+json"
        if tag in ("img", "iframe", "object", "embed", "base") or "onmouseover" in tag:
            self.runs.append(tag)
        if tag == "script" and not is_data and not values.get("src", "").startswith("/static/"):
            self.runs.append(tag)
        for name, value in values.items():
            script = name in ("href", "src", "action", "formaction") and ":" in value.partition("/")[0]
            if name.startswith("on") or (script and not value.startswith(("http:", "https:"))):
                self.runs.append(f"{name}={value}")


def is_clean(page: str) -> bool:
    """Whether nothing of the attacker's runs in a page."""
    parser = _Markup()
    parser.feed(page)
    return not parser.runs


def test_what_would_run_is_seen() -> None:
    links = "<a href='javascript:alert(1)'>", "<a href='data:text/html,x'>"
    for text in (EVIL, "<img src=x>", "<p onclick=a>", *links):
        assert not is_clean(f"<html>{text}</html>")
    assert is_clean('<a href="/x:y">&lt;script&gt;</a><script type="application/ld+json">{}</script>')


@pytest.mark.parametrize(
    "path",
    [
        "/trial/EVIL",
        "/sparql?query=SELECT%20*%20%7B%20%3Fs%20%3Fp%20%3Fo%20%7D",
        "/sparql?query=CONSTRUCT%20WHERE%20%7B%20%3Fs%20%3Fp%20%3Fo%20%7D",
        f"/graphs?graph={GRAPH}",
        "/search?q=script",
        "/graphs",
        "/",
    ],
)
def test_no_text_of_the_graph_becomes_markup(web: httpx.Client, path: str) -> None:
    page = web.get(path, headers=BROWSER, follow_redirects=True)
    assert page.headers["content-type"].startswith("text/html")
    assert EVIL not in page.text
    assert is_clean(page.text)


@pytest.mark.parametrize(
    "path",
    [
        "/{}", "/trial/{}", "/sparql?query={}", "/sparql?format={}", "/search?q={}", "/why?subject={}",
        "/graphs/{}", "/dump/{}", "/queries/{}", "/queries/routes?{}={}", "/graphs?graph={}",
        "/language?to={}", "/?version={}", "/.well-known/void?format={}", "/static/{}",
    ],
)  # fmt: skip
def test_no_text_of_a_request_becomes_markup(web: httpx.Client, path: str) -> None:
    for text in (EVIL, '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "javascript:alert(1)"):
        answer = web.get(path.replace("{}", httpx.QueryParams({"x": text}).__str__()[2:]), headers=BROWSER)
        assert EVIL not in answer.text
        if answer.headers.get("content-type", "").startswith("text/html"):
            assert is_clean(answer.text)


PATHS = ["/", "/about", "/sparql", "/sparql?query=ASK%7B%7D", "/sparql?query=no", "/queries", "/graphs",
         "/dump", "/dump/stroma.nq.gz", "/nowhere", "/metrics", "/health", "/.well-known/void",
         "/robots.txt"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_headers_that_protect_its_reader(web: httpx.Client, path: str) -> None:
    headers = web.get(path, headers=BROWSER).headers
    policy = dict(each.strip().partition(" ")[::2] for each in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize("path", PATHS)
def test_no_credentials_are_asked_for_or_let_through(web: httpx.Client, path: str) -> None:
    answer = web.get(path, headers={**BROWSER, "Origin": "https://evil.example", "Cookie": "a=b"})
    assert answer.headers["access-control-allow-origin"] == "*"  # which no browser joins with credentials
    assert "access-control-allow-credentials" not in answer.headers
    assert not {"set-cookie", "www-authenticate"} & set(answer.headers)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
@pytest.mark.parametrize(
    "path", ["/", "/graphs?default", "/graphs/evil", "/trial/EVIL", "/dump/stroma.nq.gz", "/sparql"]
)
def test_no_method_changes_anything(web: httpx.Client, method: str, path: str) -> None:
    body = {"content": b"<a:b> <a:b> <a:b> .", "headers": {"Content-Type": "text/turtle"}}
    assert 400 <= web.request(method, path, **body).status_code < 500  # type: ignore[arg-type]
    count = web.get("/sparql", params={"query": "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }", "format": "csv"})
    assert count.text.split() == ["n", str(len(STATEMENTS))]


BOMB = b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><r>&b;</r>'


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("application/rdf+xml", {}),
        ("application/xml", {}),
        ("text/turtle", {}),
        ("application/ld+json", {}),
        ("multipart/form-data; boundary=x", {}),
        ("application/sparql-query", {"Content-Encoding": "gzip"}),
    ],
)
def test_a_request_body_that_is_no_query_is_not_read(
    web: httpx.Client, kind: str, more: dict[str, str]
) -> None:
    assert web.post("/sparql", content=BOMB, headers={"Content-Type": kind, **more}).status_code == 415


@pytest.mark.parametrize(
    "path",
    ["/static/../pages.py", "/static/..%2fpages.py", "/static/%2e%2e/pages.py",
     "/graphs/..%2f..%2fetc%2fpasswd", "/graph/../../etc/passwd", "/queries/..%2f..%2fpyproject.toml",
     "/queries/../pyproject.rq", "/dump/..%2fmanifest.json", "/trial/..%2f..%2fetc%2fpasswd",
     "//etc/passwd", "/.git/config", "/static/style.css%00.css"],
)  # fmt: skip
def test_no_path_leads_out_of_what_is_served(web: httpx.Client, path: str) -> None:
    request = web.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = web.send(request)
    assert answer.status_code in (400, 404)
    assert not re.search(r"root:|import |\[core\]|\[project\]|\"sha256\"", answer.text)


@pytest.mark.parametrize(
    "path",
    ["/sparql?query=SELECT", "/nowhere", "/why?subject=x", "/graphs?graph=x", "/?version=0", "/dump/x",
     "/search?q=", "/queries/routes?a=b", "/sparql?query=%FF"],
)  # fmt: skip
def test_an_error_of_ours_tells_nothing_of_the_machine(web: httpx.Client, path: str) -> None:
    text = web.get(path).text
    assert str(ROOT) not in text
    assert not re.search(r"Traceback|File \"|/home/|/usr/|/tmp/|site-packages", text)


def test_the_server_process_evaluates_nothing() -> None:
    # pyoxigraph has no deadline, and a deep enough query ends its process: only these may hold a store.
    stores = {"kg/engine/worker.py", "kg/engine/keeper.py", "kg/engine/disk.py"}
    files = [path for room in ("web", "engine", "search") for path in (ROOT / "kg" / room).rglob("*.py")]
    files += [
        ROOT / "kg" / name for name in ("rows.py", "names.py", "things.py", "bearing.py", "reconciling.py")
    ]
    found = set()
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        if names & {"Store", "load_store", "open_store", "prepareQuery", "parseQuery"}:
            found.add(str(file.relative_to(ROOT)))
    assert found == stores


def test_every_dependency_is_locked_by_hash() -> None:
    for name in ("requirements.lock", "requirements-test.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        pinned = re.findall(r"(?m)^([a-zA-Z0-9._-]+(?:\[[^\]]*\])?)==", text)
        entries = re.split(r"(?m)^(?=[a-zA-Z0-9])", text)[1:]
        assert len(pinned) == len(entries) > 20
        assert all("--hash=sha256:" in entry for entry in entries)


def test_every_test_that_the_threat_model_names_is_there() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(named) > 40
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not re.search(rf"(?m)^def {test}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"))
    ]
    assert missing == []


def test_a_bug_is_told_in_one_sentence(tmp_path_factory: pytest.TempPathFactory) -> None:
    # A route that fails as none of ours should: what comes out, and that the server goes on.
    program = (
        "import asyncio, httpx\n"
        "from fastapi import APIRouter\n"
        "from kg.engine.served import Served; from kg.settings import Settings\n"
        "from kg.snapshot import open_snapshot\n"
        "from kg.web.app import create_app\n"
        "import sys; from pathlib import Path\n"
        "routes = APIRouter()\n"
        "@routes.get('/bug')\n"
        "async def bug():\n    raise RuntimeError('/secret/path')\n"
        "async def main():\n"
        "    settings = Settings(workers=1)\n"
        "    async with Served(open_snapshot(Path(sys.argv[1])), settings) as served:\n"
        "        app = create_app(served, settings, routers=[routes])\n"
        "        transport = httpx.ASGITransport(app, raise_app_exceptions=False)\n"
        "        async with httpx.AsyncClient(transport=transport, base_url='http://h') as client:\n"
        "            answer = await client.get('/bug')\n"
        "            print(answer.status_code, answer.text)\n"
        "asyncio.run(main())\n"
    )
    line = b'<https://example.org/s> <https://example.org/p> "o" <https://example.org/g> .\n'
    snapshot = write_snapshot([line], tmp_path_factory.mktemp("bug"), version="2026-11-22")
    command = [sys.executable, "-c", program, str(snapshot.folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("500 ")
    assert "An error of ours" in done.stdout
    assert "secret" not in done.stdout
