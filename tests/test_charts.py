"""Charts say what the table says, to eyes and to screen readers, and never break on what a graph may hold."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.canned import CHARTS
from kg.web.charts import draw
from kg.web.pictures import Moment, Neighbour, around, timeline
from kg.web.svg import Chart, cut_inside, wide_of

SVG = "{http://www.w3.org/2000/svg}"
COLUMNS = ("a", "b", "c", "d", "e")
ROLES = {
    "bars": {"label": "a", "value": "b", "series": "c"},
    "lines": {"x": "b", "y": "c", "series": "a", "low": "d", "high": "e"},
    "forest": {"label": "a", "value": "b", "low": "c", "high": "d"},
    "ratios": {"label": "a", "value": "b", "low": "c", "high": "d"},
    "ranges": {"label": "a", "low": "b", "high": "c"},
    "network": {"source": "a", "relation": "b", "target": "c"},
}
CELL = st.one_of(
    st.text(max_size=8), st.integers(-(10**12), 10**12).map(str), st.floats(allow_nan=True).map(str)
)
ROW = st.fixed_dictionaries(dict.fromkeys(COLUMNS, CELL))


def drawn(kind: str, rows: list[dict[str, str]], **units: str) -> Chart:
    chart = draw({"kind": kind, **ROLES[kind]}, rows, "Title", units)
    assert chart is not None
    return chart


def test_there_is_a_drawing_for_every_kind_a_question_may_ask_for() -> None:
    assert set(ROLES) == set(CHARTS)


@given(st.text(alphabet="abc 间充质", max_size=60), st.integers(8, 40))
def test_a_text_cut_inside_fits_and_keeps_both_ends(said: str, most: int) -> None:
    shown = cut_inside(said, most)
    assert wide_of(shown) <= most
    if shown != said:
        start, _, end = shown.partition("…")
        assert said.startswith(start)
        assert said.endswith(end)
        assert wide_of(said) > most


def test_lines_of_one_label_are_told_apart_by_their_detail() -> None:
    rows = [{"a": "MSC", "b": "1.2", "c": "0.5", "d": "2", "e": time} for time in ("month 3", "")]
    chart = draw({"kind": "forest", **ROLES["forest"], "detail": "e"}, rows, "Title", {})
    assert chart is not None
    told = ElementTree.fromstring(chart.svg).findtext(f"{SVG}desc")
    assert told == "month 3: MSC: 1.2 (0.5–2); MSC: 1.2 (0.5–2)"


def test_a_forest_plot_has_a_row_an_interval_and_a_square_for_each_effect() -> None:
    rows = [
        {"a": "ACR20, year 5", "b": "2.0", "c": "1.5", "d": "2.7"},
        {"a": "ACR50, year 5", "b": "1.1", "c": "0.4", "d": "3.2"},
        {"a": "without a number", "b": "", "c": "", "d": ""},
    ]
    chart = drawn("forest", rows)
    root = ElementTree.fromstring(chart.svg)
    assert len([line for line in root.iter(f"{SVG}line") if "chart-line" in line.get("class", "")]) == 2
    assert len(list(root.iter(f"{SVG}rect"))) == 2
    assert root.findtext(f"{SVG}desc") == "ACR20, year 5: 2 (1.5–2.7); ACR50, year 5: 1.1 (0.4–3.2)"
    assert chart.left_out == 1


def test_an_interval_without_an_upper_limit_is_open_and_has_no_point_at_its_lower_one() -> None:
    rows = [
        {"a": "no event in the other group", "b": "", "c": "0.32", "d": ""},
        {"a": "bounded", "b": "2", "c": "1", "d": "4"},
    ]
    root = ElementTree.fromstring(drawn("ratios", rows).svg)
    assert len(list(root.iter(f"{SVG}rect"))) == 1, "only the one that has a value has a point"
    open_, bounded = [line for line in root.iter(f"{SVG}line") if "chart-line" in line.get("class", "")]
    assert float(open_.get("x2", "0")) >= float(bounded.get("x2", "0"))
    told = root.findtext(f"{SVG}desc")
    assert told == "no event in the other group: 0.32–∞; bounded: 2 (1–4)"


def test_ratios_and_differences_are_never_drawn_on_one_scale() -> None:
    ratio = [{"a": value, "b": value, "c": value, "d": value, "e": "1"} for value in ("0.5", "2")]
    difference = [{"a": "less", "b": "-0.2", "c": "-0.3", "d": "0.1", "e": "0"}]
    roles = {"kind": "forest", **ROLES["forest"], "nothing": "e"}
    mixed = draw(roles, ratio + difference, "Title", {})
    assert mixed is not None
    assert mixed.left_out == 1
    assert mixed.svg == drawn("ratios", ratio).svg
    alone = draw(roles, difference, "Title", {})
    assert alone is not None
    assert alone == drawn("forest", difference)


def test_a_range_of_doses_is_on_a_log_scale() -> None:
    rows = [{"a": dose, "b": dose, "c": dose} for dose in ("1e6", "1e8", "1e7")]
    root = ElementTree.fromstring(drawn("ranges", rows).svg)
    low, high, middle = [float(rect.get("x", "0")) for rect in root.iter(f"{SVG}rect")]
    assert middle == pytest.approx((low + high) / 2, abs=0.2)


def test_bars_are_as_long_as_their_numbers() -> None:
    rows = [{"a": "x", "b": "2", "c": ""}, {"a": "y", "b": "4", "c": ""}]
    root = ElementTree.fromstring(drawn("bars", rows).svg)
    short, long = [float(rect.get("width", "0")) for rect in root.iter(f"{SVG}rect")]
    assert long == pytest.approx(2 * short, abs=0.2)


def test_points_of_one_group_are_joined_in_order_of_time() -> None:
    rows = [{"a": "g", "b": "60", "c": "25"}, {"a": "g", "b": "0", "c": "1"}]
    root = ElementTree.fromstring(drawn("lines", [{**row, "d": "", "e": ""} for row in rows]).svg)
    (line,) = root.iter(f"{SVG}polyline")
    first, last = [float(point.split(",")[0]) for point in line.get("points", "").split(" ")]
    assert first < last


@pytest.mark.parametrize("kind", CHARTS)
def test_nothing_to_draw_gives_no_chart(kind: str) -> None:
    assert draw({"kind": kind, **ROLES[kind]}, [], "Title", {}) is None


@pytest.mark.parametrize("kind", CHARTS)
@given(rows=st.lists(ROW, max_size=8), title=st.text(max_size=20))
def test_whatever_the_cells_hold_the_chart_is_well_formed_and_runs_nothing(
    kind: str, rows: list[dict[str, str]], title: str
) -> None:
    clean = [{k: re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]", "", v) for k, v in row.items()} for row in rows]
    chart = draw({"kind": kind, **ROLES[kind]}, clean, re.sub("[^\x20-\ud7ff]", "", title), {})
    if chart is None:
        return
    root = ElementTree.fromstring(chart.svg)
    names = ["svg", "title", "desc", "text", "rect", "line", "polyline", "circle", "path", "g"]
    assert {element.tag for element in root.iter()} <= {f"{SVG}{name}" for name in names}
    assert not any(name.startswith("on") or name == "style" for each in root.iter() for name in each.attrib)
    numbers = [value for each in root.iter() for value in each.attrib.values()]
    assert not any(value in ("nan", "inf", "-inf") for value in numbers)


def test_no_difference_has_a_line_and_a_ratio_is_as_far_from_it_as_its_inverse() -> None:
    rows = [{"a": value, "b": value, "c": value, "d": value} for value in ("0.5", "2")]
    root = ElementTree.fromstring(drawn("ratios", rows).svg)
    (nothing,) = [
        float(line.get("x1", "0")) for line in root.iter(f"{SVG}line") if line.get("class") == "chart-nothing"
    ]
    half, twice = [float(rect.get("x", "0")) + 4.5 for rect in root.iter(f"{SVG}rect")]
    assert nothing - half == pytest.approx(twice - nothing, abs=0.2)
    differences = ElementTree.fromstring(
        drawn("forest", [{"a": "x", "b": "0.2", "c": "-0.1", "d": "0.5"}]).svg
    )
    assert any(line.get("class") == "chart-nothing" for line in differences.iter(f"{SVG}line"))


def test_series_differ_in_shape_and_not_in_colour_alone() -> None:
    rows = [{"a": name, "b": month, "c": "1", "d": "", "e": ""} for name in "xyzw" for month in ("0", "1")]
    root = ElementTree.fromstring(drawn("lines", rows).svg)
    shapes = {
        element.tag.removeprefix(SVG) for element in root.iter() if element.find(f"{SVG}title") is not None
    }
    outlines = {path.get("d") for path in root.iter(f"{SVG}path")}
    assert {"circle", "rect"} <= shapes
    assert len(outlines) == 2, "a triangle and a diamond"


def test_of_several_numbers_for_one_time_one_is_joined_and_all_are_shown() -> None:
    rows = [
        {"a": "g", "b": month, "c": value, "d": "", "e": ""}
        for month, value in (("0", "1"), ("0", "5"), ("6", "3"))
    ]
    root = ElementTree.fromstring(drawn("lines", rows).svg)
    (line,) = root.iter(f"{SVG}polyline")
    assert len(line.get("points", "").split(" ")) == 2
    assert len(list(root.iter(f"{SVG}circle"))) == 3


def test_a_timeline_is_in_step_with_the_years_and_an_estimate_is_hollow() -> None:
    chart = timeline(
        [
            Moment("start", "2014"),
            Moment("end", "2016-01-01", "estimated", sure=False),
            Moment("no date", "soon"),
        ],
        "Timeline",
    )
    assert chart is not None
    assert chart.left_out == 1
    root = ElementTree.fromstring(chart.svg)
    start, end = root.iter(f"{SVG}rect")
    assert "hollow" in end.get("class", "")
    assert "hollow" not in start.get("class", "")
    year = float(start.get("width", "0"))
    assert float(end.get("x", "0")) - float(start.get("x", "0")) == pytest.approx(2 * year, rel=0.01)
    assert root.findtext(f"{SVG}desc") == "start: 2014; end: 2016-01-01, estimated"
    assert timeline([Moment("x", "31 February"), Moment("y", "2014-13")], "Timeline") is None


@given(
    st.lists(
        st.tuples(st.text(max_size=20), st.one_of(st.text(max_size=12), st.dates().map(str))), max_size=6
    )
)
def test_whatever_dates_there_are_a_timeline_is_well_formed(dates: list[tuple[str, str]]) -> None:
    clean = [[re.sub("[^\x20-\ud7ff]", "", text) for text in pair] for pair in dates]
    chart = timeline([Moment(name, date) for name, date in clean], "Timeline")
    if chart is not None:
        ElementTree.fromstring(chart.svg)


def test_around_a_thing_every_neighbour_is_a_link_and_inferred_edges_are_dashed() -> None:
    chart = around(
        "interferon gamma",
        [Neighbour("requires", "immune balance", "/thing?iri=x&y=1")],
        [Neighbour("enhances", "MSC activation", "/b"), Neighbour("affects", "MSC effect", "/c", True)],
    )
    assert chart is not None
    root = ElementTree.fromstring(chart.svg)
    assert [link.get("href") for link in root.iter(f"{SVG}a")] == ["/thing?iri=x&y=1", "/b", "/c"]
    assert ["dashed" in path.get("class", "") for path in root.iter(f"{SVG}path")] == [False, False, True]
    assert root.get("role") == "group", "the links of an img are hidden from a screen reader"
    told = root.findtext(f"{SVG}desc")
    assert told == (
        "immune balance: requires interferon gamma; enhances: MSC activation; affects: MSC effect"
    )
    assert around("alone", [], []) is None


@given(centre=st.text(max_size=80), name=st.text(max_size=80))
def test_around_a_thing_of_any_name_the_picture_is_well_formed(centre: str, name: str) -> None:
    centre, name = (re.sub("[^\x20-\ud7ff]", "", text) for text in (centre, name))
    chart = around(centre, [Neighbour(name, name, f"/{name}")], [])
    assert chart is not None
    root = ElementTree.fromstring(chart.svg)
    assert [link.get("href") for link in root.iter(f"{SVG}a")] == [f"/{name}"]
