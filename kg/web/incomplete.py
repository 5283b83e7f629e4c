"""The last words of an answer that failed after its first byte: why, and no end that a parser takes.

Hides how each format is broken. The connection is cut after them, without the end that HTTP asks for; they
are for clients that do not look (HTTP/1.0, a pipe), and for people who read what arrived.
"""

from __future__ import annotations

from kg.engine.formats import Format

_COMMENTS = ("turtle", "ntriples", "nquads", "trig")


def last_words(format: Format, why: str) -> bytes:
    """What to write after a body that stopped anywhere: never the end of a document of this format."""
    said = "The answer is not complete: " + " ".join(why.split())
    if format.key in _COMMENTS:
        # A comment for people, then an IRI that never ends.
        return f"\n# {said}\n<not-complete".encode()
    if format.key in ("xml", "rdfxml"):
        # Two hyphens would end the comment; after it comes a tag that never ends.
        return f"\n<!-- {said.replace('--', '- -')} -->\n<not-complete".encode()
    if format.key == "csv":
        # A quoted field that never ends.
        return f'\r\n"{said.replace(chr(34), chr(39))}\r\n'.encode()
    if format.key == "tsv":
        return f"\n<{said.replace('>', '')}\n".encode()
    if format.key == "html":
        return f"</td></tr></tbody></table></div><p><strong>{_escaped(said)}</strong></p>\n".encode()
    return f"\n# {said}\n".encode()  # JSON has no comments: no parser goes on after this


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
