"""What a query may do, judged by its tokens before anything evaluates it.

Hides the SPARQL tokenizer. The text is cut by the grammar (IRIs, four kinds of string, comments, prefixed
names), so the word SERVICE in a string or an IRI is no call, and a call is one however it is written. It
never parses: a parser is for the worker, which may die of it.

Where the evaluator's parser is laxer than the grammar, we follow the parser. pyoxigraph 0.5 takes keywords
without a boundary: `trueSERVICE<i>{}` and, with a prefix `ex:`, `SERVICEex:a {}` call out (tried 2026-11).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urljoin

from kg.engine import Dataset, Limits
from kg.engine.formats import Kind
from kg.errors import QueryRefused, QuerySyntaxError, QueryTooLarge, UsageError
from kg.terms import BASE

_BASE = (
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c-\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_WORD = f"{_BASE}_0-9\u00b7\u0300-\u036f\u203f-\u2040"
_UCHAR = r"\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}"
_LOCAL = rf"[{_WORD}\-:]|%[0-9A-Fa-f]{{2}}|\\[_~.\-!$&'()*+,;=/?#@%]"
_LOCAL_NAME = rf"(?:{_LOCAL})(?:(?:{_LOCAL}|\.)*(?:{_LOCAL}))?"

# The order matters: a longer form stands before its prefix. `run` is a prefixed name where it has a colon,
# otherwise words with dots and hyphens between them (`?s ?p true.FILTER(…)`), cut further below: matched in
# one go, so that a long run without colon is read once and not once for each dot.
_TOKEN = re.compile(
    "|".join(
        (
            r"(?P<space>[ \t\r\n]+)",
            r"(?P<comment>#[^\r\n]*)",
            rf"(?P<iri><(?:[^<>\"{{}}|^`\\\x00-\x20]++|{_UCHAR})*+>)",
            r'(?P<string>"""(?:"{0,2}+(?:[^"\\]++|\\.))*+"""'
            r"|'''(?:'{0,2}+(?:[^'\\]++|\\.))*+'''"
            r"|\"(?!\"\")(?:[^\"\\\r\n]++|\\.)*+\""
            r"|'(?!'')(?:[^'\\\r\n]++|\\.)*+')",
            rf"(?P<variable>[?$][{_WORD}]+)",
            r"(?P<language>@[A-Za-z]+(?:-[A-Za-z0-9]+)*(?:--(?:ltr|rtl))?)",
            rf"(?P<blank>_:[{_WORD}](?:[{_WORD}.\-]*[{_WORD}\-])?)",
            rf"(?P<run>[{_BASE}](?:[{_WORD}.\-]*[{_WORD}\-])?(?::(?:{_LOCAL_NAME})?)?|:(?:{_LOCAL_NAME})?)",
            r"(?P<number>(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)[eE][+-]?[0-9]+|[0-9]*\.[0-9]+|[0-9]+)",
            r"(?P<mark>[{}()\[\].,;=<>!&|+\-*/^?~])",
        )
    ),
    re.DOTALL,
)
_PIECE = re.compile(rf"[{_WORD}]+|[.\-]")

_SHORT = 4096  # characters; such a text is judged in a millisecond
_ASIDE = ThreadPoolExecutor(1, "guard")  # one, so that however many there are they share the time of one

_FORMS = {
    "SELECT": Kind.SOLUTIONS,
    "ASK": Kind.BOOLEAN,
    "CONSTRUCT": Kind.GRAPH,
    "DESCRIBE": Kind.GRAPH,
}
_UPDATES = frozenset(
    {"INSERT", "DELETE", "LOAD", "CLEAR", "DROP", "CREATE", "ADD", "MOVE", "COPY", "WITH", "MODIFY"}
)
UNREPEATABLE = ("NOW", "RAND", "UUID")  # in the name of a function that gives something else each time

NO_SERVICE = (
    "SERVICE is not allowed here: this endpoint asks no other server. Query the other endpoint yourself "
    "and join the answers, or federate from there into this endpoint"
)
_MOST_CALLS = 10  # SERVICE clauses of a query
NO_UPDATE = (
    "Updates are not allowed here: new knowledge enters through a loader and a build (`kg build`), "
    "which checks it and publishes a new snapshot"
)


class Token(NamedTuple):
    """A piece of a query: its kind (a group of the tokenizer, `name` or `word`), its text, its start."""

    kind: str
    text: str
    start: int


@dataclass(frozen=True)
class Call:
    """A SERVICE clause: the endpoint it asks, whether SILENT stands there, and its place in the text:
    `text[start:end]` is the clause, `text[group:end]` its pattern with the braces around it."""

    endpoint: str
    silent: bool
    start: int
    group: int
    end: int


@dataclass(frozen=True)
class Inspection:
    """What the tokens tell of a query: the kind of its result, the graphs of its FROM clauses, if any, and
    whether the same snapshot gives the same answer again: not with NOW, RAND or UUID, nor where another
    endpoint is asked; and not to the letter (`exact`) where it makes blank nodes, whose labels differ each
    time. `prologue` is where its prefixes and base end, `calls` are its SERVICE clauses in their order."""

    kind: Kind
    dataset: Dataset | None
    repeatable: bool
    exact: bool
    prologue: int = 0
    calls: tuple[Call, ...] = ()


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a query, white space and comments included: joined they give the text back.

    Raises QuerySyntaxError where no token can start: an open string, a stray character.
    """
    position = 0
    for found in _TOKEN.finditer(text):
        if found.start() != position:
            break
        kind, piece = found.lastgroup or "", found.group()
        if kind != "run":
            yield Token(kind, piece, position)
        elif ":" in piece:
            yield Token("name", piece, position)
        else:
            for part in _PIECE.finditer(piece):
                sort = "mark" if part.group() in ".-" else "word"
                yield Token(sort, part.group(), position + part.start())
        position = found.end()
    if position < len(text):
        raise _stray(text, position)


