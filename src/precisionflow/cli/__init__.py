"""The command line: parses, calls one function."""

import sys

import typer

from precisionflow.cli import data, laptop, predicting, remote, results, searching, serving
from precisionflow.cli.options import app
from precisionflow.console import command, fail, note
from precisionflow.entrypoints import one_line_errors

__all__ = ["app", "data", "laptop", "main", "predicting", "remote", "results", "searching", "serving"]

STOPPED = 130
"""Exit code after Ctrl-C, by the shells' custom."""


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2, a cluster's refusal one line and exit code 3."""
    with one_line_errors():
        try:
            code = app(standalone_mode=False)
        except typer.TyperException as mistake:
            fail(f"{mistake.format_message()} `precisionflow --help` lists what there is")
    if code == STOPPED:
        note(f"stopped; what is finished is kept, `{command(*sys.argv[1:])}` goes on")
    sys.exit(code)
