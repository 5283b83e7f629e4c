"""The log as JSON lines, one event a line, for programs that collect logs.

Hides how a record of `logging` becomes a line, and the thread that writes it: whoever reads the log slowly
must not stop the server, so what does not fit into the queue is dropped, and counted. What a client sent is
escaped (ASCII only), so that no request can begin a line of its own, colour a terminal or turn its writing.
"""

from __future__ import annotations

import json
import logging
import queue
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener, WatchedFileHandler

from kg.errors import UsageError

_OWN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
_LONGEST = 4000  # characters of one value; a query's text is cut there
_WAITING = 10_000  # lines that may wait to be written


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, logger, event, and the fields given with `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage()[:_LONGEST],
        }
        for name, value in record.__dict__.items():
            if name not in _OWN:
                told[name] = value[:_LONGEST] if isinstance(value, str) else value
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)[-_LONGEST:]
        return json.dumps(told, default=str)


class _Queue(QueueHandler):
    """Records on their way to the thread that writes them."""

    dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """As it is: it stays in this process."""
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put it in, or drop it."""
        try:
            if self.dropped:
                told = logging.LogRecord(__name__, logging.WARNING, "", 0, "log lines dropped", (), None)
                told.lines = self.dropped
                self.queue.put_nowait(told)
                self.dropped = 0
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


@contextmanager
def written_to(target: str) -> Iterator[None]:
    """Meanwhile what this program logs goes to `-` (stderr) or to a file, as JSON lines; nowhere for "".

    A file that a log rotation moved away is opened anew. Raises UsageError where it cannot be written.
    """
    if not target:
        yield
        return
    try:
        handler = logging.StreamHandler(sys.stderr) if target == "-" else WatchedFileHandler(target)
    except OSError as problem:
        raise UsageError(
            f"KG_LOG={target}: cannot be written: {problem.strerror}. Give another file, or - for stderr"
        ) from problem
    handler.setFormatter(JsonLines())
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(_WAITING)
    ours, root = _Queue(waiting), logging.getLogger()
    listener = QueueListener(waiting, handler)
    level = logging.getLogger("kg").level
    logging.getLogger("kg").setLevel(logging.INFO)
    root.addHandler(ours)
    listener.start()
    try:
        yield
    finally:
        root.removeHandler(ours)
        logging.getLogger("kg").setLevel(level)
        listener.stop()
        handler.close()
