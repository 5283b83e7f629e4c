"""The command line: one function a verb, over the modules that do the work.

Hides options, the progress bar, tables on a terminal, and which error gives which exit code. Results go to
stdout, progress and errors to stderr. Each verb imports what it needs: `kg --help` loads no reasoner.
"""

from __future__ import annotations

import sys

from kg.cli.common import app
from kg.errors import StromaError

# isort: split
# Each adds its verbs, in the order of `kg --help`.
from kg.cli import graphs  # noqa: F401, I001
from kg.cli import asking  # noqa: F401
from kg.cli import serving  # noqa: F401
from kg.cli import curating  # noqa: F401

__all__ = ["app", "main"]


def main() -> None:
    """The `kg` command: every StromaError becomes one line on stderr and its exit code."""
    try:
        app(prog_name="kg")
    except StromaError as problem:
        print(f"kg: {' '.join(str(problem).split())}", file=sys.stderr)
        sys.exit(problem.exit_code)
