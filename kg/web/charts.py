"""Charts of answers, as SVG: bars, lines, forest plots, ranges on a log scale, networks.

Hides scales, ticks and placing. A chart is drawn on the server: it needs no script, prints, follows dark mode
(its colours are classes of the style sheet) and stands beside the table that says the same. Its text
alternative is in the picture: a title, and a description that tells the numbers.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Row = Mapping[str, str]  # column -> text; "" for unbound

_WIDTH = 760
_LABELS = 250  # width of the column of labels
_LINE = 26
_MOST_MARKS = 60  # more labels than this are no picture
_COLOURS = 8
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_MOST_AROUND = 9  # neighbours on a side
_ROW = 44
_BOX = 92  # half the width of the box in the middle
_TOLD = 24  # marks whose numbers the description tells


@dataclass(frozen=True)
class Chart:
    """A drawn chart: its SVG, and how many rows it leaves out (without a number, or too many to see)."""

    svg: str
    left_out: int


def draw(chart: Mapping[str, str], rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    """The chart a question asks for (`kg.canned.CHARTS`), or None where the rows give nothing to draw."""
    drawn = {"bars": _bars, "lines": _lines, "forest": _forest, "ranges": _ranges, "network": _network}
    return drawn[chart["kind"]](chart, rows, title, units)


# ----------------------------------------------------------------------------------------- pieces


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    # Nothing that is measured lies beyond; a scale over more would end in infinity.
    return value if value == 0 or 1e-60 < abs(value) < 1e60 else None


def _text(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start", title: str = "") -> str:
    tip = f"<title>{html.escape(title)}</title>" if title else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="chart-text {kind}">'
        f"{tip}{html.escape(text)}</text>"
    )


def _wide(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str, most: int) -> str:
    """A text that fits into `most` Latin letters; a Chinese character counts two."""
    if _wide(text) <= most:
        return text
    while text and _wide(text) > most - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / about))
    step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= about)
    first = math.floor(low / step) * step
    count = math.ceil((high - first) / step - 1e-9)
    return [round(first + step * n, 10) for n in range(count + 1)]


def _said(value: float) -> str:
    if value and (abs(value) >= 1e5 or abs(value) < 1e-3):
        power = math.floor(math.log10(abs(value)))
        return f"{value / 10**power:.3g}×10{str(power).translate(_RAISED)}"
    return f"{value:.6g}"


def _frame(height: float, title: str, description: str, body: Iterable[str], role: str = "img") -> str:
    """The whole picture; its role is "group" where there are links in it, which an "img" would hide."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" '
        f'height="{height:.0f}" role="{role}" class="chart"><title>{html.escape(title)}</title>'
        f"<desc>{html.escape(description)}</desc>{''.join(body)}</svg>"
    )


def _axis(scale: _Scale, top: float, bottom: float, unit: str) -> str:
    parts = []
    for tick in scale.ticks:
        x = scale(tick)
        parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" class="chart-grid"/>')
        parts.append(_text(x, bottom + 16, _said(tick), kind="soft", anchor="middle"))
    if unit:
        parts.append(_text(scale.right, bottom + 34, unit, kind="soft", anchor="end"))
    return "".join(parts)


@dataclass(frozen=True)
class _Scale:
    ticks: Sequence[float]
    left: float
    right: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            value, low, high = math.log10(value), math.log10(low), math.log10(high)
        return self.left + (value - low) / ((high - low) or 1) * (self.right - self.left)


def _legend(series: Sequence[str], y: float) -> tuple[str, float]:
    """The legend and the height it takes; nothing for one series."""
    if len(series) < 2:
        return "", 0
    parts, x, line = [], 0.0, 0
    for number, name in enumerate(series):
        shown = _cut(name, 48)
        wide = 26 + 7.2 * _wide(shown)
        if x and x + wide > _WIDTH:
            x, line = 0.0, line + 1
        at = y + line * 20
        parts.append(
            f'<rect x="{x:.1f}" y="{at:.1f}" width="12" height="12" rx="3" class="c{number % _COLOURS}"/>'
        )
        parts.append(_text(x + 18, at + 11, shown, title=name))
        x += wide
    return "".join(parts), (line + 1) * 20 + 8


