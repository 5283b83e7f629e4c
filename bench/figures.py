"""The figures page out of the newest results: its tables between marks, and its pictures.

`python -m bench figures` rewrites what stands between `<!-- begin X -->` and `<!-- end X -->` in
docs/figures.md, and docs/figures/*.svg. The text around the marks is written by hand.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.peers import CACHED, CLIENTS, LIMIT, OURS
from kg.terms import ROOT

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = ROOT / "docs" / "figures.md"
PICTURES = ROOT / "docs" / "figures"

_MIX = "questions"  # the mix that the asked-for ratios are about
_COMMON = "questions that every peer answers"


def write(page: Path = PAGE, pictures: Path = PICTURES) -> None:
    """Renew the page's tables and the pictures."""
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
    _draw(pictures)


def renewed(text: str) -> str:
    """The page with every table as the results give it now; raises KeyError for a mark without a table."""

    def table(mark: re.Match[str]) -> str:
        return f"<!-- begin {mark[1]} -->\n\n{TABLES[mark[1]]()}\n\n<!-- end {mark[1]} -->"

    return re.sub(r"<!-- begin (\w+) -->.*?<!-- end \1 -->", table, text, flags=re.DOTALL)


def report(name: str) -> dict[str, Any]:
    """The newest run of a measurement that is kept as JSON."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def newest(name: str) -> dict[tuple[str, str], tuple[float, str]]:
    """By what was measured and its unit, of rows in a CSV file: its newest value, when, and commit."""
    with (RESULTS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return {
            (row["what"], row["unit"]): (float(row["value"]), f"{row['date']}, {row['commit']}")
            for row in csv.DictReader(file)
        }


# --------------------------------------------------------------------------------------------- tables


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _stamp(of: Mapping[str, Any]) -> str:
    return f"{of['date']}, commit {of['commit']}, {of['machine']}"


def _load(mix: str, clients: int, peer: str) -> dict[str, Any]:
    return next(
        row
        for row in report("peers")["loads"]
        if (row["mix"], row["clients"], row["peer"]) == (mix, clients, peer)
    )


def asked() -> str:
    """What the endpoint is asked to reach, what was measured, and whether it is reached."""
    peers, attack, use = report("peers"), report("hostile"), report("soak")

    slow = {
        query: times[OURS] / times[LIMIT]
        for query, times in peers["medians"].items()
        if times.get(LIMIT, 0) > 5 and OURS in times
    }
    ordinary, server = attack["ordinary"], attack["server"]
    loud = ordinary["p99 under attack / quiet"]
    growth = [use["growth"][name] for name in ("memory, MiB", "descriptors", "processes", "threads")]
    wrong, out = sum(ordinary["wrong"].values()), len(attack["outbound"]) + attack["came to the trap"]
    rows: list[tuple[str, str, str, bool]] = [
        (
            "cache off, queries over 5 ms: median over in process",
            "at most 2",
            f"{max(slow.values()):.2f} at most, over {len(slow)} queries",
            max(slow.values()) <= 2,
        ),
        _least("cache off, all questions: throughput over the Oxigraph server", _MIX, OURS, "Oxigraph", 0.7),
        _least(
            "cache off, questions that all answer: over rdflib-endpoint", _COMMON, OURS, "rdflib-endpoint", 5
        ),
        _least("cache off, large CSV: throughput over in process", "large CSV", OURS, LIMIT, 0.8),
        _least("cache on, all questions: throughput over the Oxigraph server", _MIX, CACHED, "Oxigraph", 3),
        *(
            _least(f"cache on, questions that all answer: throughput over {peer}", _COMMON, CACHED, peer, 3)
            for peer in ("Virtuoso", "rdflib-endpoint")
        ),
        ("under attack: ordinary answers wrong", "0", str(wrong), wrong == 0),
        ("under attack: p99 of ordinary answers over the quiet p99", "at most 3", f"{loud}", loud <= 3),
        ("under attack: connections to elsewhere", "0", str(out), out == 0),
        (
            "after the attack: memory over its start",
            "1",
            str(server["memory after"]),
            server["memory after"] <= 1.1,
        ),
        (
            f"{use['minutes']:g} minutes of use: growth of memory, descriptors, processes, threads",
            "none",
            ", ".join(map(str, growth)),
            max(growth) <= 1.1,
        ),
    ]
    return _table(
        ["figure", "asked for", "measured", "reached"],
        [(what, due, got, "yes" if reached else "**missed**") for what, due, got, reached in rows],
    )


def _least(what: str, mix: str, mine: str, peer: str, due: float) -> tuple[str, str, str, bool]:
    """A row about a ratio of throughputs that is to be at least so much, whatever the number of clients."""
    ratios = [_load(mix, clients, peer)[f"pace, {mine} / peer"] for clients in CLIENTS]
    told = ", ".join(
        f"{ratio:.3g} ({clients} client{'s' * (clients > 1)})"
        for clients, ratio in zip(CLIENTS, ratios, strict=True)
    )
    return what, f"at least {due:g}", told, min(ratios) >= due


def peers() -> str:
    """Answers a second, times, and ours as a ratio, by mix, number of clients and peer."""
    found = report("peers")
    rows = [
        [
            row["mix"], row["clients"], row["peer"], row["pace"], row["p50"], row["p99"], row["wrong"],
            row[f"pace, {OURS} / peer"], row[f"pace, {CACHED} / peer"],
        ]
        for row in found["loads"]
    ]  # fmt: skip
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    head = [
        "mix",
        "clients",
        "peer",
        "answers/s",
        "p50, ms",
        "p99, ms",
        "wrong",
        f"{OURS} / peer",
        f"{CACHED} / peer",
    ]
    return f"{_stamp(found)}; {found['quads']:,} quads; {versions}.\n\n{_table(head, rows)}"


def refused() -> str:
    """What a peer did not answer, or answered with other rows, and so is in no mix of its."""
    rows = [
        (peer, query, why) for peer, whys in report("peers")["refused"].items() for query, why in whys.items()
    ]
    return _table(["peer", "query", "why"], [(a, b, why.replace("|", "\\|")[:90]) for a, b, why in rows])


def scale() -> str:
    """Load, memory and the times of queries as the graph grows."""
    found = report("scale")
    sizes = [found[times] for times in ("1", "10", "100") if times in found]
    rows = [
        [f"{name} ({peer})", *(f"{size[name][peer]:g}" for size in sizes)]
        for name in ("load, s", "memory, MiB")
        for peer in sizes[0][name]
    ]
    rows += [
        [f"{query}, ms ({peer})", *(f"{size['median, ms'][query][peer]:.3g}" for size in sizes)]
        for query, times in sizes[0]["median, ms"].items()
        if not query.startswith("http")
        for peer in times
    ]
    return f"{_stamp(found)}.\n\n" + _table(["", *(f"{size['quads']:,} quads" for size in sizes)], rows)


def hostile() -> str:
    """What was sent, how it ended, and what became of the rest."""
    found = report("hostile")
    kinds: dict[str, dict[str, int]] = {}
    for name, times in found["ended"].items():
        kind, _, outcome = name.partition(": ")
        kinds.setdefault(kind, {})[outcome] = times
    rows = [
        (kind, sum(of.values()), ", ".join(f"{n} × {how}" for how, n in of.items()))
        for kind, of in kinds.items()
    ]
    return f"{_stamp(found)}.\n\n" + _table(["attack", "sent", "ended"], rows)


def rows_of(*names: str) -> str:
    """Measurements kept as rows, each at its newest."""
    rows = [
        (what, f"{value:g}", unit, when)
        for name in names
        for (what, unit), (value, when) in newest(name).items()
    ]
    return _table(["measured", "value", "unit", "when, commit"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "asked": asked,
    "peers": peers,
    "refused": refused,
    "scale": scale,
    "hostile": hostile,
    "search": lambda: rows_of("search"),
    "reasoners": lambda: rows_of("reasoners"),
    "building": lambda: rows_of("build", "loaders", "memory"),
}


# ------------------------------------------------------------------------------------------- pictures


def _draw(folder: Path) -> None:
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("svg")
    # The same results give the same bytes.
    matplotlib.rcParams |= {"svg.hashsalt": "stroma", "svg.fonttype": "none", "font.size": 9}
    folder.mkdir(exist_ok=True)

    found = report("peers")
    there = ["Oxigraph", "Virtuoso", "rdflib-endpoint", LIMIT]
    figure, panes = pyplot.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for pane, mine in zip(panes, (OURS, CACHED), strict=True):
        for number, clients in enumerate(CLIENTS):
            values = [_load(_COMMON, clients, peer)[f"pace, {mine} / peer"] for peer in there]
            at = [place + (number - 1) * 0.26 for place in range(len(there))]
            bars = pane.bar(at, values, 0.24, label=f"{clients} client{'s' * (clients > 1)}")
            pane.bar_label(bars, [f"{value:.2g}" for value in values], fontsize=7)
        pane.set_yscale("log")
        pane.axhline(1, color="black", linewidth=0.8)
        pane.set_xticks(range(len(there)), there)
        pane.set_title(f"{mine}: answers a second, over the peer's")
    panes[0].legend()
    _save(figure, folder / "throughput.svg")

    if not (RESULTS / "scale.json").exists():
        return
    found = report("scale")
    sizes = [found[times] for times in ("1", "10", "100") if times in found]
    quads = [size["quads"] for size in sizes]
    figure, panes = pyplot.subplots(1, 3, figsize=(11, 3.4))
    for pane, name in zip(panes, ("load, s", "memory, MiB"), strict=False):
        for peer in sizes[0][name]:
            pane.plot(quads, [size[name][peer] for size in sizes], marker="o", label=peer)
        pane.set_title(name)
    for peer in sizes[0]["median, ms"]["star"]:
        worst = [max(times[peer] for times in size["median, ms"].values()) for size in sizes]
        panes[2].plot(quads, worst, marker="o", label=peer)
    panes[2].set_title("slowest of the queries, median, ms")
    for pane in panes:
        pane.set_xscale("log")
        pane.set_yscale("log")
        pane.set_xlabel("quads")
    panes[0].legend()
    _save(figure, folder / "scale.svg")


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
