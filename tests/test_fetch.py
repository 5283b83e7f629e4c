"""Downloads from a real server on the loopback: breaks, refusals and cut bodies leave nothing half-done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from kg.errors import SourceError, UsageError
from loaders.fetch import Api, Fetched, fetch

PAGE = 25  # 80 studies -> pages of 25, 25, 25 and 5


@dataclass
class Registry:
    """A registry that serves the real studies in pages; `troubles` are what it does first, page by page."""

    studies: list[Any]
    troubles: dict[int, list[str]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    url: str = ""

    def body(self, page: int) -> bytes:
        start = page * PAGE
        found: dict[str, Any] = {"studies": self.studies[start : start + PAGE]}
        if start + PAGE < len(self.studies):
            found["nextPageToken"] = f"token-{page + 1}"
        return json.dumps(found).encode()


@pytest.fixture
def registry(shared: Path) -> Iterator[Registry]:
    file = shared / "data/clinicaltrials/v2-studies-80.json"
    served = Registry(json.loads(file.read_text(encoding="utf-8")))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            page = int(query["pageToken"][0].removeprefix("token-")) if "pageToken" in query else 0
            served.asked.append(page)
            body = served.body(page)
            etag = f'"{hashlib.sha256(body).hexdigest()}"'
            trouble = served.troubles[page].pop(0) if served.troubles.get(page) else ""
            if trouble == "drop":
                self.close_connection = True
            elif trouble == "truncate":
                self._answer(200, body[: len(body) // 2], len(body), etag)
                self.close_connection = True
            elif trouble == "half json":
                self._answer(200, body[: len(body) // 2], len(body) // 2, etag)
            elif trouble:
                self._answer(int(trouble), b"", 0, etag)
            elif self.headers.get("If-None-Match") == etag:
                self._answer(304, b"", 0, etag)
            else:
                self._answer(200, body, len(body), etag)

        def _answer(self, status: int, body: bytes, length: int, etag: str) -> None:
            self.send_response(status)
            self.send_header("ETag", etag)
            if status == 429:
                self.send_header("Retry-After", "7")
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/studies"
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def download(registry: Registry, folder: Path, waits: list[float] | None = None) -> Fetched:
    api = Api(registry.url, page_size=PAGE)
    with httpx.Client(timeout=5, trust_env=False) as client:
        return fetch(
            "clinicaltrials", folder, client=client, api=api, wait=(waits if waits is not None else []).append
        )


def studies_in(fetched: Fetched) -> list[Any]:
    return [study for file in fetched.files for study in json.loads(file.read_bytes())["studies"]]


def test_all_pages_arrive_in_order(registry: Registry, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with httpx.Client(timeout=5, trust_env=False) as client:
        fetched = fetch(
            "clinicaltrials", tmp_path, client=client,
            api=Api(registry.url, page_size=PAGE), progress=lambda pages, items: seen.append((pages, items)),
        )  # fmt: skip
    assert (fetched.items, fetched.requests, len(fetched.files)) == (80, 4, 4)
    assert studies_in(fetched) == registry.studies
    assert seen == [(1, 25), (2, 50), (3, 75), (4, 80)]


@pytest.mark.parametrize("trouble", ["drop", "truncate", "half json", "500", "503", "429"])
def test_a_page_is_asked_again_after(trouble: str, registry: Registry, tmp_path: Path) -> None:
    registry.troubles = {1: [trouble, trouble]}
    waits: list[float] = []
    fetched = download(registry, tmp_path, waits)
    assert studies_in(fetched) == registry.studies
    assert registry.asked == [0, 1, 1, 1, 2, 3]
    assert waits == ([7, 7] if trouble == "429" else [1, 2])  # 429 says how long; else the time doubles
    assert list(tmp_path.glob("*.part")) == []


def test_a_download_goes_on_where_it_broke(registry: Registry, tmp_path: Path) -> None:
    registry.troubles = {2: ["truncate"] * 6}
    with pytest.raises(
        SourceError, match=r"page 3 could not be had in 6 attempts.*Run the same command again"
    ):
        download(registry, tmp_path)
    # Two whole pages stand, and nothing else but the state.
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "download.json", "page-00001.json", "page-00002.json",
    ]  # fmt: skip
    registry.asked.clear()
    fetched = download(registry, tmp_path)
    assert registry.asked == [2, 3]
    assert studies_in(fetched) == registry.studies


def test_a_damaged_page_is_fetched_again(registry: Registry, tmp_path: Path) -> None:
    download(registry, tmp_path)
    (tmp_path / "page-00002.json").write_bytes(b'{"studies": [')
    (tmp_path / "page-00003.json.part").write_bytes(b"left by a kill")
    registry.asked.clear()
    fetched = download(registry, tmp_path)
    assert registry.asked == [0, 1, 2, 3]  # a complete download is renewed page by page
    assert studies_in(fetched) == registry.studies
    assert list(tmp_path.glob("*.part")) == []


def test_an_unchanged_page_is_not_sent_twice(registry: Registry, tmp_path: Path) -> None:
    first = download(registry, tmp_path)
    written = [file.stat().st_mtime_ns for file in first.files]
    second = download(registry, tmp_path)
    assert second.requests == 4  # each answered with 304
    assert [file.stat().st_mtime_ns for file in second.files] == written


def test_a_renewal_drops_pages_the_registry_no_longer_has(registry: Registry, tmp_path: Path) -> None:
    download(registry, tmp_path)
    registry.studies = registry.studies[:30]
    fetched = download(registry, tmp_path)
    assert fetched.items == 30
    assert sorted(file.name for file in tmp_path.glob("page-*")) == ["page-00001.json", "page-00002.json"]


def test_a_refused_question_is_not_repeated(registry: Registry, tmp_path: Path) -> None:
    registry.troubles = {0: ["400"]}
    with pytest.raises(SourceError, match=r"status 400.*Check the question"):
        download(registry, tmp_path)
    assert registry.asked == [0]


def test_a_folder_of_another_question_is_refused(registry: Registry, tmp_path: Path) -> None:
    download(registry, tmp_path)
    with (
        httpx.Client(trust_env=False) as client,
        pytest.raises(SourceError, match=r"another question.*Choose an empty folder"),
    ):
        fetch("clinicaltrials", tmp_path, client=client, api=Api(registry.url, page_size=10))


def test_an_unknown_source_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with httpx.Client(trust_env=False) as client, pytest.raises(UsageError, match="clinicaltrials can"):
        fetch("euctr", tmp_path, client=client)
    assert list(tmp_path.iterdir()) == []
