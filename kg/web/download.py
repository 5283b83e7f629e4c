"""`/dump`: the files of a snapshot, whole and by graph, with their checksums.

Hides Range and conditional requests, which file a name stands for, and how long one may be kept. A file under
the snapshot's own name (`/dump/2026-11-22-0a1b2c3d4e5f/…`) never changes; one without is the current one.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from kg.dump import Dump, DumpFile, dump_of
from kg.errors import UsageError, VersionGone
from kg.settings import Settings
from kg.snapshot import Snapshot, published
from kg.terms import compress
from kg.web import openapi, signposts
from kg.web.asked import IS_HEAD, engine_of
from kg.web.documents import document, matches
from kg.web.formats import choose, joined
from kg.web.language import VARY, language_of, texts
from kg.web.openapi import HTML, JSON, TEXT, parameter
from kg.web.pages import page

SUMS = "SHA256SUMS"
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2}-[0-9a-f]{12})/(.+)", re.DOTALL)
_ONE_RANGE = re.compile(r"bytes=(?:\d{1,18}-\d{0,18}|-\d{1,18})")
_OFFERED = (("application/json",), ("text/html", "application/xhtml+xml"), ("text/plain",))


def router(settings: Settings) -> APIRouter:
    """`/dump`, `/dump/SHA256SUMS`, `/dump/<file>` and `/dump/<snapshot>/<file>`."""
    routes = APIRouter(tags=["download"])

    @routes.get("/dump/", include_in_schema=False)
    @routes.get(
        "/dump", summary="The files for download, with their checksums", **openapi.described(JSON, HTML, TEXT)
    )
    async def index(request: Request) -> Response:
        dump = dump_of(engine_of(request).snapshot)
        found = choose(joined(request, "accept"), _OFFERED)
        link = {"Link": signposts.landing(dump)}
        if found is not None and found[0] == 1:
            t = texts(language_of(request), "lists")
            body = page(t["files"], _listed(dump, t), dump.snapshot.version, request)
            return document(request, body, "text/html; charset=utf-8", {**link, "Vary": VARY})
        if found is not None and found[0] == 2:
            return document(request, dump.checksums.encode(), "text/plain; charset=utf-8", link)
        body = json.dumps(described(dump), indent=1, ensure_ascii=False).encode() + b"\n"
        return document(request, body, "application/json", link)

    @routes.get(
        "/dump/{name:path}",
        summary="A file, or a part of it by Range",
        **openapi.described(
            "application/gzip",
            TEXT,
            parameters=[
                parameter("name", "As /dump lists it; after a snapshot's name it never changes", where="path")
            ],
            statuses={206: "The part that was asked for", 416: "The file has no such part"},
        ),
    )
    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        current = engine_of(request).snapshot
        versioned = _NAME.fullmatch(name)
        snapshot = _kept(settings, current, versioned[1]) if versioned else current
        dump = dump_of(snapshot)
        wanted = versioned[2] if versioned else name
        if wanted == SUMS:
            return document(request, dump.checksums.encode(), "text/plain; charset=utf-8")
        if wanted not in dump.files:
            raise UsageError(f"There is no file {wanted[:80]!r}; /dump lists those there are")
        return _sent(request, dump, dump.files[wanted], lasting=versioned is not None)

    return routes


def described(dump: Dump) -> dict[str, object]:
    """The index for programs."""
    return {
        "snapshot": dump.snapshot.name,
        "version": dump.snapshot.version,
        "hash": dump.snapshot.hash,
        "files": [
            {
                "name": file.name,
                "address": address_of(dump, file),
                "mediaType": file.media_type,
                "graph": file.graph,
                "quads": file.quads,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "contentSha256": file.content_sha256,
            }
            for file in dump.files.values()
        ],
    }


def address_of(dump: Dump, file: DumpFile) -> str:
    """The path of a file that never changes."""
    return f"/dump/{dump.snapshot.name}/{file.name}"


def _kept(settings: Settings, current: Snapshot, name: str) -> Snapshot:
    """A snapshot by its name; raises VersionGone where it is not kept."""
    if name == current.name:
        return current
    kept = published(settings.var)
    for snapshot in kept:
        if snapshot.name == name:
            return snapshot
    names = list(dict.fromkeys([current.name, *(each.name for each in kept)]))
    raise VersionGone(f"The snapshot {name} is not kept here. There are: {', '.join(names)}", names)


def _sent(request: Request, dump: Dump, file: DumpFile, *, lasting: bool) -> Response:
    created = format_datetime(datetime.fromisoformat(dump.snapshot.created), usegmt=True)
    tag = f'"{file.sha256}"'
    headers = {
        "ETag": tag,
        "Last-Modified": created,
        "Cache-Control": "public, max-age=31536000, immutable" if lasting else "no-cache",
        "Content-Location": address_of(dump, file),
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(file.sha256)).decode()}:",
        "Link": signposts.item(dump, file),
    }
    if matches(request.headers.get("if-none-match"), tag):
        return Response(None, 304, headers)
    path = dump.path(file.name)
    try:
        found = path.stat()
    except FileNotFoundError:  # a build removed the snapshot this moment
        raise VersionGone(f"The snapshot {dump.snapshot.name} is not kept any more", []) from None
    name = f"{dump.snapshot.name}-{file.name.replace('/', '-')}"
    return _File(path, headers=headers, media_type="application/gzip", filename=name, stat_result=found)


class _File(FileResponse):
    """A file, or one range of it. A Range that is not one range of bytes is ignored, as RFC 9110 has it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ranges = [value.decode("latin-1") for name, value in scope["headers"] if name == b"range"]
        if ranges and not (len(ranges) == 1 and _ONE_RANGE.fullmatch(ranges[0]) and _ordered(ranges[0])):
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"range"]}
        method = "HEAD" if scope.get(IS_HEAD) else scope["method"]  # no need to read what nobody gets
        await super().__call__({**scope, "method": method}, receive, send)


def _ordered(range: str) -> bool:
    first, _, last = range.removeprefix("bytes=").partition("-")
    return not first or not last or int(first) <= int(last)


def _listed(dump: Dump, t: Mapping[str, str]) -> str:
    rows = "".join(
        f'<tr><td><a href="{html.escape(address_of(dump, file))}">{html.escape(file.name)}</a></td>'
        f"<td>{html.escape(t['all-graphs'] if file.graph is None else compress(file.graph))}</td>"
        f'<td class="number">{file.quads:,}</td><td class="number">{file.bytes:,}</td>'
        f'<td><code class="nobreak">{file.sha256}</code></td></tr>'
        for file in dump.files.values()
    )
    lead = t["files-lead"].format(
        snapshot=html.escape(dump.snapshot.name),
        sums=f'<a href="/dump/{SUMS}">{SUMS}</a>',
        check="<code>sha256sum --check</code>",
        hash=f"<code>{dump.snapshot.hash}</code>",
    )
    heads = "".join(f"<th>{t[name]}</th>" for name in ("file", "graph", "statements", "bytes"))
    return (
        f'<h1>{t["files"]}</h1><p class=lead>{lead}</p><div class="wide" tabindex="0"><table>'
        f"<thead><tr>{heads}<th>SHA-256</th></tr></thead><tbody>{rows}</tbody></table></div>"
        f"<h2>{t['terminal']}</h2><pre>curl -O --remote-header-name --continue-at - …"
        f"{html.escape(address_of(dump, dump.files['stroma.nq.gz']))}</pre>"
    )
