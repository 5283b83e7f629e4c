"""Which representation a client gets: RFC 9110 negotiation over the table of `kg.engine.formats`.

Hides media ranges, parameters, specificity and q. The table itself lives beside the engine, which has to
write it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from starlette.requests import Request

from kg.engine.formats import Format, Kind, formats_for, named_format
from kg.errors import ParameterError, UsageError

# One pass over any header: a quoted string (an open one ends with the header), a separator, or the rest.
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[,;]|[^",;]++', re.DOTALL)
_WEIGHT = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")

# What holds of everything we send. A range that wants another value is not met; a parameter that is not
# here, such as a JSON-LD profile, is passed over (RFC 2046, 1: what is not recognised is ignored).
_HELD = {"charset": "utf-8", "header": "present"}


class Range(NamedTuple):
    """A media range of an Accept header, in lower case: `type` and `subtype` may be `*`.

    `parameters` are those that say something of what we send; `quality` is q, from 0 to 1.
    """

    type: str
    subtype: str
    quality: float
    parameters: Mapping[str, str] = {}  # never written to


class NotAcceptable(UsageError):
    """None of the representations we have is one the client accepts; the message lists ours."""

    status = 406
    slug = "not-acceptable"


def accepted(header: str) -> tuple[Range, ...]:
    """The ranges of an Accept header in their order; what is no media range is passed over."""
    # Clients send the same few headers again and again; a giant one is not worth the room.
    return _accepted_again(header) if len(header) <= 1024 else tuple(_ranges(header))


@lru_cache(maxsize=512)
def _accepted_again(header: str) -> tuple[Range, ...]:
    return tuple(_ranges(header))


def _ranges(header: str) -> Iterator[Range]:
    for name, *parameters in _split(header):
        name = name.strip().lower()
        if name == "*":
            name = "*/*"  # java.net.HttpURLConnection sends `*; q=.2`
        kind, slash, subtype = name.partition("/")
        if not slash or not kind or not subtype or (kind == "*" and subtype != "*"):
            continue
        quality: float | None = None
        wanted: dict[str, str] = {}
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            key, value = key.strip().lower(), _unquoted(value.strip())
            if key == "q":
                quality = _weight(value) if quality is None else quality
            elif key in _HELD:
                wanted[key] = value.lower()
        yield Range(kind, subtype, 1.0 if quality is None else quality, wanted)


def _split(header: str) -> Iterator[list[str]]:
    """The elements of a list header, each cut at its semicolons; quoted strings are kept whole."""
    parts = [""]
    for piece in _PIECE.findall(header):
        if piece == ",":
            yield parts
            parts = [""]
        elif piece == ";":
            parts.append("")
        else:
            parts[-1] += piece
    yield parts


def media_type(header: str) -> tuple[str, dict[str, str]]:
    """A Content-Type as its media type and its parameters, names and media type in lower case."""
    name, *parameters = next(_split(header))
    pairs = (each.partition("=") for each in parameters)
    return name.strip().lower(), {key.strip().lower(): _unquoted(value.strip()) for key, _, value in pairs}


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:].removesuffix('"')) if value.startswith('"') else value


def _weight(value: str) -> float:
    """A q as a number; one that is no number says nothing, so the range counts as named without it."""
    return min(float(value), 1.0) if _WEIGHT.fullmatch(value) else 1.0


def joined(request: Request, name: str) -> str | None:
    """A header that may come several times, as one; None where it is absent."""
    values = request.headers.getlist(name)
    return ", ".join(values) if values else None


def choose(header: str | None, offered: Sequence[Sequence[str]]) -> tuple[int, str] | None:
    """The best of `offered`, as its index and the media type to call it by; None when none is acceptable.

    Each offer is the media types one representation may be called by, its own first. The most specific
    range that matches a type gives its quality; the highest quality wins, then the more specific match,
    then the client's order, then ours. An offer is called by its own media type where the client wants that
    as much as the name it put first. No header, or one without a media range, accepts everything.
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
            named = name == names[0] or specificity >= _NAMED
            if quality > 0 and named and (best is None or rank > best):
                best, chosen = rank, (index, name)
    if best is not None and chosen is not None:
        own = offered[chosen[0]][0]
        if _match(own, ranges)[:2] == best[:2]:
            return chosen[0], own
    return chosen


_NAMED = 2  # the specificity of `type/subtype`; each parameter that is met adds one


def _match(name: str, ranges: Sequence[Range]) -> tuple[float, int, int]:
    """What the most specific range says of a media type: its quality, how specific it is, its place."""
    kind, _, subtype = name.partition("/")
    quality, specificity, order = 0.0, -1, 0
    for number, each in enumerate(ranges):
        if each.type == kind and each.subtype == subtype:
            specific = _NAMED
        elif each.type == kind and each.subtype == "*":
            specific = 1
        elif each.type == "*":
            specific = 0
        else:
            continue
        if any(_HELD[key] != value for key, value in each.parameters.items()):
            continue
        if specific == _NAMED:
            specific += len(each.parameters)
        if specific > specificity or (specific == specificity and each.quality > quality):
            quality, specificity, order = each.quality, specific, number
    return quality, specificity, order


def _named(name: str, kind: Kind, offered: Sequence[Format]) -> Format:
    known: dict[str, Format] = {}
    unknown: list[UsageError] = []
    for each in name.split(","):
        try:
            format = named_format(each, kind, offered)
        except UsageError as problem:
            unknown.append(problem)
        else:
            known[format.key] = format
    if len(known) > 1:
        raise ParameterError(f"Several formats are named, {' and '.join(known)}; name one")
    if not known:
        raise NotAcceptable(str(unknown[0]))
    return next(iter(known.values()))


@lru_cache(maxsize=512)
def _negotiated_again(
    header: str | None, name: str | None, kind: Kind, offered: tuple[Format, ...]
) -> tuple[Format, str]:
    return _negotiated(header, name, kind, offered)


def negotiate(
    header: str | None, name: str | None, kind: Kind, offered: tuple[Format, ...] = ()
) -> tuple[Format, str]:
    """The format for a result and its Content-Type; a `name` (`?format=`) wins over the Accept header.

    `offered` are the formats there are, preferred first, all that can hold the result by default. Several
    names, with commas between them, must mean one format; of these, unknown ones are passed over:
    SPARQLWrapper sends `tsv` and `text/tab-separated-values` at once. Raises NotAcceptable listing what is
    offered for this kind of result, ParameterError where two formats are named.
    """
    if len(header or "") + len(name or "") <= 1024:
        return _negotiated_again(header, name, kind, offered)
    return _negotiated(header, name, kind, offered)


def _negotiated(
    header: str | None, name: str | None, kind: Kind, offered: tuple[Format, ...]
) -> tuple[Format, str]:
    offered = offered or formats_for(kind)
    if name:
        format = _named(name, kind, offered)
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
