"""A study of 500 cells in which a random process is killed every minute, beside the same study unbroken: do the tables
agree, does the memory of the run stay flat while cells are computed, and what do the kills cost?

After a kill the run may end; the same command then goes on, as a user would say it again.

    python benchmarks/broken_study.py --json runs/benchmarks/broken_study.json     # a quarter of an hour on one core
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pyarrow.parquet as pq
from measured import Measured, arguments, present

from precisionflow.results.layout import Aggregated, Results

EXPERIMENT = "toy"
VARIANTS = 10
"""Of `toy` with the axes below."""
MOST_RUNS = 100
LOOK = 1.0
"""Seconds between looks at the memory."""


class Run(NamedTuple):
    """What running a study to its end took."""

    seconds: float
    runs: int
    kills: int
    memory: list[float]
    """MiB of the run's own process until its cells are aggregated, look by look, of the longest run: tables take the
    same memory after any number of cells."""


def command(folder: Path, *, cells: int) -> list[str]:
    """The run of so many cells: 10 variants, 10 splits, the rest seeds."""
    rates = {f"rate_{k}": {"training.learning_rate": 0.001 * (k + 1)} for k in range(VARIANTS)}
    splits = min(10, max(1, cells // VARIANTS))
    settings = [
        f"ablation.axes={{rate: {rates}}}",
        f"splits={list(range(splits))}",
        f"seeds={list(range(max(1, cells // (VARIANTS * splits))))}",
        *("engine={kind: torch, device: cpu}", "training.steps=200", "evaluation.recalibration=[]"),
    ]
    chosen = [word for setting in settings for word in ("--set", setting)]
    return [sys.executable, "-m", "precisionflow", "run", EXPERIMENT, "--out", str(folder), *chosen]


def finish(words: list[str], folder: Path, *, every: float | None, seed: int = 0) -> Run:
    """Run until the study is finished; with `every`, so many seconds after one kill comes the next."""
    drawn, start, kills, longest = random.Random(seed), time.perf_counter(), 0, list[float]()
    for runs in range(1, MOST_RUNS + 1):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        own, memory, due = psutil.Process(process.pid), list[float](), time.perf_counter() + (every or 0)
        while process.poll() is None:
            time.sleep(LOOK)
            try:
                if not Results(folder).aggregate.exists():
                    memory.append(own.memory_info().rss / 2**20)
                if every is not None and time.perf_counter() >= due:
                    working = [child for child in own.children(recursive=True) if child.is_running()]
                    if working:
                        drawn.choice(working).kill()
                        kills += 1
                    due = time.perf_counter() + every
            except psutil.NoSuchProcess:
                continue
        longest = max(longest, memory, key=len)
        if process.returncode == 0:
            return Run(time.perf_counter() - start, runs, kills, longest)
    raise RuntimeError(f"{' '.join(words)}: not finished after {MOST_RUNS} runs")


def apart(one: Path, other: Path) -> int:
    """Rows of the tables that differ in any number, or that only one has."""
    tables = [
        pq.read_table(Aggregated(Results(folder).aggregate).table).to_pylist() for folder in (one, other)
    ]
    keys = ("dataset", "variant", "metric")
    first, second = ({tuple(row[key] for key in keys): repr(row) for row in rows} for rows in tables)
    return sum(first.get(key) != second.get(key) for key in first.keys() | second.keys())


def growth(memory: list[float]) -> float:
    """Largest memory of the last quarter of the looks over that of the second, once everything is imported."""
    quarter = max(1, len(memory) // 4)
    return float(np.max(memory[-quarter:]) / np.max(memory[quarter : 2 * quarter] or memory))


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between kills")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        whole = finish(command(folder / "whole", cells=given.cells), folder / "whole", every=None)
        words = [*command(folder / "broken", cells=given.cells), "--retry-failed"]
        broken = finish(words, folder / "broken", every=given.every)
        differ = apart(folder / "whole", folder / "broken")
    finally:
        shutil.rmtree(folder)
    results = [
        Measured(f"rows of the table that differ, {given.cells} cells", differ, "rows", 0),
        Measured("memory of the run, last quarter over second", growth(whole.memory), "", 1.1),
        Measured("kills", broken.kills, ""),
        Measured("runs until the study was finished", broken.runs, ""),
        Measured("seconds over the unbroken study's", broken.seconds / whole.seconds, ""),
    ]
    present(results, given.json)


if __name__ == "__main__":
    main()
