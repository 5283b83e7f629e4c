"""Which representation a client gets: RFC 9110 negotiation over the table of `kg.engine.formats`.

Hides media ranges, specificity and q. The table itself lives beside the engine, which has to write it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from kg.engine.formats import Format, Kind, formats_for, named_format
from kg.errors import UsageError

_PART = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PARAMETER = re.compile(r';\s*([^\s=;,"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)')


class Range(NamedTuple):
    """A media range of an Accept header, in lower case: `type` and `subtype` may be `*`. No parameters."""

    type: str
    subtype: str
    quality: float


class NotAcceptable(UsageError):
    """None of the representations we have is one the client accepts; the message lists ours."""

    status = 406
    slug = "not-acceptable"


@lru_cache(maxsize=512)
def accepted(header: str) -> tuple[Range, ...]:
    """The ranges of an Accept header in their order; what is no media range is passed over."""
    ranges = []
    for part in _PART.findall(header):
        name = part.partition(";")[0].strip().lower()
        if name == "*":
            name = "*/*"  # java.net.HttpURLConnection sends `*; q=.2`
        kind, slash, subtype = name.partition("/")
        if not slash or not kind or not subtype or (kind == "*" and subtype != "*"):
            continue
        quality = 1.0
        for key, value in _PARAMETER.findall(part):
            if key.lower() == "q":
                try:
                    quality = min(max(float(value), 0.0), 1.0)
                except ValueError:
                    quality = 0.0
                break
        ranges.append(Range(kind, subtype, quality))
    return tuple(ranges)


def choose(header: str | None, offered: Sequence[Sequence[str]]) -> tuple[int, str] | None:
    """The best of `offered`, as its index and the media type to call it by; None when none is acceptable.

    Each offer is the media types one representation may be called by, its own first. The most specific
    range that matches a type gives its quality; the highest quality wins, then the more specific match,
    then the client's order, then ours. No header, or one without a media range, accepts everything.
    """
    ranges = accepted(header) if header else ()
    if not ranges:
        return 0, offered[0][0]
    best: tuple[float, int, int, int] | None = None
    chosen: tuple[int, str] | None = None
    for index, names in enumerate(offered):
        for name in names:
            quality, specificity, order = _match(name, ranges)
            rank = (quality, specificity, -order, -index)
            # An alias counts only where a client names it: `application/*` means our own media type.
            named = name == names[0] or specificity == 2
            if quality > 0 and named and (best is None or rank > best):
                best, chosen = rank, (index, name)
    return chosen


def _match(name: str, ranges: Sequence[Range]) -> tuple[float, int, int]:
    kind, _, subtype = name.partition("/")
    quality, specificity, order = 0.0, -1, 0
    for number, each in enumerate(ranges):
        if each.type == kind and each.subtype == subtype:
            specific = 2
        elif each.type == kind and each.subtype == "*":
            specific = 1
        elif each.type == "*":
            specific = 0
        else:
            continue
        if specific > specificity or (specific == specificity and each.quality > quality):
            quality, specificity, order = each.quality, specific, number
    return quality, specificity, order


@lru_cache(maxsize=512)
def negotiate(header: str | None, name: str | None, kind: Kind) -> tuple[Format, str]:
    """The format for a result and its Content-Type; a `name` (`?format=`) wins over the Accept header.

    Raises NotAcceptable listing what is offered for this kind of result.
    """
    offered = formats_for(kind)
    if name:
        try:
            format = named_format(name, kind)
        except UsageError as problem:
            raise NotAcceptable(f"{problem}") from None
        return format, format.content_type
    found = choose(header, [(format.media_type, *format.aliases) for format in offered])
    if found is None:
        media_types = ", ".join(format.media_type for format in offered)
        raise NotAcceptable(
            f"Nothing on offer fits Accept: {(header or '')[:200]}. For this query there are: {media_types}"
        )
    format, called = offered[found[0]], found[1]
    if called == format.media_type:
        return format, format.content_type
    return format, f"{called}; charset=utf-8" if called.startswith("text/") else called
