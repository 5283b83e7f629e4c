"""Which language a page is in, and its words.

Hides negotiation: a language chosen by the switch stays in a cookie, else the browser's Accept-Language
decides, else English. Texts of the graph come from the graph; these are the words around them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request

LANGUAGES: Mapping[str, str] = {"en": "English", "zh-Hans": "简体中文", "zh-Hant": "繁體中文"}
COOKIE = "language"
VARY = "Accept, Accept-Language, Cookie"
_CHOSEN = re.compile(rf"(?:^|;)\s*+({COOKIE}=(?:{'|'.join(LANGUAGES)}))(?=\s*+(?:;|$))".encode())
_TEXTS = Path(__file__).parent / "texts.toml"
# Where people write traditional characters; other Chinese is simplified.
_TRADITIONAL = ("hant", "tw", "hk", "mo")


def language_of(request: Request) -> str:
    """The language a request asks for: one of LANGUAGES."""
    chosen = request.cookies.get(COOKIE, "")
    return chosen if chosen in LANGUAGES else accepted(request.headers.get("accept-language", ""))


def without_cookies(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of a request with no cookie but ours, and that only where it names a language.

    FastAPI reads all cookies of each request by `http.cookies`, which takes the square of a value's length
    (CPython's gh-123067, before 3.11.10).
    """
    kept = [(name, value) for name, value in headers if name != b"cookie"]
    if len(kept) < len(headers):
        chosen = _CHOSEN.search(b";".join(value for name, value in headers if name == b"cookie"))
        if chosen:
            kept.append((b"cookie", chosen[1]))
    return kept


def accepted(header: str) -> str:
    """The best of our languages by an Accept-Language header (RFC 9110, 12.5.4); English where none fits."""
    best, quality = "en", 0.0
    for part in header.split(","):
        tag, _, parameters = part.strip().partition(";")
        weight = 1.0
        for parameter in parameters.split(";"):
            name, _, value = parameter.strip().partition("=")
            if name.lower() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        language = _ours(tag.strip().lower())
        if language is not None and weight > quality:
            best, quality = language, weight
    return best


def _ours(tag: str) -> str | None:
    main, *rest = tag.split("-")
    if main in ("en", "*"):
        return "en"
    if main != "zh":
        return None
    return "zh-Hant" if any(part in _TRADITIONAL for part in rest) else "zh-Hans"


@lru_cache(maxsize=1)
def _all() -> Mapping[str, Mapping[str, object]]:
    with _TEXTS.open("rb") as file:
        return tomllib.load(file)


def text(language: str, key: str) -> str:
    """A text of the pages in a language; raises KeyError for a key nobody wrote."""
    return str(_all()[language][key])


def texts(language: str, part: str) -> Mapping[str, str]:
    """All texts of one part of the pages in a language."""
    found = _all()[part][language]
    assert isinstance(found, dict)
    return found


def kind_name(language: str, kind: str) -> str:
    """What a kind of thing (`kg.search.KIND_NAMES`) is called, in the plural."""
    kinds = _all()["kinds"][language]
    assert isinstance(kinds, dict)
    return str(kinds[kind])


def topic_name(language: str, topic: str) -> str:
    """What a topic of questions (a folder of `queries/`) is called; its own name where nobody named it."""
    topics = _all()["topics"][language]
    assert isinstance(topics, dict)
    return str(topics.get(topic, topic.capitalize()))


def source_name(language: str, source: str) -> str:
    """What a source of the graph is called beside a statement; "" for one that has no such name."""
    return texts(language, "sources").get(source, "")
