"""Status of a study on this machine while it runs: cells done and open, and the tables of what is there."""

import time
from pathlib import Path

from precisionflow.app.plan import print_plan
from precisionflow.app.standing import experiments_of, standing
from precisionflow.console import command
from precisionflow.results.layout import Results
from precisionflow.results.locks import is_held

PAUSE = 5.0
"""Seconds between two looks, at least."""
SHARE = 0.05
"""Most of the time that looking takes."""


def print_progress(folder: Path) -> None:
    """Say how far the experiments of a results folder are, and show the tables of the units that are complete.

    ValueError when the folder is none that `precisionflow run` made. Nothing is written there.
    """
    from precisionflow.report.terminal import print_tables, terminal

    results, console = Results(folder), terminal()
    print_plan(experiments_of(results), folder=folder)
    with standing(folder) as there:
        if there.experiments:
            print_tables(there.experiments, there.aggregate, console)
        if there.done and there.told:
            console.print(there.told, soft_wrap=True)
        if not there.open:
            return
    if not is_held(folder):
        again = command("run", *results.experiments, "--out", folder)
        console.print(f"no run is going on here; `{again}` goes on", soft_wrap=True)


def follow(folder: Path) -> None:
    """`print_progress` again and again, until no run is going on: in a terminal each in the place of the one before,
    elsewhere whenever a cell is done.
    """
    from precisionflow.report.terminal import terminal

    console, shown = terminal(), -1
    while True:
        begun, running = time.monotonic(), is_held(folder)
        with standing(folder) as there:
            done = there.done
        if console.is_terminal or done != shown or not running:
            console.clear()
            print_progress(folder)
        if not running:
            return
        shown = done
        time.sleep(max(PAUSE, (time.monotonic() - begun) / SHARE))
