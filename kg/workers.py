"""Work spread over forks of this process.

Hides how many there are, that an error in one comes out as itself, that none outlives this process, and that
a dead one is noticed. The work and what it closes over are inherited, never copied; its items and what it
returns go through pipes, so let them be small.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, cast

from kg.errors import BuildError

Item = TypeVar("Item")
Result = TypeVar("Result")

_work: Callable[[Any], Any]  # of a worker
_PATIENCE = 5.0  # seconds in which a fork that is not wanted any more may put away what it began
_DIED = (
    "a process that worked beside this one ended, or was killed, perhaps for want of memory. Nothing "
    "was published. Run the same command again, with fewer processes or more memory"
)


def can_fork() -> bool:
    """Whether the functions of this module fork: a process that has threads must not, and works alone."""
    return threading.active_count() == 1


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], processes: int
) -> Generator[Result, None, None]:
    """What `work` returns of each item, in the order of the items whatever the number of processes.

    Raises what `work` raises, of the first item in order; BuildError when a process dies. One process, or a
    process that has threads, which must not be forked, works here.
    """
    if processes == 1 or not can_fork():
        yield from map(work, items)
        return
    pool = ProcessPoolExecutor(processes, get_context("fork"), _begin, (work,))
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(_do, item))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise BuildError(_DIED) from None
    finally:
        pool.shutdown(cancel_futures=True)


def beside(
    tasks: Mapping[str, Callable[[], Result]], processes: int, begun: Callable[[str], None]
) -> dict[str, Result]:
    """What each task returns, by its name, when all are done: each in a fork of its own, `processes` at once.

    They begin in their order, and `begun` is told. Where one fails the others are ended, and what it raised
    is raised; BuildError where it dies. One process, or a process that has threads, works here, in turn.
    """
    done: dict[str, Result] = {}
    if processes == 1 or not can_fork():
        for name, task in tasks.items():
            begun(name)
            done[name] = task()
        return done
    waiting = deque(tasks.items())
    at_work: dict[Connection, tuple[str, BaseProcess]] = {}
    try:
        while waiting or at_work:
            while waiting and len(at_work) < processes:
                name, task = waiting.popleft()
                begun(name)
                receiver, sender = get_context("fork").Pipe(duplex=False)
                process: BaseProcess = get_context("fork").Process(
                    target=_tell, args=(task, sender), daemon=True
                )
                process.start()
                sender.close()  # so that it ends with the process
                at_work[receiver] = name, process
            for receiver in cast(list[Connection], wait(list(at_work))):
                name, process = at_work[receiver]
                try:
                    well, told = receiver.recv()
                except EOFError:
                    raise BuildError(_DIED) from None
                if not well:
                    raise told
                process.join()
                receiver.close()
                del at_work[receiver]
                done[name] = told
    finally:
        _end(at_work)
    return {name: done[name] for name in tasks}


def _tell(task: Callable[[], object], sender: Connection) -> None:
    """In a fork: what a task returns, or raises, goes to the process that began it."""
    # As an exception, so that a task that is ended removes what it has half written.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    gc.freeze()
    end_with_parent()
    try:
        told: tuple[bool, object] = True, task()
    except Exception as problem:
        told = False, problem
    except KeyboardInterrupt:
        sys.exit(1)  # the one that began it was told, too, and says so
    sender.send(told)


def _end(at_work: Mapping[Connection, tuple[str, BaseProcess]]) -> None:
    for _, process in at_work.values():
        process.terminate()
    for receiver, (_, process) in at_work.items():
        process.join(_PATIENCE)
        process.kill()
        process.join()
        receiver.close()


def end_with_parent() -> None:
    """In a process of a pool: end when the one that started it is killed, which cannot say so."""

    def watch() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    gc.freeze()  # what is inherited is never collected here: to look at it would copy it
    end_with_parent()


def _do(item: Any) -> Any:
    return _work(item)
