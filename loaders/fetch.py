"""Downloads: the only loader module with network. A registry's pages into a folder, resumed after any break.

Hides retries, back-off, partial files and the state that lets a download go on where it stopped. What
stands in the folder under a page's name is whole: it is written under another name, checked, and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from kg.errors import SourceError, UsageError

STATE = "download.json"
ATTEMPTS = 6  # for one page; waits between them 1, 2, 4, 8, 16 seconds
MAX_PAGE = 256 * 1024 * 1024  # bytes; a thousand studies with results have about 60 million
_AGAIN = "Run the same command again: it goes on where it stopped"


@dataclass(frozen=True)
class Api:
    """A paged source: where it is, what is asked, and the names of the paging parameters."""

    url: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    page_size: int = 200
    size_name: str = "pageSize"
    token_name: str = "pageToken"
    next_name: str = "nextPageToken"
    items_name: str = "studies"


@dataclass(frozen=True)
class Fetched:
    """What stands in the folder after a download: the page files in order, and how many items they hold."""

    files: tuple[Path, ...]
    items: int
    requests: int  # made by this run; 0 when everything was there already


# What `kg fetch SOURCE` can download.
APIS: dict[str, Api] = {
    "clinicaltrials": Api(
        "https://clinicaltrials.gov/api/v2/studies",
        {"format": "json", "query.intr": "mesenchymal stem cells OR mesenchymal stromal cells"},
    ),
}


def fetch(
    source: str,
    destination: Path,
    *,
    client: httpx.Client | None = None,
    api: Api | None = None,
    wait: Callable[[float], None] = time.sleep,
    progress: Callable[[int, int], None] | None = None,
) -> Fetched:
    """Download a source into `destination`, one file a page, going on where an earlier run stopped.

    `client` carries time limits and proxies; without one, a connection may take 10 seconds and a silence
    60. `progress` is called with (pages, items) after each page. A download that is complete is renewed: each
    page is asked with its ETag, and kept where it did not change. Raises UsageError for a source that cannot
    be downloaded, SourceError when a page cannot be had after several attempts; the pages so far stay, whole.
    """
    plan = api or APIS.get(source)
    if plan is None:
        raise UsageError(f"{source!r} cannot be downloaded; {', '.join(sorted(APIS))} can")
    download = _Download(source, plan, destination, wait)
    if client is not None:
        return download.run(client, progress)
    with httpx.Client(timeout=httpx.Timeout(60, connect=10), follow_redirects=True) as own:
        return download.run(own, progress)


class _Download:
    """One run over the pages."""

    def __init__(self, source: str, api: Api, folder: Path, wait: Callable[[float], None]) -> None:
        self._source, self._api, self._folder, self._wait = source, api, folder, wait
        self._requests = 0

    def run(self, client: httpx.Client, progress: Callable[[int, int], None] | None) -> Fetched:
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.glob("*.part"):
            left.unlink()
        state = self._state()
        if state["complete"]:
            state |= {"run": state["run"] + 1, "complete": False}
            self._save(state)
        pages: list[dict[str, Any]] = state["pages"]
        number, token = 0, None
        while number == 0 or token is not None:
            known = pages[number] if number < len(pages) and pages[number]["token"] == token else None
            whole = known is not None and self._whole(known)
            if known is None or not whole or known["run"] != state["run"]:
                page = self._page(client, number + 1, token, known if whole else None) | {"run": state["run"]}
                # A page that leads elsewhere than before makes all later ones another list.
                same = known is not None and known["next"] == page["next"]
                pages[number : number + 1 if same else None] = [page]
                self._save(state)
            number, token = number + 1, pages[number]["next"]
            if progress is not None:
                progress(number, sum(page["items"] for page in pages[:number]))
        state |= {"complete": True, "pages": pages[:number]}
        self._save(state)
        files = tuple(self._folder / page["file"] for page in pages[:number])
        for file in self._folder.glob("page-*.json"):
            if file not in files:
                file.unlink()
        return Fetched(files, sum(page["items"] for page in pages[:number]), self._requests)

    def _state(self) -> dict[str, Any]:
        asked = {"url": self._api.url, "parameters": dict(self._api.parameters), "size": self._api.page_size}
        file = self._folder / STATE
        try:
            state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            state = {}
        except ValueError as problem:
            raise SourceError(
                f"the state of the download is damaged ({problem})",
                source=self._source, file=STATE, advice=f"Remove {file} to begin again",
            ) from problem  # fmt: skip
        if state and state["asked"] != asked:
            raise SourceError(
                "the folder holds a download of another question",
                source=self._source, file=STATE, value=state["asked"], advice="Choose an empty folder",
            )  # fmt: skip
        return state or {"asked": asked, "run": 1, "complete": False, "pages": []}

    def _whole(self, page: Mapping[str, Any]) -> bool:
        file = self._folder / page["file"]
        return file.is_file() and _sha256(file.read_bytes()) == str(page["sha256"])

    def _page(
        self, client: httpx.Client, number: int, token: str | None, known: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Ask for a page until it is whole; with a known ETag, an unchanged page is kept."""
        parameters = dict(self._api.parameters) | {self._api.size_name: str(self._api.page_size)}
        if token is not None:
            parameters[self._api.token_name] = token
        headers = {"If-None-Match": known["etag"]} if known and known["etag"] else {}
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._wait(self._pause(attempt, problem))
            self._requests += 1
            try:
                with client.stream("GET", self._api.url, params=parameters, headers=headers) as response:
                    if response.status_code == httpx.codes.NOT_MODIFIED and known:
                        return dict(known)
                    if response.status_code in (408, 425, 429) or response.status_code >= 500:
                        problem = f"status {response.status_code}"
                        after = response.headers.get("Retry-After", "")
                        problem += f", retry after {after}" if after.isdigit() else ""
                        continue
                    if response.status_code != httpx.codes.OK:
                        raise SourceError(
                            f"the registry answers with status {response.status_code}",
                            source=self._source, file=f"page {number}", value=parameters,
                            advice="Check the question; the registry does not accept it",
                        )  # fmt: skip
                    body = self._body(response, number)
                    found = json.loads(body.decode("utf-8"))
                    items = found[self._api.items_name]
                    return self._keep(
                        number, token, body, len(items), found.get(self._api.next_name), response
                    )
            except (httpx.TransportError, httpx.DecodingError) as broken:
                problem = f"{type(broken).__name__}: {broken}"
            except (ValueError, KeyError, TypeError) as damaged:
                problem = f"the page is damaged ({type(damaged).__name__}: {damaged})"
        raise SourceError(
            f"page {number} could not be had in {ATTEMPTS} attempts; the last: {problem}",
            source=self._source, file=f"page {number}", advice=_AGAIN,
        )  # fmt: skip

    def _body(self, response: httpx.Response, number: int) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_PAGE:
                raise SourceError(
                    f"is over {MAX_PAGE:,} bytes",
                    source=self._source, file=f"page {number}", advice="Ask for fewer studies a page",
                )  # fmt: skip
        return bytes(body)

    def _pause(self, attempt: int, problem: str) -> float:
        """Seconds before the next attempt: what the registry asks for, at most 120, or a doubling time."""
        asked = problem.rpartition("retry after ")[2] if "retry after" in problem else ""
        return float(min(int(asked), 120)) if asked else float(2 ** (attempt - 1))

    def _keep(
        self,
        number: int,
        token: str | None,
        body: bytes,
        items: int,
        following: str | None,
        response: httpx.Response,
    ) -> dict[str, Any]:
        name = f"page-{number:05d}.json"
        part = self._folder / f"{name}.part"
        with part.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._folder / name)
        return {
            "file": name,
            "token": token,
            "next": following,
            "items": items,
            "sha256": _sha256(body),
            "etag": response.headers.get("ETag"),
        }

    def _save(self, state: Mapping[str, Any]) -> None:
        part = self._folder / f"{STATE}.part"
        part.write_text(json.dumps(state, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(self._folder / STATE)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
