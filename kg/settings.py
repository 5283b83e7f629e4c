"""Settings: built once from the environment at the edge, passed on as an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kg.errors import UsageError
from kg.terms import ROOT


@dataclass(frozen=True)
class Settings:
    """Every setting, with its unit. `Settings.from_environ` reads KG_<NAME>, HOST and PORT."""

    root: Path = ROOT  # the checkout: ontology/, queries/, loaders/
    var: Path = ROOT / "var"  # snapshots and raw downloads; git-ignored
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 2  # queries evaluated at once
    queue: int = 64  # queries that may wait; one more gets 503
    query_seconds: float = 60.0  # wall clock, enforced from outside the evaluator
    worker_memory_bytes: int = 2 * 1024**3  # per worker, over the shared store
    query_bytes: int = 256 * 1024  # length of a query's text
    query_tokens: int = 50_000
    query_nesting: int = 500  # brackets of any kind

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("port", self.port, 0, 65_535),
            ("workers", self.workers, 1, 1_024),
            ("queue", self.queue, 0, 1_000_000),
            ("query_seconds", self.query_seconds, 0.001, 86_400),
            ("worker_memory_bytes", self.worker_memory_bytes, 2**20, 2**50),
            ("query_bytes", self.query_bytes, 1, 2**30),
            ("query_tokens", self.query_tokens, 1, 2**30),
            ("query_nesting", self.query_nesting, 1, 2_000),
        ):
            if not least <= value <= most:
                raise UsageError(f"{name} is {value}; it must lie between {least} and {most}")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Settings from environment variables; raises UsageError naming a variable that does not parse."""
        values: dict[str, object] = {}
        for name, kind in (
            ("var", Path),
            ("workers", int),
            ("queue", int),
            ("query_seconds", float),
            ("worker_memory_bytes", int),
            ("query_bytes", int),
            ("query_tokens", int),
            ("query_nesting", int),
            ("host", str),
            ("port", int),
        ):
            variable = name.upper() if name in ("host", "port") else f"KG_{name.upper()}"
            if variable in environ:
                try:
                    values[name] = kind(environ[variable])
                except ValueError:
                    called = {int: "whole number", float: "number"}.get(kind, kind.__name__)
                    raise UsageError(f"{variable}={environ[variable]!r} is not a {called}") from None
        return cls(**values)  # type: ignore[arg-type]
