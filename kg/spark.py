"""Loading on Apache Spark: some partitions are a job of one task, which any machine of a cluster can take.

Hides pyspark: its settings, how errors come back, and what it does not say, such as that no worker is left.
Spark itself gives the task of a machine that is lost to another one.

A machine of the cluster needs a checkout of ours, installed in the Python that Spark starts there; what it
gives is refused where its code is not ours.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any

from kg.errors import BuildError, StromaError, UsageError
from kg.parts import Loaded, Partition
from loaders import catalog

_JAVA = "-XX:TieredStopAtLevel=1"
_JOBS = 64  # at once, at most
# Partitions in a job, at most: it costs 40 ms of a processor, however many there are; to load one, some 150.
_TOGETHER = 8
_GATHERING = 0.05  # seconds that a job waits for more of them
_PATIENCE = 60.0  # seconds without any worker
_ENDING = 10.0  # seconds for a thread of pyspark's to end, at most
_LOOPBACK = ("127.", "localhost", "[::1]")


@contextmanager
def cluster(master: str) -> Iterator[Cluster]:
    """A cluster, for as long as the block lasts.

    Raises UsageError without pyspark, BuildError where no master answers.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about versions of pandas, which we do not use here
            from pyspark import SparkConf, SparkContext
    except ImportError:
        raise UsageError(
            f"{master}: Spark is asked for by pyspark, which is not installed; in the checkout: "
            ".venv/bin/pip install -e '.[spark]'"
        ) from None
    own = not master.startswith("spark://") or master.removeprefix("spark://").startswith(_LOOPBACK)
    conf = SparkConf().setMaster(master).setAppName("stroma-kg").set("spark.ui.enabled", "false")
    conf.set("spark.log.level", "ERROR").set("spark.ui.showConsoleProgress", "false")
    # Java only hands bytes on here: to compile that well costs it more than it gains. What an operator asks
    # of Java (extraJavaOptions) comes after these and prevails.
    for side in ("driver", "executor"):
        conf.setIfMissing(f"spark.{side}.defaultJavaOptions", _JAVA)
    if own:
        conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if master.startswith("spark://"):
        _answers(master)
    before = threading.enumerate()
    try:
        context = SparkContext(conf=conf)
    except Exception as problem:  # of py4j or pyspark, without a common base
        raise BuildError(f"{master}: Spark did not start: {_first_line(problem)}") from problem
    there = Cluster(context, master, before)
    try:
        yield there
    finally:
        there.close()


class Cluster:
    """`kg.loading.Workers` of a cluster."""

    def __init__(self, context: Any, master: str, before: Sequence[threading.Thread]) -> None:
        """`before` are the threads of this process from before the context was made."""
        self._context, self._master, self._before = context, master, before
        self._waiting: SimpleQueue[_Asked | None] = SimpleQueue()
        self._gathering = threading.Lock()  # one at a time, so that a job is full before the next begins
        self._threads = [
            threading.Thread(target=self._work, name=f"spark-job-{number}", daemon=True)
            for number in range(self._jobs)
        ]
        for thread in self._threads:
            thread.start()
        self._alone: float | None = None  # since when no worker was seen

    @property
    def processes(self) -> int:
        return os.cpu_count() or 1

    @property
    def at_once(self) -> int:
        return self._jobs * _TOGETHER

    @property
    def _jobs(self) -> int:
        cores: int = self._context.defaultParallelism
        return min(_JOBS, 2 * cores)

    def close(self) -> None:
        """Leave the cluster; what is not done there is given up. The build goes on without Java."""
        bridge = self._context._gateway
        self._context.stop()
        self._give_up()
        # pyspark keeps Java, and a thread, for the next context; a process with threads cannot be forked.
        kind = type(self._context)
        kind._gateway = kind._jvm = None
        bridge.shutdown()
        bridge.proc.stdin.close()
        bridge.proc.wait()
        # One of the bridge's looks once a second whether it should end.
        for thread in threading.enumerate():
            if thread not in self._before:
                thread.join(_ENDING)

    def submit(self, partition: Partition) -> Future[Loaded]:
        asked = _Asked(partition, Future())
        self._waiting.put(asked)
        return asked.future

    def _work(self) -> None:
        while those := self._gathered():
            try:
                found = self._context.parallelize([each.partition for each in those], 1).map(_load).collect()
            except Exception as problem:
                told = BuildError(
                    f"source {those[0].partition.source}: Spark at {self._master} gave up a partition: "
                    f"{_first_line(problem)}. Nothing was published; what was loaded is kept. Look into the "
                    "log of its workers, and run the same command again"
                )
                told.__cause__ = problem
                found = [told] * len(those)
            for each, gave in zip(those, found, strict=True):
                if isinstance(gave, StromaError):
                    each.future.set_exception(gave)
                else:
                    each.future.set_result(gave)

    def _gathered(self) -> list[_Asked]:
        """Partitions for a job: those that come at about the same time; empty when there are no more."""
        those: list[_Asked] = []
        with self._gathering, suppress(Empty):
            while len(those) < _TOGETHER:
                asked = self._waiting.get(timeout=_GATHERING if those else None)
                if asked is None:
                    self._waiting.put(None)  # for the next thread
                    break
                if asked.future.set_running_or_notify_cancel():
                    those.append(asked)
        return those

    def _give_up(self) -> None:
        """Cancel what no job has taken, and end the threads; those in a job end with it."""
        with suppress(Empty):
            while (asked := self._waiting.get_nowait()) is not None:
                asked.future.cancel()
        self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def check(self) -> None:
        if not self._master.startswith("spark://") or self._workers():
            self._alone = None
        elif self._alone is None:
            self._alone = time.monotonic()
        elif time.monotonic() - self._alone > _PATIENCE:
            self._context.cancelAllJobs()
            raise BuildError(
                f"{self._master}: has had no worker for {_PATIENCE:.0f} s. Nothing was published; what was "
                "loaded is kept. Start workers, and run the same command again"
            )

    def _workers(self) -> int:
        """How many there are now; the driver is listed among them."""
        listed: int = self._context._jsc.sc().getExecutorMemoryStatus().size()
        return listed - 1


@dataclass(frozen=True)
class _Asked:
    """A partition that somebody waits for."""

    partition: Partition
    future: Future[Loaded]


def _load(partition: Partition) -> Loaded | StromaError:
    """In a worker: an error comes back as it is, since Spark would make text of it and try again."""
    if _code(partition.source) != partition.code:
        return BuildError(
            f"{platform.node()}: a worker of Spark has another version of stroma-kg here than the machine "
            "that builds. Install a checkout of the same commit, with its requirements.lock, on both, and "
            "start the workers again"
        )
    try:
        return catalog.load_partition(partition)
    except StromaError as problem:
        return problem


@cache
def _code(source: str) -> str:
    return catalog.code(source)


def _answers(master: str) -> None:
    """BuildError where none of the addresses of a master takes a connection; Spark would try for a minute."""
    problems = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
            return
        except OSError as problem:
            problems.append(f"{address}: {problem.strerror or problem}")
    raise BuildError(
        f"{master}: no master of Spark answers ({'; '.join(problems)}). Nothing was published. Start it "
        "(start-master.sh), or load with --on processes"
    )


def _first_line(problem: Exception) -> str:
    """What went wrong, in a line; of an error of Java its own words, not those of the bridge to it."""
    java = getattr(problem, "java_exception", None)
    text = str(problem if java is None else java.toString()).strip()
    return text.splitlines()[0][:300] if text else type(problem).__name__
