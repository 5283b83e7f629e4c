"""Work spread over forks of this process.

Hides how many there are, that an error in one comes out as itself, that none outlives this process, and that
a dead one is noticed. The work and what it closes over are inherited, never copied; its items and what it
returns go through pipes, so let them be small.
"""

from __future__ import annotations

import gc
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

from kg.errors import BuildError

Item = TypeVar("Item")
Result = TypeVar("Result")

_work: Callable[[Any], Any]  # of a worker


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], processes: int
) -> Generator[Result, None, None]:
    """What `work` returns of each item, in the order of the items whatever the number of processes.

    Raises what `work` raises, of the first item in order; BuildError when a process dies. One process, or a
    process that has threads, which must not be forked, works here.
    """
    if processes == 1 or threading.active_count() > 1:
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
        raise BuildError(
            "a process that worked beside this one ended, or was killed, perhaps for want of memory. Nothing "
            "was published. Run the same command again, with fewer processes or more memory"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


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
