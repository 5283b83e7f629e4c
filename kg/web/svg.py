"""The pieces that pictures are made of, as SVG: text that fits, scales, ticks, marks, legends, the frame.

Hides coordinates. A picture needs no script, prints, follows dark mode (its colours are classes of the style
sheet) and carries its text alternative: a title, and a description that tells the numbers.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH = 760
LABELS = 250  # width of the column of labels
LINE = 26
MOST_MARKS = 60  # more labels than this are no picture
COLOURS = 8
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_TOLD = 24  # marks whose numbers the description tells


@dataclass(frozen=True)
class Chart:
    """A drawn chart: its SVG, and how many rows it leaves out (without a number, or too many to see)."""

    svg: str
    left_out: int


def number_of(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    # Nothing that is measured lies beyond; a scale over more would end in infinity.
    return value if value == 0 or 1e-60 < abs(value) < 1e60 else None


def text(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start", title: str = "") -> str:
    tip = f"<title>{html.escape(title)}</title>" if title else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="chart-text {kind}">'
        f"{tip}{html.escape(text)}</text>"
    )


def wide_of(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, most: int) -> str:
    """A text that fits into `most` Latin letters; a Chinese character counts two."""
    if wide_of(text) <= most:
        return text
    text = text[: most - 1]  # no character is narrower than one
    while text and wide_of(text) > most - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def cut_inside(text: str, most: int) -> str:
    """As `cut`, but what is left out is inside: the end may tell a text from others that start like it."""
    if wide_of(text) <= most:
        return text
    start = cut(text, most * 2 // 5)
    end = cut(text[::-1], most + 1 - wide_of(start))[:-1][::-1]
    return start + end.lstrip()


def ticks_of(low: float, high: float, about: int = 5) -> list[float]:
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / about))
    step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= about)
    first = math.floor(low / step) * step
    count = math.ceil((high - first) / step - 1e-9)
    return [round(first + step * n, 10) for n in range(count + 1)]


def said(value: float) -> str:
    if value and (abs(value) >= 1e5 or abs(value) < 1e-3):
        power = math.floor(math.log10(abs(value)))
        return f"{value / 10**power:.3g}×10{str(power).translate(_RAISED)}"
    return f"{value:.6g}"


def frame(height: float, title: str, description: str, body: Iterable[str], role: str = "img") -> str:
    """The whole picture; its role is "group" where there are links in it, which an "img" would hide."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="{role}" class="chart"><title>{html.escape(title)}</title>'
        f"<desc>{html.escape(description)}</desc>{''.join(body)}</svg>"
    )


def axis(scale: Scale, top: float, bottom: float, unit: str) -> str:
    parts = []
    for tick in scale.ticks:
        x = scale(tick)
        parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" class="chart-grid"/>')
        parts.append(text(x, bottom + 16, said(tick), kind="soft", anchor="middle"))
    if unit:
        parts.append(text(scale.right, bottom + 34, unit, kind="soft", anchor="end"))
    return "".join(parts)


@dataclass(frozen=True)
class Scale:
    ticks: Sequence[float]
    left: float
    right: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            value, low, high = math.log10(value), math.log10(low), math.log10(high)
        return self.left + (value - low) / ((high - low) or 1) * (self.right - self.left)


_SHAPES = ("circle", "square", "triangle", "diamond")


def mark(shape: str, x: float, y: float, colour: str, tip: str = "") -> str:
    """A mark of one of _SHAPES: series differ in shape too, for print and for who sees no colours."""
    inside = f"<title>{html.escape(tip)}</title>" if tip else ""
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="{colour}">{inside}</circle>'
    if shape == "square":
        place = f'x="{x - 4.5:.1f}" y="{y - 4.5:.1f}"'
        return f'<rect {place} width="9" height="9" class="{colour}">{inside}</rect>'
    corners = "M0 -6L5.5 4.5L-5.5 4.5Z" if shape == "triangle" else "M0 -6.5L6.5 0L0 6.5L-6.5 0Z"
    return f'<path d="{corners}" transform="translate({x:.1f} {y:.1f})" class="mark {colour}">{inside}</path>'


def shape_of(number: int, first: str) -> str:
    return _SHAPES[(number + _SHAPES.index(first)) % len(_SHAPES)]


def legend_of(series: Sequence[str], y: float, first: str = "") -> tuple[str, float]:
    """The legend and the height it takes; nothing for one series. `first` is the shape of the first one."""
    if len(series) < 2:
        return "", 0
    parts, x, line = [], 0.0, 0
    for number, name in enumerate(series):
        shown = cut(name, 48)
        wide = 34 + 7.6 * wide_of(shown)
        if x and x + wide > WIDTH:
            x, line = 0.0, line + 1
        at = y + line * 20
        colour = f"c{number % COLOURS}"
        if first:
            parts.append(mark(shape_of(number, first), x + 6, at + 6, colour))
        else:
            parts.append(f'<rect x="{x:.1f}" y="{at:.1f}" width="12" height="12" rx="3" class="{colour}"/>')
        parts.append(text(x + 18, at + 11, shown, title=name))
        x += wide
    return "".join(parts), (line + 1) * 20 + 8


def in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def tell(pairs: Sequence[tuple[str, str]]) -> str:
    more = f"; and {len(pairs) - _TOLD} more" if len(pairs) > _TOLD else ""
    return "; ".join(f"{name}: {value}" for name, value in pairs[:_TOLD]) + more


def log_ticks(least: float, most: float) -> list[float]:
    """Powers of ten around two numbers above 0: at least one and the next."""
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def fine_ticks(least: float, most: float) -> list[float]:
    """As `log_ticks`, with 2 and 5 between them where the numbers are near each other."""
    ticks = log_ticks(least, most)
    if len(ticks) > 3:
        return ticks
    fine = [tick * factor for tick in ticks[:-1] for factor in (1, 2, 5)] + [ticks[-1]]
    first = max((at for at, tick in enumerate(fine) if tick <= least), default=0)
    last = min((at for at, tick in enumerate(fine) if tick >= most), default=len(fine) - 1)
    return fine[first : last + 1] if last > first else ticks


def wrapped(text: str, wide: int, most: int) -> list[str]:
    """A text in lines of up to `wide` Latin letters, the last one cut; Chinese breaks anywhere."""
    lines: list[str] = [""]
    for word in re.findall(r"[\u2e80-\u9fff\uff00-\uffef]|[^\s\u2e80-\u9fff\uff00-\uffef]+|\s+", text):
        if wide_of(lines[-1] + word.rstrip()) > wide and lines[-1].strip():
            lines.append("")
        lines[-1] += word if lines[-1] or word.strip() else ""
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [cut(line.strip(), wide) for line in lines]
