"""`/dump` over HTTP: whole files and ranges, conditional requests, names that lead nowhere else."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator

import httpx
import pytest

from kg.dump import dump_of
from kg.snapshot import Snapshot

FILE = "/dump/graph/obo.nt.gz"


@pytest.fixture(scope="module")
def web(site: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def content(embedded: Snapshot) -> bytes:
    return dump_of(embedded).path("graph/obo.nt.gz").read_bytes()


def test_the_index_names_every_file_with_its_checksums(web: httpx.Client, embedded: Snapshot) -> None:
    told = web.get("/dump").json()
    assert (told["snapshot"], told["hash"]) == (embedded.name, embedded.hash)
    sums = dict(line.split("  ")[::-1] for line in web.get("/dump/SHA256SUMS").text.splitlines())
    assert sums == {each["name"]: each["sha256"] for each in told["files"]}
    page = web.get("/dump", headers={"Accept": "text/html"}).text
    assert all(each["sha256"] in page for each in told["files"])


def test_the_whole_graph_downloads_and_its_hash_is_the_snapshots(
    web: httpx.Client, embedded: Snapshot
) -> None:
    response = web.get("/dump/stroma.nq.gz")
    assert response.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in response.headers
    assert hashlib.sha256(gzip.decompress(response.content)).hexdigest() == embedded.hash


def test_a_file_under_the_snapshots_name_may_be_kept_for_ever(web: httpx.Client, embedded: Snapshot) -> None:
    lasting = web.head(f"/dump/{embedded.name}/stroma.trig.gz")
    current = web.head("/dump/stroma.trig.gz")
    assert "immutable" in lasting.headers["cache-control"]
    assert current.headers["cache-control"] == "no-cache"
    assert current.headers["content-location"] == f"/dump/{embedded.name}/stroma.trig.gz"
    assert lasting.headers["etag"] == current.headers["etag"]


def test_a_snapshot_that_is_not_kept_is_gone(web: httpx.Client) -> None:
    gone = web.get("/dump/2020-01-01-0123456789ab/stroma.nq.gz")
    assert gone.status_code == 410
    assert gone.json()["type"].endswith("version-gone")


@pytest.mark.parametrize(
    ("range", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19), ("bytes=100-", 100, None), ("bytes=-7", -7, None)],
)
def test_a_range_gets_that_part(
    web: httpx.Client, content: bytes, range: str, first: int, last: int | None
) -> None:
    response = web.get(FILE, headers={"Range": range})
    part = content[first:] if last is None else content[first : last + 1]
    start = first % len(content)
    assert (response.status_code, response.content) == (206, part)
    assert response.headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/{len(content)}"


def test_a_download_that_broke_goes_on(web: httpx.Client, content: bytes) -> None:
    tag = web.head(FILE).headers["etag"]
    rest = web.get(FILE, headers={"Range": "bytes=1000-", "If-Range": tag})
    assert (rest.status_code, rest.content) == (206, content[1000:])
    changed = web.get(FILE, headers={"Range": "bytes=1000-", "If-Range": '"another"'})
    assert (changed.status_code, changed.content) == (200, content)


@pytest.mark.parametrize(
    "range",
    ["items=0-1", "bytes=5-2", "bytes=a-b", "bytes=", "bytes=0-1,2-3", "bytes=" + "9" * 5000 + "-", "x"],
)
def test_a_range_that_is_none_is_ignored(web: httpx.Client, content: bytes, range: str) -> None:
    response = web.get(FILE, headers={"Range": range})
    assert (response.status_code, response.content) == (200, content)


@pytest.mark.parametrize("range", ["bytes=99999999-", "bytes=-0"])
def test_a_range_beyond_the_end_gets_416_and_the_size(web: httpx.Client, content: bytes, range: str) -> None:
    response = web.get(FILE, headers={"Range": range})
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(content)}"


def test_a_file_that_a_client_has_is_not_sent_again(web: httpx.Client) -> None:
    tag = web.head(FILE).headers["etag"]
    again = web.get(FILE, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content) == (304, b"")


def test_head_has_the_headers_of_get_and_no_body(web: httpx.Client) -> None:
    head, get = web.head(FILE), web.get(FILE)
    assert head.content == b""
    same = set(get.headers) - {"date"}
    assert {name: head.headers[name] for name in same} == {name: get.headers[name] for name in same}


@pytest.mark.parametrize(
    "path",
    [
        "/dump/../manifest.json",
        "/dump/%2e%2e/manifest.json",
        "/dump/..%2fmanifest.json",
        "/dump/graph/../../manifest.json",
        "/dump//etc/passwd",
        "/dump/%2fetc%2fpasswd",
        "/dump/index.json",
        "/dump/graph",
        "/dump/graph/obo.nt.gz/",
        "/dump/graph/obo.nt.gz%00",
        "/dump/graph\\..\\..\\manifest.json",
    ],
)
def test_a_path_that_is_no_file_of_the_index_is_not_found(web: httpx.Client, path: str) -> None:
    # httpx would tidy the path; this sends it as it stands.
    request = web.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    response = web.send(request)
    assert response.status_code == 404
    assert b"root:" not in response.content
