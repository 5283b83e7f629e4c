"""How a build went: `report.json`, `report.md`. Hides how they are laid out."""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kg.parts import Account, SourceInfo


class Progress(Protocol):
    """Where a build tells how far it is."""

    def step(self, name: str) -> None:
        """A step begins."""

    def advance(self, count: int, left: float | None = None, kept: tuple[int, int] = (0, 0)) -> None:
        """So many quads of the step are done; the rest takes about `left` seconds, where that can be told.

        `kept` is how many parts were taken as an earlier build left them, and of how many so far.
        """

    def note(self, message: str) -> None:
        """Something a person should know at the end."""


class Quiet:
    """Progress that nobody watches."""

    def step(self, name: str) -> None: ...

    def advance(self, count: int, left: float | None = None, kept: tuple[int, int] = (0, 0)) -> None: ...

    def note(self, message: str) -> None: ...


@dataclass
class SourceReport:
    """One source in one build. Field names are dotted paths; `[]` stands for each item of a list."""

    name: str
    title: str
    version: str
    licence: str
    files: list[dict[str, Any]] = field(default_factory=list)  # name, sha256, bytes, embedded
    found: int = 0  # records in the files, loaded or repeated; one that cannot be read ends the build
    records: int = 0  # loaded
    repeated: int = 0  # the same as one before
    quads: int = 0  # unique, in the source's graph
    taken: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, dict[str, Any]] = field(default_factory=dict)  # count, reason
    unread: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)  # "field: reason" -> values kept out
    unreadable: dict[str, int] = field(default_factory=dict)  # "what: problem" -> times a rule found no value
    seconds: float = 0.0

    def add(
        self,
        source: SourceInfo,
        files: Iterable[Path],
        account: Account,
        reason: Callable[[str, SourceInfo], str | None],
        *,
        embedded: bool,
    ) -> None:
        """Take over what became of the fields of some files."""
        for path in files:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = path.stat().st_size
            self.files.append({"name": path.name, "sha256": sha256, "bytes": size, "embedded": embedded})
        self.found += account.records + account.repeated
        self.records += account.records
        self.repeated += account.repeated
        for mine, counts in (
            (self.taken, account.taken),
            (self.unread, account.unread),
            (self.left_out, account.left_out),
            (self.unreadable, account.unreadable),
        ):
            for name, count in counts.items():
                mine[name] = mine.get(name, 0) + count
        for name, count in account.ignored.items():
            entry = self.ignored.setdefault(name, {"count": 0, "reason": reason(name, source)})
            entry["count"] += count

    def summary(self) -> dict[str, Any]:
        """The few words of it that stand in the snapshot's manifest."""
        wanted = ("name", "title", "version", "licence", "records", "quads")
        return {key: value for key, value in asdict(self).items() if key in wanted}


@dataclass(frozen=True)
class Took:
    """How long a step took, from when by a clock that forks share, and the most memory of its process."""

    begun: float
    seconds: float
    peak_mb: int


def timed(step: Callable[[], object]) -> Took:
    """Run a step, perhaps in a fork; returns how long it took."""
    begun = time.perf_counter()
    step()
    return Took(begun, time.perf_counter() - begun, peak_mb())


