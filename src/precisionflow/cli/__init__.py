"""The command line: parses, calls one function."""

import sys

import typer

from precisionflow.cli import laptop, predicting, remote, searching
from precisionflow.cli.options import app
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.console import explain, fail

__all__ = ["app", "laptop", "main", "predicting", "remote", "searching"]

STOPPED = 130
"""Exit code after Ctrl-C, by the shells' custom."""


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2, a cluster's refusal one line and exit code 3."""
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as mistake:
        fail(f"{mistake.format_message()} `precisionflow --help` lists what there is")
    except (ValueError, OSError, MemoryError) as error:
        fail(explain(error))
    except ClusterError as error:
        fail(str(error), code=3)
    if code == STOPPED:
        typer.echo("precisionflow: stopped; run again to go on", err=True)
    sys.exit(code)