def inspect(text: str, limits: Limits) -> Inspection:
    """Judge a query's text; what comes back is fit to be evaluated in a worker.

    Raises QueryTooLarge naming the cap, QueryRefused for every update and for SERVICE to an endpoint that is
    not among `limits.services`, QuerySyntaxError where it is not a query at all.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.query_bytes:
        raise QueryTooLarge(
            f"The query has {size:,} bytes; the limit is {limits.query_bytes:,}. Send fewer values at once, "
            "or download the data and query it locally"
        )
    caps = limits.query_tokens, limits.query_nesting, limits.services
    # Editors, canned queries and monitors send the same few texts again and again.
    return (_judged_again if size <= _SHORT else _judged_lately)(text, *caps)


async def inspect_aside(text: str, limits: Limits) -> Inspection:
    """As `inspect`; a long text, which takes up to a fifth of a second, holds up only other long ones."""
    if len(text) <= _SHORT:
        return inspect(text, limits)
    return await asyncio.get_running_loop().run_in_executor(_ASIDE, inspect, text, limits)


def standing_alone(text: str) -> str:
    """A query with our base and without its own FROM clauses, on the same lines.

    For a server that is told the dataset beside the query, and may not let that override the query's.
    """
    pieces: list[str] = []
    depth, based, dropping = 0, False, 0
    for kind, piece, _ in tokens(text):
        word = piece.upper() if kind == "word" else ""
        if kind == "mark":
            depth += (piece in "({[") - (piece in ")}]")
        based = based or word == "BASE"
        if depth == 0 and word == "FROM":
            dropping = 1
        elif dropping and kind not in ("space", "comment"):
            dropping = 1 if word == "NAMED" else 0
            continue
        if not dropping or kind in ("space", "comment"):
            pieces.append(piece)
    return "".join(pieces) if based else f"BASE <{BASE}> {''.join(pieces)}"


def check_graphs(dataset: Dataset, graphs: Mapping[str, int]) -> None:
    """Refuse a dataset that names a graph we do not have; raises UsageError with the nearest names.

    Nothing is ever fetched to satisfy a FROM.
    """
    for iri in (*dataset.default, *dataset.named):
        if iri not in graphs or iri.startswith("_:"):
            near = get_close_matches(iri, list(graphs), n=3, cutoff=0.5) or sorted(graphs)[:10]
            raise UsageError(
                f"There is no graph <{iri[:200]}> here. "
                f"The nearest: {', '.join(f'<{name}>' for name in near)}. "
                "SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } } lists all"
            )


def _judged(text: str, most_tokens: int, deepest: int, services: frozenset[str]) -> Inspection:
    significant = _within_caps(text, most_tokens, deepest)
    inspection = _judge(text, significant, services)
    if "\\u" in text or "\\U" in text:
        # The standard lets an engine replace \uXXXX before it reads tokens; ours does it inside strings and
        # IRIs only. What is refused after replacement is refused by both readings.
        unescaped = re.sub(_UCHAR, _character, text)
        try:
            again = _within_caps(unescaped, most_tokens, deepest)
        except QuerySyntaxError:
            return inspection
        calls = _calls(unescaped, again, *_declared(again)[:2], services)
        if [call.endpoint for call in calls] != [call.endpoint for call in inspection.calls]:
            raise QueryRefused(
                "This query has another SERVICE clause when its \\u escapes are read first, as the standard "
                "lets an endpoint do; write the characters themselves"
            )
    return inspection


_judged_again = lru_cache(maxsize=1024)(_judged)
_judged_lately = lru_cache(maxsize=8)(_judged)  # by who answers the request, then by the engine


def _within_caps(text: str, most_tokens: int, deepest: int) -> list[Token]:
    """The tokens that mean something, counted against the caps."""
    kept: list[Token] = []
    depth = 0
    for token in tokens(text):
        if token.kind in ("space", "comment"):
            continue
        kept.append(token)
        if len(kept) > most_tokens:
            raise QueryTooLarge(
                f"The query has more than {most_tokens:,} tokens, which is the limit. Send fewer values at "
                "once, or download the data and query it locally"
            )
        if token.kind == "mark":
            if token.text in "({[":
                depth += 1
                if depth > deepest:
                    line, column = _place(text, token.start)
                    raise QueryTooLarge(
                        f"The brackets at line {line}, column {column} are nested more than {deepest} deep, "
                        "which is the limit"
                    )
            elif token.text in ")}]":
                depth -= 1
    return kept


def _judge(text: str, significant: list[Token], services: frozenset[str]) -> Inspection:
    prefixes, base, at = _declared(significant)
    if at == len(significant):
        raise QuerySyntaxError("it is empty; it starts with SELECT, ASK, CONSTRUCT or DESCRIBE")
    first = significant[at]
    word = first.text.upper()
    if first.kind == "word" and word in _UPDATES:
        raise QueryRefused(NO_UPDATE)
    form = next((form for form in _FORMS if first.kind in ("word", "name") and word.startswith(form)), None)
    if form is None:
        if word in ("PREFIX", "BASE"):
            shape = "BASE <IRI>" if word == "BASE" else "PREFIX name: <IRI>"
            raise QuerySyntaxError(f"this declaration is not of the form {shape}", *_place(text, first.start))
        near = get_close_matches(word, _FORMS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        problem = (
            f"a query starts with SELECT, ASK, CONSTRUCT or DESCRIBE, not with {first.text[:40]!r}{hint}"
        )
        raise QuerySyntaxError(problem, *_place(text, first.start))
    calls = _calls(text, significant, prefixes, base, services)
    words = {token.text.upper() for token in significant if token.kind == "word"}
    # Substrings: our parser reads `trueNOW()` as two words.
    repeatable = not any(each in word for word in words for each in UNREPEATABLE)
    makes_nodes = any("BNODE" in word for word in words) or (
        form == "CONSTRUCT" and any(kind == "blank" or text == "[" for kind, text, _ in significant)
    )
    graphs = _graphs(significant[at:], prefixes, base)
    return Inspection(
        _FORMS[form], graphs, repeatable and not calls, not makes_nodes, significant[at].start, calls
    )


def _calls(
    text: str,
    significant: list[Token],
    prefixes: Mapping[str, str],
    base: str,
    services: frozenset[str],
) -> tuple[Call, ...]:
    """The SERVICE clauses of a query; raises QueryRefused for one that may not be, in whatever way written.

    Also glued to what stands before or after it; see the module's docstring.
    """
    calls: list[Call] = []
    groups: list[
        str
    ] = []  # for each brace that is open, what its group is of: "GRAPH", "" for nothing special
    opened: Call | None = None  # the clause we are in, and how deep its own group is
    level = depth = 0
    for number, token in enumerate(significant):
        kind, said, _ = token
        if kind == "mark":
            depth += (said in "({[") - (said in ")}]")
            if said == "{":
                groups.append(_group_of(significant, number, prefixes))
            elif said == "}" and groups:
                groups.pop()
                if opened is not None and len(groups) == level:
                    calls.append(replace(opened, end=token.start + 1))
                    opened = None
        elif _is_call(significant, number, prefixes, depth):
            if not services:
                raise QueryRefused(NO_SERVICE)
            place = _place(text, token.start)
            where = "The SERVICE clause at line {}, column {}".format(*place)
            if opened is not None:
                raise QueryRefused(
                    f"{where} stands in another one. Only this endpoint knows whom it may ask; put the two "
                    "side by side, so that it asks both and joins what they say"
                )
            opened, level = _call(significant, number, prefixes, base, services, where), len(groups)
            if not groups:
                raise QuerySyntaxError("a SERVICE clause stands inside the braces of WHERE", *place)
            if not opened.group:
                raise QuerySyntaxError("after the address of SERVICE its pattern is expected, { … }", *place)
            for group in groups:
                if group:
                    raise QueryRefused(f"{where} stands in {group}, {_INSTEAD[group]}")
            if len(calls) == _MOST_CALLS:
                raise QueryRefused(
                    f"The query has more than {_MOST_CALLS} SERVICE clauses, which is the limit"
                )
    if opened is not None:
        raise QuerySyntaxError("this SERVICE clause does not end", *_place(text, opened.start))
    return tuple(calls)


_INSTEAD = {
    "EXISTS": "which asks once for each row. Use MINUS, or OPTIONAL and FILTER(!BOUND(…))",
    "LATERAL": "which asks once for each row. Leave LATERAL out",
    "GRAPH": "which means nothing elsewhere. Put it beside the GRAPH clause",
}


def _group_of(significant: list[Token], brace: int, prefixes: Mapping[str, str]) -> str:
    """What makes the group at a brace a special one for SERVICE, a key of `_INSTEAD`, or ""."""
    before, target = ([Token("", "", 0)] * 2 + significant[max(0, brace - 2) : brace])[-2:]
    if target.kind == "word":
        return next((name for name in ("EXISTS", "LATERAL") if target.text.upper().endswith(name)), "")
    if target.kind in ("iri", "name", "variable"):
        if before.kind == "word" and before.text.upper().endswith("GRAPH"):
            return "GRAPH"
        if target.text.upper().startswith("GRAPH") and target.text.partition(":")[0] not in prefixes:
            return "GRAPH"  # GRAPHex:a, as our parser lets one write
    return ""


def _is_call(significant: list[Token], number: int, prefixes: Mapping[str, str], depth: int) -> bool:
    kind, text, _ = significant[number]
    if kind == "word":
        return "SERVICE" in text.upper()
    if kind != "name":
        return False
    prefix = text.partition(":")[0]
    if "SERVICE" not in prefix.upper():
        return False
    # A declared prefix such as `service:` is a name like any other, unless it stands where a call would:
    # before a brace and not after GRAPH.
    after = significant[number + 1].text if number + 1 < len(significant) else ""
    before = significant[number - 1].text.upper() if number else ""
    called = depth > 0 and after == "{" and before != "GRAPH"
    return called or (prefix not in prefixes and not before.endswith("PREFIX"))


def _call(
    significant: list[Token],
    number: int,
    prefixes: Mapping[str, str],
    base: str,
    services: frozenset[str],
    where: str,
) -> Call:
    """The clause that begins at a token, its end still unknown, `group` 0 where none follows.

    Raises QueryRefused where it asks anybody but a listed endpoint.
    """
    rest = significant[number + 1 : number + 4]
    silent = bool(rest) and rest[0].kind == "word" and rest[0].text.upper() == "SILENT"
    target, brace = (*rest[silent:], Token("", "", 0), Token("", "", 0))[:2]
    if significant[number].text.upper() != "SERVICE" or target.kind not in ("iri", "name", "variable"):
        raise QueryRefused(
            f"{where} is not written as SERVICE <address> {{ … }} or SERVICE SILENT <address> {{ … }}, with "
            "spaces"
        )
    known = sorted(services)
    listed = f"the endpoints it may ask: {', '.join(f'<{iri}>' for iri in known[:5])}"
    listed += f" and {len(known) - 5} more, see /about" if len(known) > 5 else ""
    if target.kind == "variable":
        raise QueryRefused(f"{where} asks {target.text}, which may be anybody. Name one of {listed}")
    if target.kind == "iri":
        endpoint = _resolved(target.text, base)
    else:
        prefix, _, local = target.text.partition(":")
        endpoint = prefixes.get(prefix, "") + re.sub(r"\\(.)", r"\1", local)
    if endpoint not in services:
        raise QueryRefused(f"{where} asks <{endpoint[:200]}>, which is not among {listed}")
    group = brace.start if brace.text == "{" else 0
    return Call(endpoint, silent, significant[number].start, group, group)


def _declared(significant: list[Token]) -> tuple[dict[str, str], str, int]:
    """The prologue: prefixes, base, and the number of tokens it takes."""
    prefixes: dict[str, str] = {}
    base = BASE
    at = 0
    while at < len(significant) and significant[at].kind == "word":
        word = significant[at].text.upper()
        following = significant[at + 1 : at + 3]
        kinds = [token.kind for token in following]
        if word == "PREFIX" and kinds == ["name", "iri"] and following[0].text.endswith(":"):
            prefixes[following[0].text[:-1]] = _resolved(following[1].text, base)
            at += 3
        elif word == "BASE" and kinds[:1] == ["iri"]:
            base = _resolved(following[0].text, base)
            at += 2
        elif word == "VERSION" and kinds[:1] == ["string"]:
            at += 2
        else:
            break
    return prefixes, base, at


def _graphs(query: list[Token], prefixes: Mapping[str, str], base: str) -> Dataset | None:
    """The graphs of the query's own FROM and FROM NAMED, which stand outside all brackets."""
    default: list[str] = []
    named: list[str] = []
    depth = 0
    for number, (kind, text, _) in enumerate(query):
        if kind == "mark":
            depth += (text in "({[") - (text in ")}]")
        elif kind == "word" and depth == 0 and text.upper() == "FROM":
            rest = query[number + 1 : number + 3]
            is_named = bool(rest) and rest[0].kind == "word" and rest[0].text.upper() == "NAMED"
            source = rest[1:2] if is_named else rest[:1]
            if source and source[0].kind == "iri":
                iri = _resolved(source[0].text, base)
            elif source and source[0].kind == "name":
                prefix, _, local = source[0].text.partition(":")
                if prefix not in prefixes:
                    continue  # the parser says so, with its place
                iri = prefixes[prefix] + re.sub(r"\\(.)", r"\1", local)
            else:
                continue
            (named if is_named else default).append(iri)
    return Dataset(tuple(default), tuple(named)) if default or named else None


def _resolved(iri: str, base: str) -> str:
    return urljoin(base, re.sub(_UCHAR, _character, iri[1:-1]))


def _character(escape: re.Match[str]) -> str:
    code = int(escape.group()[2:], 16)
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "\ufffd"


def _place(text: str, position: int) -> tuple[int, int]:
    """Line and column of a position, both from 1."""
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _stray(text: str, position: int) -> QuerySyntaxError:
    character = text[position]
    if character in "\"'":
        problem = "a string starts here and does not end"
    elif character == "\\":
        problem = "an escape such as \\u0041 is understood in strings and IRIs only"
    else:
        problem = f"no part of a query starts with {character!r}"
    return QuerySyntaxError(problem, *_place(text, position))
