"""Pictures that are no chart of an answer: what is around a thing, and dates on one line of time.

Hides placing. What a picture tells stands in words beside it.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
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
    frame,
    in_order,
    tell,
    text,
    wrapped,
)  # fmt: skip

_MOST_AROUND = 9  # neighbours on a side
_ROW = 44
_BOX = 92  # half the width of the box in the middle


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
    relations = in_order(each.relation for each in (*going, *coming))
    left, right = WIDTH / 2 - _BOX, WIDTH / 2 + _BOX
    body: list[str] = []
    for side, edges in (("left", coming), ("right", going)):
        start, end = (left, left - 66) if side == "left" else (right, right + 66)
        anchor = "end" if side == "left" else "start"
        at = end - 8 if side == "left" else end + 8
        for place, each in enumerate(edges):
            y = (place + 0.5) * height / len(edges)
            colour = f"c{relations.index(each.relation) % COLOURS}"
            bend = (start + end) / 2
            dashed = " dashed" if each.inferred else ""
            body.append(
                f'<path d="M{start:.1f} {height / 2:.1f}C{bend:.1f} {height / 2:.1f} {bend:.1f} {y:.1f} '
                f'{end:.1f} {y:.1f}" class="chart-line thin {colour}{dashed}"/>'
                f'<circle cx="{end:.1f}" cy="{y:.1f}" r="3.5" class="{colour}"/>'
            )
            body.append(text(at, y - 5, cut(each.relation, 30), kind="soft", anchor=anchor))
            name = text(at, y + 11, cut(each.name, 28), anchor=anchor, title=each.name)
            body.append(f'<a href="{html.escape(each.path)}">{name}</a>')
    lines = wrapped(centre, 22, 4)
    tall = 18 * len(lines) + 16
    top = height / 2 - tall / 2
    body.append(
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{2 * _BOX}" height="{tall}" rx="10" class="chart-box"/>'
    )
    for number, line in enumerate(lines):
        body.append(text(WIDTH / 2, top + 21 + 18 * number, line, kind="strong", anchor="middle"))
    told = tell(
        [(each.name, f"{each.relation} {centre}") for each in coming]
        + [(each.relation, each.name) for each in going]
    )
    return Chart(frame(height, centre, told, body, role="group"), 0)


@dataclass(frozen=True)
class Moment:
    """A row of a timeline: what, when (`2014`, `2014-10`, `2014-10-31`, a dateTime), and a note beside it."""

    name: str
    date: str
    note: str = ""
    sure: bool = True


def timeline(moments: Sequence[Moment], title: str) -> Chart | None:
    """Dates under each other on one axis of years; a month or a year is as long as it is.

    What is not sure to have been so is drawn hollow. None where no date can be read.
    """
    spans = [(moment, span) for moment in moments[:MOST_MARKS] if (span := _years(moment.date)) is not None]
    if not spans:
        return None
    least = math.floor(min(start for _, (start, _) in spans))
    most = math.ceil(max(end for _, (_, end) in spans) + 1e-9)
    step = max(1, math.ceil((most - least) / 8))
    ticks = [float(year) for year in range(least, most + step, step)]
    scale = Scale(ticks, LABELS, WIDTH - 120)
    body = [axis(scale, 0, len(spans) * LINE + 4, "")]
    for place, (moment, (start, end)) in enumerate(spans):
        y = place * LINE + LINE / 2
        kind = "c0" if moment.sure else "c0 hollow"
        note = f", {moment.note}" if moment.note else ""
        tip = html.escape(f"{moment.name}: {moment.date}{note}")
        wide = max(scale(end) - scale(start), 6)
        body.append(text(LABELS - 10, y + 5, cut(moment.name, 32), anchor="end", title=moment.name))
        body.append(
            f'<rect x="{scale(start):.1f}" y="{y - 5:.1f}" width="{wide:.1f}" height="10" rx="3" '
            f'class="{kind}"><title>{tip}</title></rect>'
        )
        body.append(text(WIDTH - 112, y + 5, cut(moment.date[:10], 18), kind="soft"))
    told = tell([(m.name, m.date + (f", {m.note}" if m.note else "")) for m, _ in spans])
    return Chart(frame(len(spans) * LINE + 30, title, told, body), len(moments) - len(spans))


def _years(date: str) -> tuple[float, float] | None:
    """A date as the years at which it begins and ends: "2014-07" -> (2014.5, 2014.583); None for no date."""
    found = re.match(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?(?![\d-])", date)
    if found is None:
        return None
    year, month, day = (int(part) if part else None for part in found.groups())
    if (
        year is None
        or (month is not None and not 1 <= month <= 12)
        or (day is not None and not 1 <= day <= 31)
    ):
        return None
    start = year + ((month or 1) - 1) / 12 + ((day or 1) - 1) / 372
    return start, start + (1 / 372 if day else 1 / 12 if month else 1.0)
