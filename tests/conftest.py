"""What several test files share: where the real records are, and the embedded graph, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.build import build
from kg.settings import Settings
from kg.snapshot import Snapshot
from kg.terms import ROOT


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
