"""The look of every page: one frame, one style sheet, three languages.

Hides Jinja, the addresses of static files (each carries a digest of its content, so that browsers keep it for
ever) and the Content-Security-Policy: nothing loads or runs but files of this server.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request

from kg.terms import compress
from kg.web.language import LANGUAGES, kind_name, language_of, source_name, text, topic_name

STATIC = Path(__file__).parent / "static"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_DIVIDER = "\x00content\x00"


@lru_cache(maxsize=1)
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.globals.update(
        static=static,
        languages=LANGUAGES,
        kind_name=kind_name,
        topic_name=topic_name,
        source_name=source_name,
    )
    templates.filters.update(curie=compress)
    return templates


@lru_cache(maxsize=64)
def static(name: str) -> str | None:
    """The address of a static file: `/static/style.<digest>.css`; None for a bundle that was not built."""
    file = Path(name)
    if not (STATIC / name).is_file():
        return None
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{file.with_suffix('')}.{digest}{file.suffix}"


def render(request: Request | None, template: str, version: str, **values: object) -> bytes:
    """A page from a template, in the language the request asks for; English without a request."""
    language = "en" if request is None else language_of(request)
    here = "/"
    if request is not None:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return (
        _templates()
        .get_template(template)
        .render(language=language, here=here, version=version, t=lambda key: text(language, key), **values)
        .encode()
    )


def page(title: str, content: str, version: str, request: Request | None = None) -> bytes:
    """A whole page around `content`, which is HTML; `title` is plain text, `version` the snapshot's."""
    return render(request, "base.html", version, title=title, content=Markup(content))


def opening(title: str, version: str, request: Request | None = None) -> bytes:
    """A page up to where its content starts, for content that comes in pieces."""
    return _halves(title, version, request)[0]


def closing(title: str, version: str, request: Request | None = None) -> bytes:
    """The rest of that page."""
    return _halves(title, version, request)[1]


def _halves(title: str, version: str, request: Request | None) -> tuple[bytes, bytes]:
    before, _, after = page(title, _DIVIDER, version, request).partition(_DIVIDER.encode())
    return before, after
