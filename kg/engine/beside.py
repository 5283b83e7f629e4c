"""What stands beside a SERVICE clause and has to hold with it: patterns whose values may be sent along.

Hides how they are found: by tokens, like all that the server looks at. What is found here only narrows what
an endpoint is asked for; so wherever it is not plain that no solution gets lost, nothing is found.

A clause is joined with what stands before it in its group, and with what follows up to the first OPTIONAL,
MINUS or BIND. A FILTER that may look at something else, and other clauses, which are not answered yet, are
left out: that leaves more values than there are, and loses none as long as nothing but joins comes behind. A
clause that is alone in its group, inside of OPTIONAL or of a branch of UNION, is joined with what stands
before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kg.engine.guard import UNREPEATABLE, Call, Token, tokens

# Where one of these begins, what follows is joined with the result of it, not with the clause.
_ENDS = frozenset({"OPTIONAL", "MINUS", "BIND", "LATERAL"})
_WORDS = (*_ENDS, "FILTER", "UNION", "SERVICE", "SELECT", "GRAPH", "EXISTS")
_OPEN, _CLOSE = frozenset("({["), frozenset(")}]")


@dataclass
class _Group:
    """A group in braces: where its tokens begin and end, what stands before it, and what is around it."""

    start: int  # the token after its brace
    end: int = 0  # its closing brace
    word: str = ""  # OPTIONAL, UNION, …; "" for none
    begins: int = 0  # the token with which the whole element begins: OPTIONAL, or the first branch of UNION
    around: _Group | None = None
    chain: int = 0  # where the newest element in it began that is a group


def beside(text: str, calls: Sequence[Call]) -> list[str]:
    """For each clause of a query a pattern that has to hold with it, "" where there is none to be sure of."""
    significant = [token for token in tokens(text) if token.kind not in ("space", "comment")]
    if any(_is_in_doubt(token) for token in significant):
        return [""] * len(calls)
    groups = _groups(significant)
    numbers = {token.start: number for number, token in enumerate(significant)}
    spans = [(numbers[call.start], numbers[call.group]) for call in calls]
    return [_beside(text, significant, groups, spans, number) for number in range(len(calls))]


def _is_in_doubt(token: Token) -> bool:
    """A word in which our parser, which needs no boundary, may read several; or one that says each time
    something else."""
    word = token.text.upper()
    return token.kind == "word" and (
        any(each in word for each in UNREPEATABLE)
        or (word not in _WORDS and any(each in word for each in _WORDS))
    )


def _groups(significant: Sequence[Token]) -> list[_Group]:
    """The innermost group of each token."""
    of: list[_Group] = []
    group = _Group(0, len(significant))
    for number, token in enumerate(significant):
        if token.text == "{" and token.kind == "mark":
            before = significant[number - 1] if number else Token("", "", 0)
            word = before.text.upper() if before.kind == "word" else ""
            if word != "UNION":
                group.chain = number - (word == "OPTIONAL")
            of.append(group)
            group = _Group(number + 1, word=word, begins=group.chain, around=group)
        elif token.text == "}" and token.kind == "mark":
            group.end = number
            group = group.around or group
            of.append(group)
        else:
            of.append(group)
    return of


def _beside(
    text: str,
    significant: Sequence[Token],
    groups: Sequence[_Group],
    spans: Sequence[tuple[int, int]],
    which: int,
) -> str:
    first, brace = spans[which]
    group = groups[first]
    last = _matching(significant, brace)
    before = _plain(text, significant, spans, group.start, first)
    after = _plain(text, significant, spans, last + 1, _end_of_joins(significant, last + 1, group.end))
    if before is None or after is None:
        return ""
    alone = not any(
        token.text != "." for token in (*significant[group.start : first], *significant[last + 1 : group.end])
    )
    outer = group.around
    if not alone or outer is None or group.word not in ("OPTIONAL", "UNION", ""):
        return _together(before, after)
    if outer.around is None or significant[outer.start].text.upper() == "SELECT":
        return ""  # it is the WHERE of the query, or of a SELECT in it
    around = _plain(text, significant, spans, outer.start, group.begins)
    return _together(around) if around else ""


@dataclass
class _Part:
    """A part of a group: its patterns, its FILTERs with their variables, and what every row of it binds."""

    patterns: str
    filters: list[tuple[str, frozenset[str]]]
    binds: frozenset[str]


def _together(*parts: _Part) -> str:
    """What parts of a group come to when joined; of the FILTERs those that look at nothing else."""
    binds = frozenset[str]().union(*(part.binds for part in parts))
    patterns = [f"{{ {part.patterns} }}" for part in parts if part.patterns]
    filters = [text for part in parts for text, seen in part.filters if seen <= binds]
    return " ".join([*patterns, *filters]) if patterns else ""


def _plain(
    text: str, significant: Sequence[Token], spans: Sequence[tuple[int, int]], start: int, end: int
) -> _Part | None:
    """The part of a group between two of its tokens, without the SERVICE clauses that stand in it.

    None where a clause stands deeper in it, or what comes behind one does more than join.
    """
    clauses = dict(spans)
    kept: list[str] = []
    filters: list[tuple[str, frozenset[str]]] = []
    binds: set[str] = set()
    from_here = number = start
    depth = 0
    in_values = cut = False
    while number < end:
        token = significant[number]
        word = token.text.upper() if token.kind == "word" else ""
        if number in clauses or (word == "FILTER" and depth == 0):
            if depth:
                return None
            last = _matching(significant, _opening(significant, clauses.get(number, number), end))
            kept.append(_text(text, significant, from_here, number))
            if number in clauses:
                cut = True
            else:
                inside = significant[number : last + 1]
                seen = frozenset(each.text[1:] for each in inside if each.kind == "variable")
                filters.append((_text(text, significant, number, last + 1), seen))
            number = from_here = last + 1
            continue
        if cut and depth == 0 and word in _ENDS:
            return None
        if token.kind == "mark":
            depth += (token.text in _OPEN) - (token.text in _CLOSE)
            in_values = in_values and not (token.text == "}" and depth == 0)
        elif token.kind == "variable" and depth == 0 and not in_values:
            binds.add(token.text[1:])
        in_values = in_values or (word == "VALUES" and depth == 0)  # whose rows may leave one open
        number += 1
    kept.append(_text(text, significant, from_here, end))
    return _Part(_joined(kept), filters, frozenset(binds))


def _opening(significant: Sequence[Token], number: int, end: int) -> int:
    """The next opening bracket of a FILTER or a group."""
    while number < end and significant[number].text not in ("(", "{"):
        number += 1
    return number


def _text(text: str, significant: Sequence[Token], start: int, end: int) -> str:
    """The text of some tokens."""
    if start >= end:
        return ""
    last = significant[end - 1]
    return text[significant[start].start : last.start + len(last.text)]


def _joined(pieces: Sequence[str]) -> str:
    """Pieces of a group as one: a dot ends the triples of each, where none does."""
    trimmed = [piece.strip().removeprefix(".").removesuffix(".").strip() for piece in pieces]
    return " . ".join(piece for piece in trimmed if piece)


def _matching(significant: Sequence[Token], opens: int) -> int:
    """The bracket that closes one; the last token where none does."""
    depth = 0
    for number in range(opens, len(significant)):
        if significant[number].kind == "mark":
            depth += (significant[number].text in _OPEN) - (significant[number].text in _CLOSE)
            if depth == 0:
                return number
    return len(significant) - 1


def _end_of_joins(significant: Sequence[Token], start: int, end: int) -> int:
    depth = 0
    for number in range(start, end):
        token = significant[number]
        if token.kind == "mark":
            depth += (token.text in _OPEN) - (token.text in _CLOSE)
        elif depth == 0 and token.kind == "word" and token.text.upper() in _ENDS:
            return number
    return end
