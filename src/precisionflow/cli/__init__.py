"""The command line: parses, calls one function."""

import sys

import typer

from precisionflow.cli import data, laptop, predicting, remote, searching
from precisionflow.cli.options import app
from precisionflow.console import fail
from precisionflow.entrypoints import one_line_errors

__all__ = ["app", "data", "laptop", "main", "predicting", "remote", "searching"]

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
        typer.echo("precisionflow: stopped; run again to go on", err=True)
    sys.exit(code)