@dataclass
class Report:
    """A build, as it is told to people (`markdown`) and programs (`json`)."""

    fingerprint: str
    version: str
    sources: list[SourceReport] = field(default_factory=list)
    not_loaded: dict[str, str] = field(default_factory=dict)  # file of the data folder -> reason
    # name; begins, seconds since the report was begun; seconds; peak_mb, of the step's process so far
    steps: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)  # SHACL results below a violation
    inferences: dict[str, int] = field(default_factory=dict)  # rule -> quads
    inferring: dict[str, float] = field(default_factory=dict)  # step of the reasoner -> seconds
    graphs: dict[str, int] = field(default_factory=dict)  # CURIE -> quads

    def __post_init__(self) -> None:
        # One that is gone on with takes up where its last step ended.
        done = max((step["begins"] + step["seconds"] for step in self.steps), default=0.0)
        self._began = time.perf_counter() - done

    @classmethod
    def read(cls, report: Mapping[str, Any]) -> Report:
        """A report out of what `json` made of it, by the same version of this code, to go on with."""
        return cls(**{**report, "sources": [SourceReport(**source) for source in report["sources"]]})

    @contextmanager
    def step(self, name: str, progress: Progress) -> Iterator[None]:
        """Time one step of the build."""
        progress.step(name)
        begun = time.perf_counter()
        yield
        self.add_step(name, Took(begun, time.perf_counter() - begun, peak_mb()))

    def add_step(self, name: str, took: Took) -> None:
        """Take over a step that was timed elsewhere, perhaps while others ran."""
        self.steps.append(
            {
                "name": name,
                "begins": round(took.begun - self._began, 3),
                "seconds": round(took.seconds, 3),
                "peak_mb": took.peak_mb,
            }
        )

    def files(self) -> dict[str, str]:
        """The report as files by name."""
        return {"report.json": self.json(), "report.md": self.markdown()}

    def json(self) -> str:
        """The report for programs."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    def markdown(self) -> str:
        """The report for people."""
        return "\n".join(_markdown(self)) + "\n"


def peak_mb() -> int:
    """The most memory this process has used so far, in MB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used // (1024**2 if sys.platform == "darwin" else 1024)


def _markdown(report: Report) -> Iterator[str]:
    yield f"# Build {report.version}"
    yield ""
    yield from _table(
        (
            "source",
            "version",
            "found",
            "loaded",
            "repeated",
            "quads",
            "taken",
            "ignored",
            "unread",
            "seconds",
        ),
        [
            (
                source.name,
                source.version,
                source.found,
                source.records,
                source.repeated,
                source.quads,
                sum(source.taken.values()),
                sum(entry["count"] for entry in source.ignored.values()),
                sum(source.unread.values()),
                source.seconds,
            )
            for source in report.sources
        ],
    )
    yield "Found are the records of the files, each loaded or the same as one before (repeated); one that"
    yield "cannot be read ends the build. Taken, ignored and unread count filled fields over all records."
    yield ""
    if report.not_loaded:
        yield from _table(("file that was not loaded", "reason"), sorted(report.not_loaded.items()))
    yield "## Steps"
    yield ""
    head = ("step", "begins at, s", "seconds", "peak memory of its process so far, MB")
    steps = [(step["name"], step["begins"], step["seconds"], step["peak_mb"]) for step in report.steps]
    yield from _table(head, steps)
    yield "Steps that begin before others end ran beside them, each in a process of its own."
    yield ""
    yield "## Graphs"
    yield ""
    yield from _table(("graph", "quads"), sorted(report.graphs.items()))
    yield "## Inferred, by rule"
    yield ""
    yield from _table(("rule", "quads"), sorted(report.inferences.items()))
    yield "## Warnings of the shapes"
    yield ""
    by_message = Counter(warning["message"] for warning in report.warnings)
    example = {warning["message"]: warning["focus"] for warning in reversed(report.warnings)}
    rows = [(message, count, example[message]) for message, count in by_message.most_common()]
    yield from _table(("message", "times", "first at"), rows)
    for source in report.sources:
        yield f"## Fields of {source.name}"
        yield ""
        yield from _table(("unread field", "records"), _most_first(source.unread))
        yield from _table(("value a rule could not read", "times"), _most_first(source.unreadable))
        yield from _table(("value left out", "times"), _most_first(source.left_out))
        ignored = sorted(source.ignored.items())
        rows = [(name, entry["count"], entry["reason"]) for name, entry in ignored]
        yield from _table(("ignored field", "records", "reason"), rows)
        yield from _table(("taken field", "records"), _most_first(source.taken))


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    if not rows:
        yield f"No {head[0]}."
    else:
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        for row in rows:
            yield f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |"
    yield ""
