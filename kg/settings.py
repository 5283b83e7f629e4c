"""Settings: built once from the environment at the edge, passed on as an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from kg import services
from kg.errors import UsageError
from kg.terms import ROOT


def is_remote(engine: str) -> bool:
    """Whether an engine is another server, by its address."""
    return engine.startswith(("http://", "https://"))


def reached(address: str, user: str = "", password: str = "") -> tuple[str, str, str]:
    """A server's address without the user and password that may stand in it, and these two, which go first.

    Raises UsageError where it is no address, without repeating it: a password may be in it.
    """
    try:
        parts = urlsplit(address)
        usable = is_remote(address) and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(letter <= " " for letter in address):
        raise UsageError(
            "the address of the other server cannot be read: it is http:// or https://, a host, a port, a "
            "path. In a user or password in it, a slash, @, ?, # or space is percent-encoded; better, give "
            "them as KG_REMOTE_USER and KG_REMOTE_PASSWORD"
        )
    named, at, host = parts.netloc.rpartition("@")
    if at:
        user, _, password = (unquote(each) for each in named.partition(":"))
    return urlunsplit(parts._replace(netloc=host)), user, password


@dataclass(frozen=True)
class Settings:
    """Every setting, with its unit. `Settings.from_environ` reads KG_<NAME>, HOST and PORT."""

    root: Path = ROOT  # the checkout: ontology/, queries/, loaders/
    var: Path = ROOT / "var"  # snapshots and raw downloads; git-ignored
    host: str = "127.0.0.1"
    port: int = 8000
    admin_port: int | None = None  # on 127.0.0.1, for operators: lists and stops running queries; None: off
    engine: str = "auto"  # holds the graph: "memory", "disk", "auto" (by size), or a SPARQL server's address
    remote_user: str = ""  # who we are at that server, and where `kg publish` writes; "": nobody
    remote_password: str = field(default="", repr=False)
    publish_seconds: float = 3600.0  # a server that `kg publish` writes to may keep silent for so long
    workers: int = 2  # queries evaluated at once
    queue: int = 64  # queries that may wait; one more gets 503
    long_seconds: float = 0.1  # of a processor; a query that takes more goes on beside, at a low priority
    long_queries: int = 4  # so many at once; the next waits
    query_seconds: float = 60.0  # wall clock, enforced from outside the evaluator
    worker_memory_bytes: int = 2 * 1024**3  # per worker, over the shared store
    worker_queries: int = 10_000  # a worker is replaced after so many
    query_bytes: int = 256 * 1024  # length of a query's text
    query_tokens: int = 50_000
    query_nesting: int = 500  # brackets of any kind
    spool_bytes: int = 1024**3  # on disk (TMPDIR), for answers that clients take slowly; 0: workers wait
    cache_bytes: int = 128 * 1024**2  # of answers kept; 0: none
    cache_answer_bytes: int = 4 * 1024**2  # a larger answer is not kept
    fresh_seconds: int = 60  # for so long caches elsewhere need not ask again for an answer
    client_seconds: float = 60.0  # a client that takes nothing of its answer for so long is left
    keep_snapshots: int = 3  # published ones that stay on disk after a build, the current one included
    watch_seconds: float = 2.0  # how often to look for a newly published snapshot; 0: on SIGHUP only
    stop_seconds: float = 30.0  # how long running answers may take to finish when the server is stopped
    old_versions: int = 1  # older snapshots loaded at once for `?version=`; 0: none is served
    old_version_seconds: float = 60.0  # an older snapshot is dropped when nobody asks for so long
    connections: int = 1000  # open at once; one more is told to come back
    head_bytes: int = 256 * 1024  # of a request's address and headers
    head_seconds: float = 10.0  # until they are here
    body_seconds: float = 30.0  # then until the request's body is here
    client_rate: float = 0.0  # requests a second that one client may send; 0: any number
    client_burst: int = 20  # so many of them at once
    services: tuple[str, ...] = ()  # endpoints that SERVICE may ask; see kg/services.py
    service_seconds: float = 20.0  # one of them may take, within query_seconds
    service_bytes: int = 16 * 1024**2  # of what they answer to one query, uncompressed
    service_queries: int = 8  # queries at once that ask other endpoints
    service_values: int = 1000  # of ours sent along with a call, so that it answers what fits; 0: none
    log: str = ""  # where requests and events are logged as JSON lines: a file, - for stderr, "" for nowhere
    log_clients: str = "coarse"  # in the log: the client's network ("coarse"), "whole" address, or "off"
    log_queries: str = "hash"  # in the log: a query's "hash", or its "text" too

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("port", self.port, 0, 65_535),
            ("publish_seconds", self.publish_seconds, 0.001, 10**7),
            ("admin_port", self.admin_port or 0, 0, 65_535),
            ("workers", self.workers, 1, 1_024),
            ("queue", self.queue, 0, 1_000_000),
            ("long_seconds", self.long_seconds, 0.001, 86_400),
            ("long_queries", self.long_queries, 1, 1_024),
            ("query_seconds", self.query_seconds, 0.001, 86_400),
            ("worker_memory_bytes", self.worker_memory_bytes, 2**20, 2**50),
            ("query_bytes", self.query_bytes, 1, 2**30),
            ("query_tokens", self.query_tokens, 1, 2**30),
            ("query_nesting", self.query_nesting, 1, 2_000),
            ("worker_queries", self.worker_queries, 1, 10**9),
            ("spool_bytes", self.spool_bytes, 0, 2**50),
            ("cache_bytes", self.cache_bytes, 0, 2**50),
            ("cache_answer_bytes", self.cache_answer_bytes, 0, 2**40),
            ("fresh_seconds", self.fresh_seconds, 0, 31_536_000),
            ("client_seconds", self.client_seconds, 0.001, 86_400),
            ("keep_snapshots", self.keep_snapshots, 1, 100_000),
            ("watch_seconds", self.watch_seconds, 0, 86_400),
            ("stop_seconds", self.stop_seconds, 0, 86_400),
            ("old_versions", self.old_versions, 0, 1_000),
            ("old_version_seconds", self.old_version_seconds, 0, 86_400),
            ("connections", self.connections, 1, 10**6),
            ("head_bytes", self.head_bytes, 1024, 2**30),
            ("head_seconds", self.head_seconds, 0.001, 86_400),
            ("body_seconds", self.body_seconds, 0.001, 86_400),
            ("client_rate", self.client_rate, 0, 10**6),
            ("client_burst", self.client_burst, 1, 10**6),
            ("service_seconds", self.service_seconds, 0.001, 86_400),
            ("service_bytes", self.service_bytes, 1024, 2**30),
            ("service_queries", self.service_queries, 1, 1_024),
            ("service_values", self.service_values, 0, 100_000),
        ):
            if not least <= value <= most:
                raise UsageError(f"{name} is {value}; it must lie between {least} and {most}")
        if self.engine not in ("auto", "memory", "disk") and not is_remote(self.engine):
            shown = "an address" if "@" in self.engine else repr(self.engine)
            raise UsageError(
                f"engine is {shown}; it must be one of auto, memory, disk, or the address of a SPARQL server "
                "(http:// or https://)"
            )
        if is_remote(self.engine):
            # Out of the address at once, so that nothing that shows it can show a password.
            address, user, password = reached(self.engine, self.remote_user, self.remote_password)
            for name, text in (("engine", address), ("remote_user", user), ("remote_password", password)):
                object.__setattr__(self, name, text)
        for name, word, words in (
            ("log_clients", self.log_clients, ("coarse", "whole", "off")),
            ("log_queries", self.log_queries, ("hash", "text")),
        ):
            if word not in words:
                raise UsageError(f"{name} is {word!r}; it must be one of {', '.join(words)}")
        for service in self.services:
            services.check(service)
        if self.services and is_remote(self.engine):
            raise UsageError(
                "services: SERVICE needs the graph on this machine, and engine is another server's address. "
                "Leave one of the two out"
            )

    @property
    def engine_here(self) -> str:
        """The engine of what this machine holds itself: "auto" where another server is the engine."""
        return "auto" if is_remote(self.engine) else self.engine

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Settings from environment variables; raises UsageError naming a variable that does not parse."""
        values: dict[str, object] = {}
        for name, kind in (
            ("var", Path),
            ("admin_port", int),
            ("engine", str),
            ("remote_user", str),
            ("remote_password", str),
            ("publish_seconds", float),
            ("workers", int),
            ("queue", int),
            ("long_seconds", float),
            ("long_queries", int),
            ("query_seconds", float),
            ("worker_memory_bytes", int),
            ("query_bytes", int),
            ("query_tokens", int),
            ("query_nesting", int),
            ("worker_queries", int),
            ("spool_bytes", int),
            ("cache_bytes", int),
            ("cache_answer_bytes", int),
            ("fresh_seconds", int),
            ("client_seconds", float),
            ("keep_snapshots", int),
            ("watch_seconds", float),
            ("stop_seconds", float),
            ("old_versions", int),
            ("old_version_seconds", float),
            ("connections", int),
            ("head_bytes", int),
            ("head_seconds", float),
            ("body_seconds", float),
            ("client_rate", float),
            ("client_burst", int),
            ("services", services.read),
            ("service_seconds", float),
            ("service_bytes", int),
            ("service_queries", int),
            ("service_values", int),
            ("log", str),
            ("log_clients", str),
            ("log_queries", str),
            ("host", str),
            ("port", int),
        ):
            variable = name.upper() if name in ("host", "port") else f"KG_{name.upper()}"
            if variable in environ:
                try:
                    values[name] = kind(environ[variable])
                except ValueError:
                    called = {"int": "whole number", "float": "number"}.get(kind.__name__, kind.__name__)
                    raise UsageError(f"{variable}={environ[variable]!r} is not a {called}") from None
        return cls(**values)  # type: ignore[arg-type]
