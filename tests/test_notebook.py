"""The notebook of docs/: it runs against a server of ours, and its forest plot shows what the graph holds."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from kg.client import Client
from kg.terms import ROOT

NOTEBOOK = ROOT / "docs" / "effects.ipynb"


@pytest.fixture(scope="module")
def executed(site: str) -> Any:
    """The notebook with its outputs, of a kernel that is told to ask the server."""
    before = os.environ.get("STROMA")
    os.environ["STROMA"] = site
    try:
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
        ).execute()
    finally:
        if before is None:
            del os.environ["STROMA"]
        else:
            os.environ["STROMA"] = before
    return notebook


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def test_it_runs_and_draws_a_forest_plot(executed: Any) -> None:
    (picture,) = [o for o in outputs(executed) if "image/png" in o.get("data", {})]
    data = base64.b64decode(picture["data"]["image/png"])
    assert data.startswith(b"\x89PNG")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    assert width > 600 < height
    assert not [output for output in outputs(executed) if output["output_type"] == "error"]


def test_its_rows_are_those_of_the_graph(executed: Any, site: str) -> None:
    with Client(site) as client:
        rows = [row for row in client.effect_sizes() if row["method"] == "risk difference"]
        findings = client.findings_about(thing="stroma:MeasureACR20")
    (table,) = [o["data"]["text/plain"] for o in outputs(executed) if "ciLow" in str(o.get("data", ""))]
    assert len(table.splitlines()) - 1 >= len(rows)
    for row in rows:
        assert f"{row['effect']:g}" in table
    said = "".join(o.get("text", "") for o in outputs(executed))
    assert f"{len(rows) * 3} effects from" in said
    for finding in findings:
        assert str(finding["summary"]) in said
    assert re.search(r"kg why https://w3id.org/stroma/derived/\w+ a stroma:EffectEstimate", said)


def test_it_is_kept_without_outputs_and_names_no_machine() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert outputs(notebook) == []
    assert all(cell.get("execution_count") is None for cell in notebook.cells)
    assert str(Path.home()) not in NOTEBOOK.read_text(encoding="utf-8")
