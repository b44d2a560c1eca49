"""The command line: parses, calls one function."""

import atexit
import contextlib
import sys
import threading
from typing import NoReturn

import typer

from precisionflow.cli import data, laptop, predicting, remote, results, searching, serving
from precisionflow.cli.options import app
from precisionflow.console import command, fail, note
from precisionflow.entrypoints import one_line_errors

__all__ = [
    "app",
    "data",
    "entry",
    "laptop",
    "main",
    "predicting",
    "remote",
    "results",
    "searching",
    "serving",
]

STOPPED = 130
"""Exit code after Ctrl-C, by the shells' custom."""


def entry() -> NoReturn:
    """Entry point of a process: `main`, then what is registered for the exit, and no end of the interpreter.

    Where a thread is at work, what was printed cannot be written, or the exit has a text, that end comes: it waits, and
    says so.
    """
    from precisionflow.results.lifetime import leave

    try:
        main()
    except SystemExit as end:
        if threading.active_count() == 1 and not isinstance(end.code, str):
            atexit._run_exitfuncs()
            with contextlib.suppress(OSError):
                leave(int(end.code or 0))
        raise


def main() -> NoReturn:
    """The command of `sys.argv`: a user's mistake is one line and exit code 2, a cluster's refusal one line and exit
    code 3.
    """
    with one_line_errors():
        try:
            code = app(standalone_mode=False)
        except typer.TyperException as mistake:
            fail(f"{mistake.format_message()} `precisionflow --help` lists what there is")
    if code == STOPPED:
        note(f"stopped; what is finished is kept, `{command(*sys.argv[1:])}` goes on")
    sys.exit(code)
