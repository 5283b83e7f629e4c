"""The keeper: a process that loads a snapshot once and forks workers from itself.

Hides fork, and how a worker gets its channel and its store. It never evaluates a query and has one thread, so
a fork of it is clean. Run as `python -m kg.engine.keeper <descriptor> <snapshot folder> <memory|disk>` by
`kg.engine.memory`. With "memory" the workers share the keeper's store; with "disk" the keeper sees to it that
the store is written, and each worker opens it.

Over its control socket, JSON lines. In: {"fork": id} with the worker's socket as descriptor, {"kill": id}.
Out: {"ready": true} or {"failed": message}; {"exited": id, "status": n, "words": text}.
It ends when the control socket closes, and its workers with it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pyoxigraph import Store

from kg.engine import disk, sandbox, worker
from kg.errors import StromaError
from kg.snapshot import Snapshot, load_store, open_snapshot


@dataclass(frozen=True)
class _Holding:
    """How a worker gets its store, and how many files it may have open for that."""

    store: Callable[[], Store]  # called in the worker
    files: int = 64


@dataclass
class _Child:
    id: int
    words: IO[bytes]  # what it wrote to stderr: the evaluator's last words


class _Keeper:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, _Child] = {}  # by pid; one that exited stays until it is reaped
        self._incoming = b""
        self._descriptors: list[int] = []

    def tell(self, **message: Any) -> None:
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps(message).encode() + b"\n")

    def keep(self, holding: _Holding) -> None:
        """Serve the control socket until it closes."""
        wake_in, wake_out = os.pipe()
        for end in (wake_in, wake_out):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_out, warn_on_full_buffer=False)
        self.tell(ready=True)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(wake_in, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == wake_in:
                        with contextlib.suppress(BlockingIOError):
                            os.read(wake_in, 4096)
                        self._reap()
                    elif not self._listen(holding):
                        return

    def _listen(self, holding: _Holding) -> bool:
        try:
            received, descriptors, _, _ = socket.recv_fds(self._control, 65536, 64)
        except ConnectionError:
            return False
        if not received:
            return False
        self._incoming += received
        self._descriptors += descriptors
        *lines, self._incoming = self._incoming.split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "fork" in message:
                self._fork(holding, message["fork"], self._descriptors.pop(0))
            else:
                # Only a child not yet reaped is in the table, so its pid cannot be another process's.
                for pid, child in self._children.items():
                    if child.id == message["kill"]:
                        os.kill(pid, signal.SIGKILL)
        return True

    def _fork(self, holding: _Holding, id: int, descriptor: int) -> None:
        words = tempfile.TemporaryFile()  # noqa: SIM115  # closed when the child is reaped
        try:
            pid = os.fork()
        except OSError as problem:
            words.close()
            os.close(descriptor)
            self.tell(exited=id, status=-1, words=f"fork: {problem.strerror}")
            return
        if pid == 0:
            _become_worker(holding, descriptor, words)
        os.close(descriptor)
        self._children[pid] = _Child(id, words)

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid)
            with child.words:
                child.words.seek(0)
                words = child.words.read(2000).decode("utf-8", "replace")
            self.tell(exited=child.id, status=os.waitstatus_to_exitcode(status), words=words)


def _become_worker(holding: _Holding, descriptor: int, words: IO[bytes]) -> None:
    """In the child: keep the channel and stderr, drop everything else, serve, and never return."""
    code = 1
    try:
        sandbox.die_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(words.fileno(), 2)
        os.dup2(2, 1)
        os.dup2(descriptor, 3)
        os.closerange(4, 65536)
        with socket.socket(fileno=3) as channel:
            worker.run(holding.store(), channel, holding.files)
        code = 0
    finally:
        os._exit(code)


def _held(snapshot: Snapshot, holds: str) -> _Holding:
    """What gives a worker its store, when that is ready; raises SnapshotError if it cannot be."""
    if holds == "memory":
        store = load_store(snapshot)
        return _Holding(lambda: store)
    disk.prepare(snapshot)
    return _Holding(lambda: disk.open_store(snapshot), disk.OPEN_FILES)


def main(arguments: list[str]) -> int:
    """Load the snapshot named by the second argument; keep it for the socket whose number is the first.

    The third says where: "memory" or "disk".
    """
    sandbox.die_with_parent()
    # Ctrl-C reaches every process of the terminal; the server decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(arguments[0])) as control:
        keeper = _Keeper(control)
        try:
            holding = _held(open_snapshot(Path(arguments[1])), arguments[2])
        except StromaError as problem:
            keeper.tell(failed=str(problem))
            return problem.exit_code
        # Collected and frozen, so that a worker's collector leaves the shared pages alone.
        gc.collect()
        gc.freeze()
        keeper.keep(holding)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
