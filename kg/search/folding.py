"""One spelling for all: what a name and a search have in common, whatever script, case or accent.

Hides OpenCC and Unicode. Traditional characters become simplified ones, Greek letters their names, so that
`IFN-γ` is found by `ifn gamma` and 幹細胞 by 干细胞.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from opencc import OpenCC

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ebef"
_IS_CHINESE = re.compile(f"[{_CHINESE}]")
# A Chinese character is a word of its own: any run of them can be found, two characters too.
_WORD = re.compile(rf"[{_CHINESE}]|[^\W_{_CHINESE}]+")
# Where the words of an identifier meet: at a capital after a small letter, and at punctuation.
_JOINT = re.compile(r"(?<=[a-z])(?=[A-Z])|[/_.+-]")
_GREEK = {
    letter: unicodedata.name(letter).removeprefix("GREEK SMALL LETTER ").lower()
    for letter in "αβγδεζηθικλμνξπρστυφχψω"
} | {"ς": "sigma", "λ": "lambda", "µ": "mu"}


class _Plain(dict[int, str | None]):
    """What each character becomes for `str.translate`, found when it is first met."""

    def __missing__(self, code: int) -> str | None:
        letter = chr(code)
        self[code] = None if unicodedata.combining(letter) else _GREEK.get(letter, letter)
        return self[code]


_PLAIN = _Plain()


@lru_cache(maxsize=1)
def _simplifier() -> OpenCC:
    return OpenCC("t2s")


def fold(text: str) -> list[str]:
    """The words of a text: lower case, without accents, simplified, a Chinese character each its own.

    `fold("IFN-γ 干細胞")` -> `["ifn", "gamma", "干", "细", "胞"]`
    """
    if text.isascii():  # most of a registry, in a tenth of the time
        return _WORD.findall(text.lower())
    text = unicodedata.normalize("NFKD", text).casefold().translate(_PLAIN)
    if _IS_CHINESE.search(text):
        text = _simplifier().convert(text)
    return _WORD.findall(text)


def as_words(identifier: str) -> str:
    """An identifier, or its last part, as people write it: `hasTissueSource` -> `has Tissue Source`."""
    return _JOINT.sub(" ", identifier).strip()


def is_chinese(word: str) -> bool:
    """Whether a word of `fold` is a Chinese character."""
    return _IS_CHINESE.match(word) is not None
