"""The figures page out of the newest results: its tables between marks, and its pictures.

`python -m bench figures` rewrites what stands between `<!-- begin X -->` and `<!-- end X -->` in
docs/figures.md, and docs/figures/*.svg. The text around the marks is written by hand.
"""

from __future__ import annotations

import csv
import json
import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.peers import CACHED, CLIENTS, LIMIT, OURS
from bench.registry import EXPECTED, STUDIES
from bench.registry_size import LOCAL
from bench.registry_size import OURS as PROCESSES
from kg.terms import ROOT

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = ROOT / "docs" / "figures.md"
PICTURES = ROOT / "docs" / "figures"

_MIX = "questions"  # the mix that the asked-for ratios are about
_COMMON = "questions that every peer answers"
_LEAST = 5.0  # ms; less is the way to the query and back


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
    peers, attack, use, large = report("peers"), report("hostile"), report("soak"), report("streaming")

    slow = {
        query: times[OURS] / times[LIMIT]
        for query, times in peers["medians"].items()
        if times.get(LIMIT, 0) > 5 and OURS in times
    }
    ordinary, server = attack["ordinary"], attack["server"]
    loud = ordinary["p99 under attack / quiet"]
    growth = [use["growth"][name] for name in ("memory, MiB", "descriptors", "processes", "threads")]
    first = max(each["most"] for times in ("1", "10") for each in large[times]["first byte, ms"].values())
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
        ("first byte of a large result, the slowest of all", "at most 100 ms", f"{first:g} ms", first <= 100),
        _flat("the server's process", "server", "CSV", "JSON", "CONSTRUCT, N-Triples"),
        _flat("all processes, SELECT", "all", "CSV", "JSON"),
        _flat("all processes, CONSTRUCT", "all", "CONSTRUCT, N-Triples"),
        ("under attack: ordinary answers wrong", "0", str(wrong), wrong == 0),
        ("under attack: p99 of ordinary answers over the quiet p99", "at most 3", f"{loud}", loud <= 3),
        ("under attack: connections to elsewhere", "0", str(out), out == 0),
        (
            "after the attack: memory over its start",
            "1; up to 1.1 is the coming and going of workers",
            str(server["memory after"]),
            server["memory after"] <= 1.1,
        ),
        (
            f"{use['minutes']:g} minutes of use: growth of memory, descriptors, processes, threads",
            "none; up to 1.1 counts",
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


def _flat(whose: str, of: str, *forms: str) -> tuple[str, str, str, bool]:
    """A row about memory while an answer comes: that with the most rows over that with the fewest."""
    by_form = [list(report("streaming")["1"]["memory, MiB"][form].values()) for form in forms]
    ratio = round(max(each[-1][of] / each[0][of] for each in by_form), 3)
    return f"memory at 1,000,000 rows over 10,000: {whose}", "1; up to 1.1 counts", f"{ratio:g}", ratio <= 1.1


def streaming() -> str:
    """First and last byte of large results by size of the graph, and memory by number of rows."""
    found = report("streaming")
    sizes = [found[times] for times in ("1", "10")]
    rows = []
    for size in sizes:
        for form, sent in size["bytes"].items():
            times = [size[when][form] for when in ("first byte, ms", "last byte, ms")]
            spread = [f"{each[of]:g}" for each in times for of in ("median", "most")]
            rows.append([form, f"{size['quads']:,}", f"{sent / 1e6:.0f}", *spread])
    head = ["result", "rows", "MB", "first byte, ms", "at most", "last byte, ms", "at most"]
    memory = sizes[0]["memory, MiB"]
    numbers = list(next(iter(memory.values())))
    more = [
        [f"{form}: {whose}", *(f"{by_rows[number][of]:g}" for number in numbers)]
        for form, by_rows in memory.items()
        for of, whose in (("server", "the server's process"), ("all", "all processes"))
    ]
    return f"{_stamp(found)}.\n\n{_table(head, rows)}\n\n" + _table(
        ["MiB while it comes", *(f"{int(number):,} rows" for number in numbers)], more
    )


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
    quads = [size["quads"] for size in sizes]
    head = [f"{count:,} quads" for count in quads]
    whole = [
        [name, peer, *(f"{size[name][peer]:g}" for size in sizes)]
        for name in ("load, s", "memory, MiB")
        for peer in sizes[0][name]
    ]
    times = [
        [query, peer, *map(_milliseconds, took), exponent(quads, took)]
        for query, by_peer in sizes[0]["median, ms"].items()
        if not query.startswith("http")
        for peer in by_peer
        for took in [[size["median, ms"][query][peer] for size in sizes]]
    ]
    return f"{_stamp(found)}.\n\n{_table(['', 'peer', *head], whole)}\n\n" + _table(
        ["query, ms", "peer", *head, "exponent"], times
    )


def fitted(sizes: Sequence[float], times: Sequence[float | None]) -> float | None:
    """The exponent of times (ms) as a power of the size: least squares of the logarithms.

    Only times of at least 5 ms count, below which the way to the query and back is measured; None where fewer
    than two are left.
    """
    pairs = [
        (math.log(size), math.log(took))
        for size, took in zip(sizes, times, strict=True)
        if took is not None and took >= _LEAST
    ]
    if len(pairs) < 2:
        return None
    x, y = (statistics.mean(values) for values in zip(*pairs, strict=True))
    return sum((a - x) * (b - y) for a, b in pairs) / sum((a - x) ** 2 for a, _ in pairs)


def exponent(sizes: Sequence[float], times: Sequence[float | None]) -> str:
    """`fitted` for a table, or why there is none."""
    found = fitted(sizes, times)
    if found is not None:
        return f"{found:.2f}"
    there = [took for took in times if took is not None]
    return "too short" if len(there) > 1 else "one size"


def _milliseconds(took: float) -> str:
    return f"{took:.3g}" if took < 100 else f"{took:,.0f}"


# The sizes of the registry's input, smallest first, each with its stages.
Sizes = dict[int, dict[str, Any]]


def _sizes(of: str = "build") -> Sizes:
    """Those at which a stage was run."""
    return {int(studies): stages for studies, stages in report("registry").items() if of in stages}


def _columns(found: Sizes) -> list[str]:
    return [f"{studies:,} studies" for studies in found]


def registry_asked() -> str:
    """What is asked of a build of the whole registry, and what the largest size measured gave."""
    studies, at = max(_sizes().items())
    told = ""
    rows: list[tuple[str, str, str, bool]] = []
    if "build" in at:
        built = at["build"]
        minutes, memory = built["seconds"] / 60, built["peak memory, MiB"] / 1024
        all_of_it = minutes * STUDIES / studies
        shown = f"{minutes:.3g}" if studies >= STUDIES else f"{minutes:.3g}; in proportion {all_of_it:.0f}"
        rows += [
            ("build, minutes", "under 60", shown, all_of_it < 60),
            ("build, most memory, GiB", "under 8", f"{memory:.3g}", memory < 8),
        ]
        if at.get("bulk", {}).get("commit") == built["commit"]:
            pace = _pace(at)
            rows.append(
                ("pace of the build over pyoxigraph's bulk load", "at least 0.5", f"{pace:.3g}", pace >= 0.5)
            )
    if "serve" in at:
        start, change = statistics.median(at["serve"]["start, s"]), at["serve"]["change"]
        failed, took = sum(change["failed"].values()), change["seconds"]
        rows += [
            ("start on a store on disk, s", "under 3", f"{start:.3g}", start < 3),
            ("change of snapshot, s", "under 1", f"{took}", took is not None and took < 1),
            ("requests that failed meanwhile", "0", f"{failed} of {change['answers']}", failed == 0),
        ]
    if "queries" in at:
        times = _medians_of(at["queries"])
        late = [name for name, took in times.items() if took is None or took > 10_000]
        rows.append(("questions over 10 s", "none", ", ".join(late) or "none", not late))
        slow = [name for name, took in times.items() if took is not None and 1_000 < took <= 10_000]
        told = f" Over one second, and under ten: {', '.join(slow) or 'none'}."
    if tried := _sizes("spark"):
        size, turns = max((size, at["spark"]["turns"]) for size, at in tried.items())
        ratio = statistics.median(_ratios(_OF_A_TURN[1], turns[LOCAL], turns[PROCESSES]))
        what = f"Spark local at two workers over two processes, seconds to load ({size:,} studies)"
        rows.append((what, "at most 1; up to 1.1 counts", f"{ratio:.2f}", ratio <= 1.1))
    return f"The largest size measured: {studies:,} studies.{told}{_of_all(studies, at)}\n\n" + _table(
        ["figure", "asked for", "measured", "reached"],
        [(what, due, got, _reached(reached, studies)) for what, due, got, reached in rows],
    )


def _of_all(studies: int, at: Mapping[str, Any]) -> str:
    """What the whole registry would take, should what was measured grow as the studies do."""
    if studies >= STUDIES or "build" not in at:
        return ""
    times = STUDIES / studies
    quads, minutes = at["build"]["quads"] * times / 1e6, at["build"]["seconds"] * times / 60
    told = (
        f" Should all grow as studies do, {STUDIES:,} take {minutes:,.0f} minutes, {quads:,.0f} million quads"
    )
    if "serve" in at:
        told += f", with a store of {at['serve']['store']['bytes'] * times / 2**30:,.0f} GiB"
    of_expected = at["build"]["seconds"] / 60 * EXPECTED / at["build"]["quads"]
    return f"{told}; {EXPECTED / 1e6:.0f} million quads {of_expected:,.0f} minutes."


def _reached(reached: bool, studies: int) -> str:
    """A miss is one at any size, or in proportion; what is reached says nothing of a size not measured."""
    if not reached:
        return "**missed**"
    return "yes" if studies >= STUDIES else f"not measured at {STUDIES:,}"


def registry() -> str:
    """The build, its peer and the server by the number of studies."""
    found = _sizes()
    figures: dict[str, Callable[[dict[str, Any]], str]] = {
        "build at commit": lambda at: at["build"]["commit"],
        "bulk load at commit": lambda at: at["bulk"]["commit"],
        "server at commit": lambda at: at["serve"]["commit"],
        "questions at commit": lambda at: at["queries"]["commit"],
        "Virtuoso at commit": lambda at: at["virtuoso"]["commit"],
        "quads": lambda at: f"{at['build']['quads']:,}",
        "build, s": lambda at: f"{at['build']['seconds']:,.0f}",
        "build, s of processors": lambda at: f"{at['build']['of processors, s']:,.0f}",
        "build, quads/s": lambda at: f"{at['build']['quads'] / at['build']['seconds']:,.0f}",
        "bulk load by pyoxigraph, quads": lambda at: f"{at['bulk']['quads']:,}",
        "bulk load by pyoxigraph, s": lambda at: f"{at['bulk']['seconds']:,.0f}",
        "bulk load by pyoxigraph, s of processors": lambda at: f"{at['bulk']['of processors, s']:,.0f}",
        "bulk load by pyoxigraph, quads/s": lambda at: f"{at['bulk']['quads/s']:,}",
        "pace of the build over that of the bulk load": lambda at: f"{_pace(at):.2f}",
        "most memory of the build, MiB": lambda at: f"{at['build']['peak memory, MiB']:,}",
        "most memory of the bulk load, MiB": lambda at: f"{at['bulk']['peak memory, MiB']:,}",
        "input, MiB": lambda at: _mib(at["build"]["input"]["bytes"]),
        "snapshot, MiB": lambda at: _mib(sum(at["build"]["bytes"].values())),
        "store on disk, MiB": lambda at: _mib(at["serve"]["store"]["bytes"]),
        "start on that, s": lambda at: f"{statistics.median(at['serve']['start, s']):.2f}",
        "start on that, s of processors": lambda at: (
            f"{statistics.median(at['serve']['start, of processors, s']):.2f}"
        ),
        "change of snapshot, s": lambda at: f"{at['serve']['change']['seconds']}",
        "failed meanwhile": lambda at: f"{sum(at['serve']['change']['failed'].values())}",
        "load into Virtuoso, s": lambda at: f"{at['virtuoso']['load, s']:,.0f}",
        "database of Virtuoso, MiB": lambda at: _mib(at["virtuoso"]["database, bytes"]),
    }
    rows = [[name, *(_or_dash(figure, at) for at in found.values())] for name, figure in figures.items()]
    stages = [stage for at in found.values() for name, stage in at.items() if name != "spark"]
    stamps = dict.fromkeys(f"{stage['date']}, {stage['machine']}" for stage in stages)
    return f"{'; '.join(stamps)}.\n\n" + _table(["", *_columns(found)], rows)


def registry_spark() -> str:
    """The records loaded by Spark and by processes, in turns: medians, and the least and most of a ratio."""
    found = _sizes("spark")
    rows = [
        [
            f"{studies:,}",
            who,
            *(f"{statistics.median(map(figure, turns)):,.3g}" for figure in _OF_A_TURN),
            *(_over(figure, turns, at["spark"]["turns"][PROCESSES]) for figure in _OF_A_TURN[1:4]),
            f"{max(turn['peak memory, MiB'] for turn in turns):,}",
        ]
        for studies, at in found.items()
        for who, turns in at["spark"]["turns"].items()
    ]
    stamps = dict.fromkeys(_stamp(at["spark"]) for at in found.values())
    head = ["start, s", "load, s", "start to end, s", "s of processors"]
    over = [f"{name} over processes" for name in ("load", "start to end", "of processors")]
    return f"{'; '.join(stamps)}.\n\n" + _table(
        ["studies", "who loads", *head, *over, "most memory, MiB"], rows
    )


_OF_A_TURN: tuple[Callable[[Mapping[str, Any]], float], ...] = (
    lambda turn: float(turn["start, s"]),
    lambda turn: float(turn["load, s"]),
    lambda turn: float(turn["start, s"] + turn["load, s"] + turn["end, s"]),
    lambda turn: float(turn["of processors, s"]),
)


def _ratios(figure: Callable[[Mapping[str, Any]], float], turns: Any, others: Any) -> list[float]:
    return [figure(turn) / figure(other) for turn, other in zip(turns, others, strict=True)]


def _over(figure: Callable[[Mapping[str, Any]], float], turns: Any, others: Any) -> str:
    if turns is others:
        return "1"
    ratios = _ratios(figure, turns, others)
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def registry_steps() -> str:
    """Seconds and most memory of each step of the build, by the number of studies."""
    found = {studies: at["build"] for studies, at in _sizes().items() if "build" in at}
    steps = {studies: {step["name"]: step for step in at["steps"]} for studies, at in found.items()}
    names = dict.fromkeys(name for each in steps.values() for name in each)
    rows = [
        [
            name,
            *(
                f"{each[name]['seconds']:,.1f} s, {each[name]['peak memory, MiB']} MiB"
                if name in each
                else "–"
                for each in steps.values()
            ),
        ]
        for name in names
    ]
    return _table(["step", *_columns(found)], rows)


def registry_questions() -> str:
    """Median times of each question by the number of studies, and their exponent in the number of quads."""
    rows = []
    for question, by_peer in _questions().items():
        for peer, (quads, times, counts, why) in by_peer.items():
            told = [why[n] if took is None else _milliseconds(took) for n, took in enumerate(times)]
            marks = [
                f"**{text}**" if (took or 0) > 1000 else text for text, took in zip(told, times, strict=True)
            ]
            rows.append([question, peer, *marks, exponent(quads, times), counts[-1]])
    head = ["question, ms", "peer", *_columns(_sizes()), "exponent", "rows at the largest"]
    return "Over one second is **bold**.\n\n" + _table(head, rows)


Series = tuple[list[int], list[float | None], list[str], list[str]]  # quads, ms, rows, why there is no time


def _questions() -> dict[str, dict[str, Series]]:
    """By question and peer, over all sizes; a size without the question is one without a time."""
    found = _sizes()
    stages = {
        "ours, disk": lambda at: at.get("queries", {}),
        "Virtuoso": lambda at: at.get("virtuoso", {}).get("questions", {}),
    }
    names = dict.fromkeys(name for at in found.values() for name in _medians_of(at.get("queries", {})))
    series: dict[str, dict[str, Series]] = {}
    for name in sorted(names):
        for peer, stage in stages.items():
            each = [
                _like(stage(at).get(name, {}), at.get("queries", {}).get(name, {})) for at in found.values()
            ]
            if any(each):
                series.setdefault(name, {})[peer] = (
                    [at["build"]["quads"] for at in found.values()],
                    [took["median, s"] * 1000 if "median, s" in took else None for took in each],
                    [f"{took['rows']:,}" if "rows" in took else "–" for took in each],
                    [took.get("failed", "–").replace("|", "/")[:40] for took in each],
                )
    return series


def _like(told: dict[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """What a peer told of a question; that it gave other rows, where it did: its time is then of no use."""
    if "rows" in told and told["rows"] != ours.get("rows", told["rows"]):
        return {"failed": f"{told['rows']:,} rows, not {ours['rows']:,}"}
    return told


def _medians_of(stage: Mapping[str, Any]) -> dict[str, float | None]:
    """By question, in ms; None where there was no answer."""
    return {
        name: each["median, s"] * 1000 if "median, s" in each else None
        for name, each in stage.items()
        if isinstance(each, dict)
    }


def _pace(at: Mapping[str, Any]) -> float:
    """Quads a second of the build over those of the bulk load; KeyError where they ran at other times."""
    if at["bulk"]["commit"] != at["build"]["commit"]:
        raise KeyError("bulk")
    built: float = at["build"]["quads"] / at["build"]["seconds"]
    return built / float(at["bulk"]["quads/s"])


def _or_dash(figure: Callable[[dict[str, Any]], str], at: dict[str, Any]) -> str:
    try:
        return figure(at)
    except KeyError:
        return "–"  # a stage that was not run at this size


def _mib(count: float) -> str:
    return f"{count / 2**20:,.0f}"


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


def questions() -> str:
    """The slowest of the published questions, by their newest times."""
    asked = sorted(newest("questions").items(), key=lambda row: -row[1][0])
    rows = [(what, f"{value:g}", unit, when) for (what, unit), (value, when) in asked[:10]]
    return _table(["measured", "value", "unit", "when, commit"], rows)


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
    "registry_asked": registry_asked,
    "registry": registry,
    "registry_steps": registry_steps,
    "registry_spark": registry_spark,
    "registry_questions": registry_questions,
    "hostile": hostile,
    "streaming": streaming,
    "search": lambda: rows_of("search"),
    "views": lambda: rows_of("pages"),
    "questions": questions,
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

    if (RESULTS / "scale.json").exists():
        _draw_scale(folder)
    if (RESULTS / "registry.json").exists():
        _draw_registry(folder)
        _draw_questions(folder)


def _draw_scale(folder: Path) -> None:
    from matplotlib import pyplot

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


def _draw_registry(folder: Path) -> None:
    """Seconds and memory of the build and of its peer by the number of quads, in print as on a screen."""
    from matplotlib import pyplot

    found = _sizes()
    figure, panes = pyplot.subplots(1, 2, figsize=(7, 3))
    for pane, (what, name) in zip(
        panes, (("seconds", "seconds"), ("peak memory, MiB", "most memory, MiB")), strict=True
    ):
        for stage, label, style in (("build", "build", "k-o"), ("bulk", "bulk load by pyoxigraph", "k--s")):
            there = [(at[stage]["quads"], at[stage][what]) for at in found.values() if stage in at]
            if there:
                pane.plot(*zip(*there, strict=True), style, markersize=4, linewidth=1, label=label)
        pane.set_xscale("log")
        pane.set_yscale("log")
        pane.set_xlabel("quads")
        pane.set_title(name)
    panes[0].legend(fontsize=8)
    _save(figure, folder / "registry.svg")


def _draw_questions(folder: Path) -> None:
    """A pane a question: its median by the number of quads, with lines at one and at ten seconds."""
    from matplotlib import pyplot

    series = _questions()
    if not series:
        return
    across = 6  # and as many rows as a page has
    down = -(-len(series) // across)
    figure, grid = pyplot.subplots(
        down, across, figsize=(8.2, 0.9 * down), sharex=True, sharey=True, squeeze=False
    )
    panes = [pane for row in grid for pane in row]
    styles = {"ours, disk": ("-o", "black"), "Virtuoso": ("--s", "gray")}
    for pane, (question, by_peer) in zip(panes, series.items(), strict=False):
        for peer, (quads, times, _, _) in by_peer.items():
            style, colour = styles[peer]
            there = [(count, took) for count, took in zip(quads, times, strict=True) if took is not None]
            if there:
                pane.plot(
                    *zip(*there, strict=True), style, color=colour, markersize=2.5, linewidth=0.8, label=peer
                )
        quads, times, _, _ = next(iter(by_peer.values()))
        pane.set_title(question, fontsize=5, pad=2)
        pane.text(0.04, 0.8, exponent(quads, times), fontsize=5, transform=pane.transAxes)
        for limit in (1_000, 10_000):
            pane.axhline(limit, color="black", linewidth=0.4, linestyle=":")
        pane.set_xscale("log")
        pane.set_yscale("log")
        pane.set_yticks([1, 100, 10_000], ["1 ms", "0.1 s", "10 s"])
        pane.minorticks_off()
        pane.tick_params(labelsize=5, length=2, width=0.4)
        for side in pane.spines.values():
            side.set_linewidth(0.4)
    for pane in panes[len(series) :]:
        pane.set_axis_off()
    names = {
        label: line for pane in panes for line, label in zip(*pane.get_legend_handles_labels(), strict=True)
    }
    figure.legend(list(names.values()), list(names), loc="lower right", fontsize=6, frameon=False)
    figure.supxlabel("quads", fontsize=7)
    figure.supylabel("median; dotted: one and ten seconds", fontsize=7)
    _save(figure, folder / "registry-questions.svg")


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
