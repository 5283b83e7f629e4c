"""What several test files share: where the real records are, graphs to ask, and a server that answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from pyoxigraph import RdfFormat, parse

from kg.build import build
from kg.engine.disk import STORE, prepare
from kg.settings import Settings
from kg.snapshot import Snapshot, open_snapshot, publish, write_snapshot
from kg.terms import ROOT, XSD
from tests.peers import ours, whole_site


def pytest_configure() -> None:
    # How long a machine takes to think of an example says nothing of the code: others may use it, too.
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--renew", action="store_true", help="write tests/queries/*.tsv where the graph answers otherwise"
    )


@pytest.fixture(scope="session")
def renew(request: pytest.FixtureRequest) -> bool:
    """Whether tables of expected rows are to be written from what the graph answers."""
    return bool(request.config.getoption("--renew"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real records beside the checkout; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared (real records), which is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The graph of all embedded data, built and published once for all tests, in a `var` of its own."""
    return build(Settings(var=tmp_path_factory.mktemp("embedded")))


@pytest.fixture(scope="session")
def only_in_store(embedded: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The embedded graph, in a `var` of its own, with a store on disk beside data that cannot be loaded.

    Whoever answers from it has opened the store.
    """
    var = tmp_path_factory.mktemp("stored")
    shutil.copytree(
        embedded.folder, var / "snapshots" / embedded.name, ignore=shutil.ignore_patterns("dump", STORE)
    )
    snapshot = open_snapshot(var / "snapshots" / embedded.name)
    prepare(snapshot)
    publish(snapshot, var)
    snapshot.data.write_bytes(bytes(snapshot.data.stat().st_size))
    return snapshot


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A snapshot small enough to check by hand, and 2,000 numbered things to make work of."""
    graph = "<https://example.org/trials>"
    lines = [
        f'<https://example.org/t1> <https://example.org/phase> "2"^^<{XSD.integer.value}> {graph} .',
        f'<https://example.org/t2> <https://example.org/phase> "3"^^<{XSD.integer.value}> {graph} .',
        '<https://example.org/t1> <https://example.org/label> "类风湿关节炎"@zh-Hans '
        "<https://example.org/labels> .",
    ]
    example = "https://example.org/"
    lines += [f'<{example}n{n}> <{example}number> "{n}" <{example}many> .' for n in range(2000)]
    quads = parse("\n".join(lines), format=RdfFormat.N_QUADS)
    return write_snapshot(quads, tmp_path_factory.mktemp("tiny"), version="2026-11-22")


Serve = Callable[..., str]


@pytest.fixture(scope="module")
def serve(tiny: Snapshot) -> Iterator[Serve]:
    """Start a real server in a process of its own, on a snapshot and with settings; get its address.

    Every one is stopped at the end of the module, and must end well.
    """
    with ExitStack() as running:

        def start(snapshot: Snapshot = tiny, **settings: object) -> str:
            return running.enter_context(ours(snapshot, **settings))

        yield start


@pytest.fixture(scope="session")
def site(embedded: Snapshot) -> Iterator[str]:
    """The address of a server with everything that `kg serve` has, on the graph of all embedded data."""
    with whole_site(embedded) as address:
        yield address
