"""Charts of answers: bars, lines, forest plots, ratios and ranges on a log scale, networks.

Hides which column plays which part and how each kind is placed. A chart stands beside the table that says the
same.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kg.web.svg import (
    COLOURS,
    LABELS,
    LINE,
    MOST_MARKS,
    WIDTH,
    Chart,
    Scale,
    axis,
    cut,
    cut_inside,
    fine_ticks,
    frame,
    in_order,
    legend_of,
    log_ticks,
    mark,
    number_of,
    said,
    shape_of,
    tell,
    text,
    ticks_of,
)

_NUMBERS = 150  # width of the column of numbers beside a forest plot
_APART = 5  # between intervals of several series at one place

Row = Mapping[str, str]  # column -> text; "" for unbound


def draw(chart: Mapping[str, str], rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    """The chart a question asks for (`kg.canned.CHARTS`), or None where the rows give nothing to draw."""
    drawn = {
        "bars": _bars, "lines": _lines, "forest": _forest, "ratios": _ratios, "ranges": _ranges,
        "network": _network,
    }  # fmt: skip
    return drawn[chart["kind"]](chart, rows, title, units)


def _bars(chart: Row, rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    label, value, series = chart["label"], chart["value"], chart.get("series")
    marks = [
        (row[label] or "–", row[series] if series else "", number)
        for row in rows
        if (number := number_of(row[value])) is not None and number >= 0
    ]
    labels, groups = in_order(mark[0] for mark in marks)[:MOST_MARKS], in_order(mark[1] for mark in marks)
    colours = {group: number % COLOURS for number, group in enumerate(groups)}
    if not labels:
        return None
    totals: dict[str, float] = dict.fromkeys(labels, 0.0)
    for name, _, number in marks:
        if name in totals:
            totals[name] += number
    scale = Scale(ticks_of(0, max(totals.values())), LABELS, WIDTH - 50)
    legend, top = legend_of(groups if series else [], 0)
    body = [legend, axis(scale, top, top + len(labels) * LINE + 4, units.get(value, ""))]
    for place, name in enumerate(labels):
        y = top + place * LINE
        body.append(text(LABELS - 10, y + 18, cut(name, 32), anchor="end", title=name))
        x = scale(0)
        for own, group, number in marks:
            if own != name:
                continue
            wide = scale(number) - scale(0)
            tip = f"{name}{f', {group}' if group else ''}: {said(number)}"
            body.append(
                f'<rect x="{x:.1f}" y="{y + 4}" width="{max(wide, 1):.1f}" height="{LINE - 8}" rx="3" '
                f'class="c{colours[group]}"><title>{html.escape(tip)}</title></rect>'
            )
            x += wide
        body.append(text(x + 6, y + 18, said(totals[name]), kind="soft"))
    told = tell([(name, said(number)) for name, number in totals.items()])
    shown = sum(mark[0] in totals for mark in marks)
    return Chart(frame(top + len(labels) * LINE + 46, title, told, body), len(rows) - shown)


def _lines(chart: Row, rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    across, up, series = chart["x"], chart["y"], chart.get("series")
    points: dict[str, list[tuple[float, float, float | None, float | None]]] = {}
    left_out = 0
    for row in rows:
        x, y = number_of(row[across]), number_of(row[up])
        if x is None or y is None:
            left_out += 1
            continue
        low, high = (number_of(row[chart[role]]) if role in chart else None for role in ("low", "high"))
        points.setdefault(row[series] if series else "", []).append((x, y, low, high))
    if not points:
        return None
    every = [point for group in points.values() for point in group]
    reach = [bound for _, y, low, high in every for bound in (y, low, high) if bound is not None]
    wide = Scale(ticks_of(min(0, *(x for x, *_ in every)), max(x for x, *_ in every), 7), 60, WIDTH - 30)
    legend, top = legend_of(list(points), 0, "circle")
    high_ticks = ticks_of(min(0, *reach), max(reach))
    bottom = top + 300
    rise = Scale(high_ticks, bottom, top + 10)
    body = [legend, axis(wide, top + 10, bottom, units.get(across, ""))]
    for tick in high_ticks:
        y = rise(tick)
        body.append(f'<line x1="60" y1="{y:.1f}" x2="{WIDTH - 30}" y2="{y:.1f}" class="chart-grid"/>')
        body.append(text(52, y + 4, said(tick), kind="soft", anchor="end"))
    if up in units:
        body.append(text(0, top + 14, units[up], kind="soft"))
    told = []
    for number, (name, group) in enumerate(points.items()):
        group.sort(key=lambda point: point[:2])
        colour = f"c{number % COLOURS}"
        aside = (number - (len(points) - 1) / 2) * _APART if len(reach) > len(every) else 0.0
        # Of several numbers for one time the first is joined; the others stand beside it.
        joined = {x: y for x, y, *_ in reversed(group)}
        path = " ".join(f"{wide(x) + aside:.1f},{rise(joined[x]):.1f}" for x in sorted(joined))
        body.append(f'<polyline points="{path}" class="chart-line {colour}"/>')
        for x, y, low, high in group:
            at = wide(x) + aside
            if low is not None and high is not None:
                body.append(
                    f'<line x1="{at:.1f}" y1="{rise(low):.1f}" x2="{at:.1f}" '
                    f'y2="{rise(high):.1f}" class="chart-line {colour}"/>'
                )
            tip = f"{name + ', ' if name else ''}{said(x)}: {said(y)}"
            body.append(mark(shape_of(number, "circle"), at, rise(y), colour, tip))
            told.append((f"{name} at {said(x)}".strip(), said(y)))
    return Chart(frame(bottom + 44, title, tell(told), body), left_out)


def _forest(chart: Row, rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    """Effects on one scale: where some are ratios and some are differences, those of the first kind."""
    if "nothing" not in chart:
        return _spans(chart, rows, title, units, log=False, nothing=0.0)
    kinds = in_order(row[chart["nothing"]] for row in rows if number_of(row[chart["value"]]) is not None)
    if not kinds or (nothing := number_of(kinds[0])) is None:
        return None
    alike = [row for row in rows if row[chart["nothing"]] == kinds[0]]
    # A ratio of one half is as far from none as a ratio of two.
    drawn = _spans(chart, alike, title, units, log=nothing == 1, nothing=nothing)
    return None if drawn is None else Chart(drawn.svg, drawn.left_out + len(rows) - len(alike))


def _ratios(chart: Row, rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    return _spans(chart, rows, title, units, log=True, nothing=1.0)


def _ranges(chart: Row, rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    return _spans(chart, rows, title, units, log=True)


@dataclass(frozen=True)
class _Span:
    """A line of a forest plot or of ranges; an end that is None lies beyond every scale."""

    label: str
    group: str
    value: float | None
    low: float | None
    high: float | None

    @property
    def bounds(self) -> Sequence[float]:
        return [bound for bound in (self.low, self.value, self.high) if bound is not None]

    @property
    def number(self) -> str:
        if self.low is not None and self.high is not None:
            return _in_short(self.value, self.low, self.high)
        ends = "–".join("∞" if end is None else _three(end) for end in (self.low, self.high))
        return ends.replace("∞–", "−∞–") if self.value is None else f"{_three(self.value)} ({ends})"


def _spans(
    chart: Row,
    rows: Sequence[Row],
    title: str,
    units: Mapping[str, str],
    *,
    log: bool,
    nothing: float | None = None,
) -> Chart | None:
    """A line from low to high for each row, with a mark at the value: forest plots and ranges.

    `nothing` is the value that means no difference; a line stands there where the scale reaches past it, and
    an interval with one limit is open at its other side.
    """
    series = chart.get("series")
    spans: list[_Span] = []
    for row in rows:
        value, low, high = (
            number_of(row[chart[role]]) if role in chart else None for role in ("value", "low", "high")
        )
        bounds = [bound for bound in (low, high, value) if bound is not None]
        if bounds and not (log and min(bounds) <= 0):
            if nothing is None or (low is None) == (high is None):
                low, high = min(bounds), max(bounds)
            detail = row[chart["detail"]] if "detail" in chart else ""
            label = ": ".join(filter(None, (detail, row[chart["label"]] or "–")))
            spans.append(_Span(label, row[series] if series else "", value, low, high))
    spans = spans[:MOST_MARKS]
    if not spans:
        return None
    least = min(min(span.bounds) for span in spans)
    most = max(max(span.bounds) for span in spans)
    if log:
        # A range of doses stands among powers of ten; a ratio may be near to 1, where finer steps help.
        ticks = log_ticks(least, most) if nothing is None else fine_ticks(min(least, 1), max(most, 1))
    else:
        ticks = ticks_of(min(0.0, least), max(most, nothing or most))
    scale = Scale(ticks, LABELS, WIDTH - _NUMBERS, log)
    groups = in_order(span.group for span in spans)
    legend, top = legend_of(groups if series else [], 0, "square")
    unit = units.get(chart.get("value", chart.get("high", "")), "")
    bottom = top + len(spans) * LINE + 4
    body = [legend, axis(scale, top, bottom, unit)]
    if nothing is not None and ticks[0] < nothing < ticks[-1]:
        x = scale(nothing)
        body.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" class="chart-nothing"/>')
    told = []
    for place, span in enumerate(spans):
        y = top + place * LINE + LINE / 2
        colour = f"c{groups.index(span.group) % COLOURS}"
        tip = html.escape(f"{span.label}{f', {span.group}' if span.group else ''}: {span.number}")
        left = scale.left if span.low is None else scale(span.low)
        right = scale.right if span.high is None else scale(span.high)
        body.append(text(LABELS - 10, y + 5, cut_inside(span.label, 32), anchor="end", title=span.label))
        body.append(
            f'<g class="{colour}"><title>{tip}</title>'
            f'<line x1="{left:.1f}" y1="{y}" x2="{right:.1f}" y2="{y}" class="chart-line {colour}"/>'
        )
        for end, x, way in ((span.low, left, 7), (span.high, right, -7)):
            if end is None:
                body.append(
                    f'<path d="M{x + way:.1f} {y - 5}L{x:.1f} {y}L{x + way:.1f} {y + 5}" '
                    f'class="chart-line {colour}"/>'
                )
        shape = shape_of(groups.index(span.group), "square")
        ends = [] if span.low is None or span.high is None else list(dict.fromkeys((span.low, span.high)))
        at = ends if span.value is None else [span.value]
        body += [mark(shape, scale(end), y, colour) for end in at]
        body.append("</g>" + text(WIDTH - _NUMBERS + 8, y + 5, cut(span.number, 24), kind="soft"))
        told.append((f"{span.label} {span.group}".strip(), span.number))
    return Chart(frame(top + len(spans) * LINE + 46, title, tell(told), body), len(rows) - len(spans))


def _three(value: float) -> str:
    return said(float(f"{value:.3g}"))


def _in_short(value: float | None, low: float, high: float) -> str:
    """A value with its interval in three digits: "1.23 (0.98–1.6)"; a range without a value: "2–4"."""
    three = [_three(end) for end in dict.fromkeys((low, high))]
    number = (" – " if any(end < 0 for end in (low, high)) else "–").join(three)
    return number if value is None or low == high else f"{_three(value)} ({number})"


def _network(chart: Row, rows: Sequence[Row], title: str, units: Mapping[str, str]) -> Chart | None:
    """Sources on the left, targets on the right, an edge for each row; coloured by relation."""
    edges = _order_edges(
        (row[chart["source"]], row[chart["relation"]], row[chart["target"]])
        for row in rows
        if row[chart["source"]] and row[chart["target"]]
    )[: 2 * MOST_MARKS]
    if not edges:
        return None
    left, right = in_order(edge[0] for edge in edges), in_order(edge[2] for edge in edges)
    relations = in_order(edge[1] for edge in edges)
    legend, top = legend_of(relations, 0)
    height = max(len(left), len(right)) * LINE
    at = {
        **{("l", name): top + (place + 0.5) * height / len(left) for place, name in enumerate(left)},
        **{("r", name): top + (place + 0.5) * height / len(right) for place, name in enumerate(right)},
    }
    start, end = 262, WIDTH - 262
    body = [legend]
    for source, relation, target in edges:
        one, other = at["l", source], at["r", target]
        colour = f"c{relations.index(relation) % COLOURS}"
        tip = html.escape(f"{source} – {relation} – {target}")
        body.append(
            f'<path d="M{start} {one:.1f}C{start + 100} {one:.1f} {end - 100} {other:.1f} {end} {other:.1f}" '
            f'class="chart-line thin {colour}"><title>{tip}</title></path>'
        )
    body += [text(start - 8, at["l", name] + 5, cut(name, 34), anchor="end", title=name) for name in left]
    body += [text(end + 8, at["r", name] + 5, cut(name, 34), title=name) for name in right]
    told = tell([(source, f"{relation} {target}") for source, relation, target in edges])
    return Chart(frame(top + height + 10, title, told, body), len(rows) - len(edges))


def _order_edges(edges: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    return list(dict.fromkeys(edges))
