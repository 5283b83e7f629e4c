"""What several test files share: where the real records are."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.terms import ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real records beside the checkout; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared (real records), which is not beside this checkout")
    return folder