def _order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _tell(pairs: Sequence[tuple[str, str]]) -> str:
    more = f"; and {len(pairs) - _TOLD} more" if len(pairs) > _TOLD else ""
    return "; ".join(f"{name}: {value}" for name, value in pairs[:_TOLD]) + more


# ----------------------------------------------------------------------------------------- charts


def _bars(chart: Row, rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    label, value, series = chart["label"], chart["value"], chart.get("series")
    marks = [
        (row[label] or "–", row[series] if series else "", number)
        for row in rows
        if (number := _number(row[value])) is not None and number >= 0
    ]
    labels, groups = _order(mark[0] for mark in marks)[:_MOST_MARKS], _order(mark[1] for mark in marks)
    if not labels:
        return None
    totals: dict[str, float] = dict.fromkeys(labels, 0.0)
    for name, _, number in marks:
        if name in totals:
            totals[name] += number
    scale = _Scale(_ticks(0, max(totals.values())), _LABELS, _WIDTH - 50)
    legend, top = _legend(groups if series else [], 0)
    body = [legend, _axis(scale, top, top + len(labels) * _LINE + 4, units.get(value, ""))]
    for place, name in enumerate(labels):
        y = top + place * _LINE
        body.append(_text(_LABELS - 10, y + 18, _cut(name, 32), anchor="end", title=name))
        x = scale(0)
        for own, group, number in marks:
            if own != name:
                continue
            wide = scale(number) - scale(0)
            tip = f"{name}{f', {group}' if group else ''}: {_said(number)}"
            body.append(
                f'<rect x="{x:.1f}" y="{y + 4}" width="{max(wide, 1):.1f}" height="{_LINE - 8}" rx="3" '
                f'class="c{groups.index(group) % _COLOURS}"><title>{html.escape(tip)}</title></rect>'
            )
            x += wide
        body.append(_text(x + 6, y + 18, _said(totals[name]), kind="soft"))
    told = _tell([(name, _said(number)) for name, number in totals.items()])
    shown = sum(mark[0] in totals for mark in marks)
    return Chart(_frame(top + len(labels) * _LINE + 46, title, told, body), len(rows) - shown)


def _lines(chart: Row, rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    across, up, series = chart["x"], chart["y"], chart.get("series")
    points: dict[str, list[tuple[float, float, float | None, float | None]]] = {}
    left_out = 0
    for row in rows:
        x, y = _number(row[across]), _number(row[up])
        if x is None or y is None:
            left_out += 1
            continue
        low, high = (_number(row[chart[role]]) if role in chart else None for role in ("low", "high"))
        points.setdefault(row[series] if series else "", []).append((x, y, low, high))
    if not points:
        return None
    every = [point for group in points.values() for point in group]
    reach = [bound for _, y, low, high in every for bound in (y, low, high) if bound is not None]
    wide = _Scale(_ticks(min(0, *(x for x, *_ in every)), max(x for x, *_ in every), 7), 60, _WIDTH - 30)
    legend, top = _legend(list(points), 0)
    high_ticks = _ticks(min(0, *reach), max(reach))
    bottom = top + 300
    rise = _Scale(high_ticks, bottom, top + 10)
    body = [legend, _axis(wide, top + 10, bottom, units.get(across, ""))]
    for tick in high_ticks:
        y = rise(tick)
        body.append(f'<line x1="60" y1="{y:.1f}" x2="{_WIDTH - 30}" y2="{y:.1f}" class="chart-grid"/>')
        body.append(_text(52, y + 4, _said(tick), kind="soft", anchor="end"))
    if up in units:
        body.append(_text(0, top + 14, units[up], kind="soft"))
    told = []
    for number, (name, group) in enumerate(points.items()):
        group.sort(key=lambda point: point[:2])
        colour = f"c{number % _COLOURS}"
        path = " ".join(f"{wide(x):.1f},{rise(y):.1f}" for x, y, *_ in group)
        body.append(f'<polyline points="{path}" class="chart-line {colour}"/>')
        for x, y, low, high in group:
            if low is not None and high is not None:
                body.append(
                    f'<line x1="{wide(x):.1f}" y1="{rise(low):.1f}" x2="{wide(x):.1f}" '
                    f'y2="{rise(high):.1f}" class="chart-line {colour}"/>'
                )
            tip = f"{name + ', ' if name else ''}{_said(x)}: {_said(y)}"
            body.append(
                f'<circle cx="{wide(x):.1f}" cy="{rise(y):.1f}" r="4.5" class="{colour}">'
                f"<title>{html.escape(tip)}</title></circle>"
            )
            told.append((f"{name} at {_said(x)}".strip(), _said(y)))
    return Chart(_frame(bottom + 44, title, _tell(told), body), left_out)


def _forest(chart: Row, rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    return _spans(chart, rows, title, units, log=False)


def _ranges(chart: Row, rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    return _spans(chart, rows, title, units, log=True)


def _spans(
    chart: Row, rows: Sequence[Row], title: str, units: Mapping[str, str], *, log: bool
) -> Chart | None:
    """A line from low to high for each row, with a square at the value: forest plots and ranges."""
    series = chart.get("series")
    marks: list[tuple[str, str, float | None, float, float]] = []
    for row in rows:
        value, low, high = (
            _number(row[chart[role]]) if role in chart else None for role in ("value", "low", "high")
        )
        bounds = [bound for bound in (low, high, value) if bound is not None]
        if bounds and not (log and min(bounds) <= 0):
            group = row[series] if series else ""
            marks.append((row[chart["label"]] or "–", group, value, min(bounds), max(bounds)))
    marks = marks[:_MOST_MARKS]
    if not marks:
        return None
    least, most = min(mark[3] for mark in marks), max(mark[4] for mark in marks)
    if log:
        powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
        ticks = [10.0**power for power in powers]
        ticks = ticks if len(ticks) > 1 else [ticks[0], ticks[0] * 10]
    else:
        ticks = _ticks(min(0.0, least), most)
    scale = _Scale(ticks, _LABELS, _WIDTH - 90, log)
    groups = _order(mark[1] for mark in marks)
    legend, top = _legend(groups if series else [], 0)
    unit = units.get(chart.get("value", chart.get("high", "")), "")
    body = [legend, _axis(scale, top, top + len(marks) * _LINE + 4, unit)]
    told = []
    for place, (name, group, value, low, high) in enumerate(marks):
        y = top + place * _LINE + _LINE / 2
        colour = f"c{groups.index(group) % _COLOURS}"
        number = _said(low) if low == high else f"{_said(low)}–{_said(high)}"
        if value is not None and low != high:
            number = f"{_said(value)} ({number})"
        tip = html.escape(f"{name}{f', {group}' if group else ''}: {number}")
        body.append(_text(_LABELS - 10, y + 5, _cut(name, 32), anchor="end", title=name))
        body.append(
            f'<g class="{colour}"><title>{tip}</title>'
            f'<line x1="{scale(low):.1f}" y1="{y}" x2="{scale(high):.1f}" y2="{y}" '
            f'class="chart-line {colour}"/>'
        )
        ends = [value] if value is not None else [low, high]
        body += [
            f'<rect x="{scale(end) - 4.5:.1f}" y="{y - 4.5}" width="9" height="9" class="{colour}"/>'
            for end in ends
        ]
        body.append("</g>" + _text(_WIDTH - 84, y + 5, _cut(number, 16), kind="soft"))
        told.append((f"{name} {group}".strip(), number))
    return Chart(_frame(top + len(marks) * _LINE + 46, title, _tell(told), body), len(rows) - len(marks))


def _network(chart: Row, rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    """Sources on the left, targets on the right, an edge for each row; coloured by relation."""
    edges = _order_edges(
        (row[chart["source"]], row[chart["relation"]], row[chart["target"]])
        for row in rows
        if row[chart["source"]] and row[chart["target"]]
    )[: 2 * _MOST_MARKS]
    if not edges:
        return None
    left, right = _order(edge[0] for edge in edges), _order(edge[2] for edge in edges)
    relations = _order(edge[1] for edge in edges)
    legend, top = _legend(relations, 0)
    height = max(len(left), len(right)) * _LINE
    at = {
        **{("l", name): top + (place + 0.5) * height / len(left) for place, name in enumerate(left)},
        **{("r", name): top + (place + 0.5) * height / len(right) for place, name in enumerate(right)},
    }
    start, end = 262, _WIDTH - 262
    body = [legend]
    for source, relation, target in edges:
        one, other = at["l", source], at["r", target]
        colour = f"c{relations.index(relation) % _COLOURS}"
        tip = html.escape(f"{source} – {relation} – {target}")
        body.append(
            f'<path d="M{start} {one:.1f}C{start + 100} {one:.1f} {end - 100} {other:.1f} {end} {other:.1f}" '
            f'class="chart-line thin {colour}"><title>{tip}</title></path>'
        )
    body += [_text(start - 8, at["l", name] + 5, _cut(name, 34), anchor="end", title=name) for name in left]
    body += [_text(end + 8, at["r", name] + 5, _cut(name, 34), title=name) for name in right]
    told = _tell([(source, f"{relation} {target}") for source, relation, target in edges])
    return Chart(_frame(top + height + 10, title, told, body), len(rows) - len(edges))


def _order_edges(edges: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    return list(dict.fromkeys(edges))


@dataclass(frozen=True)
class Neighbour:
    """An edge of a picture around a thing: by which relation, to or from what, and where that leads."""

    relation: str
    name: str
    path: str
    inferred: bool = False


def around(centre: str, coming: Sequence[Neighbour], going: Sequence[Neighbour]) -> Chart | None:
    """A thing with what leads to it on its left and what it leads to on its right; None for no edges.

    An edge is coloured and labelled by its relation, dashed where it is inferred.
    """
    coming, going = coming[:_MOST_AROUND], going[:_MOST_AROUND]
    if not coming and not going:
        return None
    height = max(len(coming), len(going), 2) * _ROW
    relations = _order(each.relation for each in (*going, *coming))
    left, right = _WIDTH / 2 - _BOX, _WIDTH / 2 + _BOX
    body: list[str] = []
    for side, edges in (("left", coming), ("right", going)):
        start, end = (left, left - 66) if side == "left" else (right, right + 66)
        anchor = "end" if side == "left" else "start"
        at = end - 8 if side == "left" else end + 8
        for place, each in enumerate(edges):
            y = (place + 0.5) * height / len(edges)
            colour = f"c{relations.index(each.relation) % _COLOURS}"
            bend = (start + end) / 2
            dashed = " dashed" if each.inferred else ""
            body.append(
                f'<path d="M{start:.1f} {height / 2:.1f}C{bend:.1f} {height / 2:.1f} {bend:.1f} {y:.1f} '
                f'{end:.1f} {y:.1f}" class="chart-line thin {colour}{dashed}"/>'
                f'<circle cx="{end:.1f}" cy="{y:.1f}" r="3.5" class="{colour}"/>'
            )
            body.append(_text(at, y - 5, _cut(each.relation, 30), kind="soft", anchor=anchor))
            name = _text(at, y + 11, _cut(each.name, 28), anchor=anchor, title=each.name)
            body.append(f'<a href="{html.escape(each.path)}">{name}</a>')
    lines = _wrapped(centre, 22, 4)
    tall = 18 * len(lines) + 16
    top = height / 2 - tall / 2
    body.append(
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{2 * _BOX}" height="{tall}" rx="10" class="chart-box"/>'
    )
    for number, line in enumerate(lines):
        body.append(_text(_WIDTH / 2, top + 21 + 18 * number, line, kind="strong", anchor="middle"))
    told = _tell(
        [(each.name, f"{each.relation} {centre}") for each in coming]
        + [(each.relation, each.name) for each in going]
    )
    return Chart(_frame(height, centre, told, body, role="group"), 0)


def _wrapped(text: str, wide: int, most: int) -> list[str]:
    """A text in lines of up to `wide` Latin letters, the last one cut; Chinese breaks anywhere."""
    lines: list[str] = [""]
    for word in re.findall(r"[\u2e80-\u9fff\uff00-\uffef]|[^\s\u2e80-\u9fff\uff00-\uffef]+|\s+", text):
        if _wide(lines[-1] + word.rstrip()) > wide and lines[-1].strip():
            lines.append("")
        lines[-1] += word if lines[-1] or word.strip() else ""
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [_cut(line.strip(), wide) for line in lines]
