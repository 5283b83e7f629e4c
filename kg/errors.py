"""Every error a person may see, and what each one promises.

    StromaError                    base: the message names the thing, the place and the next step
    ├── SourceError                a record or file of a source cannot be used; nothing was published
    │   ├── UnknownValue           a field holds a category we have no term for
    │   └── BadValue               a field holds something that is not what the field means
    ├── BuildError                 the build stopped; the served snapshot is as it was
    │   ├── CountMismatch          a source gave other numbers than its `source.toml` expects
    │   ├── ShapeViolation         SHACL found statements that break a shape
    │   └── OntologyError          the ontology is inconsistent, has an unsatisfiable class, or does not parse
    ├── SnapshotError              a snapshot is missing, damaged, or of a format this version cannot read
    ├── UsageError                 what was asked for does not exist (unknown query, source, format)
    │   ├── ParameterError         a parameter of a query is unknown, or its value does not fit
    │   └── VersionGone            the snapshot asked for is not kept any more; `kept` are those that are
    ├── EndpointError              another server does not answer as it should, or scores less than asked
    └── QueryError                 a SPARQL query did not give an answer
        ├── QuerySyntaxError       it does not parse; carries line and column (1-based)
        ├── QueryRefused           it parses but is not allowed here; the reason says why
        ├── QueryUnsupported       it parses but calls a function that is not here, or not that way
        ├── QueryTooLarge          it exceeds a stated cap on its text (bytes, tokens or nesting)
        ├── QueryTimeout           it ran longer than the stated limit
        ├── QueryOutOfMemory       it needed more memory than the stated limit
        ├── QueryCancelled         somebody who may do so stopped it by its id
        ├── ServiceFailed          another endpoint that its SERVICE asks did not answer as it should
        ├── QueryFailed            the evaluator stopped with an error of its own
        └── ServerBusy             the queue is full; come back after `retry_after` seconds

Each class carries `exit_code` for the command line and `status` for HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class StromaError(Exception):
    """Base of every error meant for a person; str() is the whole message.

    It comes whole out of another process, though constructors of subclasses take more than a message.
    """

    exit_code = 1
    status = 500
    slug = "error"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[StromaError], args: tuple[object, ...], state: dict[str, object]) -> StromaError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class SourceError(StromaError):
    """A record or file of a source cannot be used.

    `source` and `file` say where; `record`, `field` and `value` say what, as far as known;
    `advice` says what to do next.
    """

    exit_code = 3
    slug = "source"

    def __init__(
        self,
        problem: str,
        *,
        source: str,
        file: str | None = None,
        record: str | None = None,
        field: str | None = None,
        value: object = None,
        advice: str = "",
    ) -> None:
        where = [f"source {source}"]
        if file is not None:
            where.append(f"file {file}")
        if record is not None:
            where.append(f"record {record}")
        if field is not None:
            where.append(f"field {field}")
        if value is not None:
            text = repr(value)
            where.append(f"value {text if len(text) <= 120 else text[:117] + '...'}")
        message = f"{', '.join(where)}: {problem}"
        super().__init__(f"{message}. {advice}" if advice else message)
        self.source, self.file, self.record, self.field, self.value = source, file, record, field, value


class UnknownValue(SourceError):
    """A field holds a category we have no term for; guessing would hide it."""


class BadValue(SourceError):
    """A field holds something that is not what the field means (a date like "31 February")."""


class BuildError(StromaError):
    """The build stopped; the served snapshot is as it was."""

    exit_code = 4
    slug = "build"


class CountMismatch(BuildError):
    """A source gave other numbers than its `source.toml` expects."""


class ShapeViolation(BuildError):
    """SHACL found statements that break a shape."""


class OntologyError(BuildError):
    """The ontology is inconsistent, has an unsatisfiable class, or does not parse."""


class SnapshotError(StromaError):
    """A snapshot is missing, damaged, or of a format this version cannot read."""

    exit_code = 5
    status = 503
    slug = "snapshot"


class UsageError(StromaError):
    """The person asked for something that does not exist; the message lists what does."""

    exit_code = 2
    status = 404
    slug = "usage"


class ParameterError(UsageError):
    """A parameter of a query is unknown, or its value does not fit; the message says what it takes.

    `parameter` is its name, `takes` what it takes, `near` what may have been meant, where that is known.
    """

    status = 400
    slug = "parameter"

    def __init__(
        self, message: str, *, parameter: str = "", takes: str = "", near: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.parameter, self.takes, self.near = parameter, takes, tuple(near)


class VersionGone(UsageError):
    """The snapshot asked for is not kept; `kept` names those that are, the current one first."""

    status = 410
    slug = "version-gone"

    def __init__(self, message: str, kept: Sequence[str]) -> None:
        super().__init__(message)
        self.kept = tuple(kept)


class EndpointError(StromaError):
    """Another server does not answer as it should, or scores less than asked."""

    exit_code = 7
    slug = "endpoint"


class QueryError(StromaError):
    """A SPARQL query did not give an answer."""

    exit_code = 6
    status = 400
    slug = "query"


class QuerySyntaxError(QueryError):
    """The query does not parse; `line` and `column` are 1-based, None when the parser gave none."""

    slug = "query-syntax"

    def __init__(self, problem: str, line: int | None = None, column: int | None = None) -> None:
        place = "" if line is None else f" at line {line}, column {column}"
        super().__init__(f"The query does not parse{place}: {problem}")
        self.line, self.column = line, column


class QueryRefused(QueryError):
    """The query parses but is not allowed here; the reason says why and what to do instead."""

    status = 403
    slug = "query-refused"


class QueryUnsupported(QueryError):
    """The query parses but calls a function that is not here, or with other arguments than it takes."""

    slug = "query-unsupported"


class QueryTooLarge(QueryError):
    """The query's text exceeds a stated cap (bytes, tokens or nesting)."""

    status = 413
    slug = "query-too-large"


class QueryTimeout(QueryError):
    """The query ran longer than the stated limit."""

    status = 503
    slug = "query-timeout"


class QueryOutOfMemory(QueryError):
    """The query needed more memory than the stated limit."""

    status = 503
    slug = "query-out-of-memory"


class QueryCancelled(QueryError):
    """Whoever started the query, or an operator, stopped it by its id."""

    status = 503
    slug = "query-cancelled"


class ServiceFailed(QueryError):
    """Another endpoint that the query asks by SERVICE did not answer as it should; the message names it."""

    status = 502
    slug = "service-failed"


class QueryFailed(QueryError):
    """The evaluator stopped with an error of its own."""

    status = 500
    slug = "query-failed"


class ServerBusy(QueryError):
    """The queue is full; come back after `retry_after` seconds."""

    status = 503
    slug = "server-busy"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
