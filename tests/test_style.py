"""The house rules that a program can check: style, types, and which room may see which."""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg.terms import ROOT

# docs/architecture.md, "Directions". A library lives in the rooms named here and nowhere else.
# A release is written from source with rdflib, which keeps literals as they stand; a store does not.
RELEASE = {f"kg/release/{name}.py" for name in ("__init__", "diff", "jsonld", "obo", "owl", "rdf", "source")}
HOMES = {
    "owlready2": {"kg/referees.py"},
    "pyelk": {"kg/axioms.py", "kg/referees.py"},
    "rustdl": {"kg/referees.py"},
    "shacl": {"kg/validation.py"},
    "typer": {f"kg/cli/{name}.py" for name in ("asking", "common", "curating", "graphs", "serving")},
    "pandas": {"kg/client.py"},
    "mcp": {"kg/mcp.py"},
    "polars": {"kg/client.py"},
    "pyspark": {"kg/spark.py"},
    "httpx": {
        "kg/client.py",
        "loaders/fetch.py",
        "kg/engine/broker.py",
        "kg/engine/publishing.py",
        "kg/engine/remote.py",
        "kg/selfcheck.py",
    },
    "rdflib": {"kg/ontology.py", "kg/rules.py", "kg/why.py", *RELEASE},  # why: what a rule asks for
    "pyhornedowl": {"loaders/obo/formats.py", "kg/release/__init__.py", "kg/referees.py"},
    "prometheus_client": {"kg/web/metrics.py"},
    "yaml": {"kg/canned.py", "loaders/mappings/loader.py"},  # headers of queries and of SSSOM tables
    "jinja2": {"kg/reference/pages.py", "kg/web/pages.py"},
    "scipy": {"kg/evidence/statistics.py", "kg/evidence/pooling.py"},
    "statsmodels": {"kg/evidence/statistics.py", "kg/evidence/pooling.py"},
    "opencc": {"kg/search/folding.py"},
    "rapidfuzz": {"kg/search/__init__.py"},
}
# Who may see the loaders.
OF_LOADERS = {"kg/build.py", "kg/loading.py", "kg/spark.py", "kg/cli/curating.py", "kg/cli/graphs.py"}
WEB_LIBRARIES = {"fastapi", "starlette", "uvicorn"}


def sources() -> list[Path]:
    return sorted(path for room in ("kg", "loaders") for path in (ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_the_house_allows(path: Path) -> None:
    room = str(path.relative_to(ROOT))
    for module in imports(path):
        top = module.split(".")[0]
        if room.startswith("loaders/") and top == "kg":
            assert module in {"kg.terms", "kg.parts", "kg.errors"}, f"{room} imports {module}"
        if room.startswith(("kg/web/", "kg/engine/")):
            assert not module.startswith(("kg.build", "kg.cli", "loaders")), f"{room} imports {module}"
        if room.startswith("kg/evidence/") and top == "kg":
            assert module.startswith(("kg.terms", "kg.errors", "kg.evidence")), f"{room} imports {module}"
        if top in WEB_LIBRARIES:
            assert room.startswith("kg/web/"), f"{room} imports {module}"
        if top in HOMES:
            assert room in HOMES[top], f"{room} imports {module}"
        if top == "loaders" and room.startswith("kg/"):
            assert room in OF_LOADERS, f"{room} imports {module}"


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=lambda command: " ".join(command),
)
def test_the_code_is_clean(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_path_of_a_machine_and_no_registry_host_is_in_the_tree() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    parent = str(ROOT.parent) + "/"
    for name in tracked.stdout.split():
        path = ROOT / name
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        # The folder above a checkout at "/x", or among what is temporary, tells nothing of a machine.
        if len(parent) > 4 and ROOT.parent != Path(tempfile.gettempdir()):
            assert parent not in text, f"{name} names a path of this machine"
        assert "--index-url" not in text or name in {"tests/test_style.py"}, f"{name} names a registry"


def test_no_merge_was_left_half_done() -> None:
    found = subprocess.run(["git", "grep", "-nE", "^(<{7} |>{7} )"], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout == ""
