"""What every benchmark ends with: a table on the screen and the same rows as JSON."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Measured:
    """One measured value and the bar that it should not exceed; without a bar it is shown for information."""

    measure: str
    value: float
    unit: str
    bar: float | None = None
    holds: bool | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "holds", None if self.bar is None else self.value <= self.bar)


def with_interval(
    measure: str, values: Sequence[float], unit: str, *, bar: float | None = None
) -> list[Measured]:
    """The mean of values of independent seeds, and half the width of its 95 % interval by Student's t."""
    mean = Measured(measure, float(np.mean(values)), unit, bar=bar)
    if len(values) < 2:
        return [mean]
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return [mean, Measured(f"{measure}, +-", float(half), unit)]


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows `--json FILE`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")
    return parser


def running_arguments(description: str | None) -> argparse.ArgumentParser:
    """`arguments`, and where the run lies (`--out`) and with which settings (`--set`)."""
    parser = arguments(description)
    parser.add_argument(
        "--out", type=Path, help="results folder; kept, and finished stages are not run again"
    )
    parser.add_argument(
        "--set", action="append", default=[], dest="settings", help="as of `precisionflow run`"
    )
    return parser


def present(results: Sequence[Measured], file: Path | None) -> None:
    """Print the table; write [{measure, value, unit, bar, holds}] where a file is given."""
    width = max(len(result.measure) for result in results)
    for result in results:
        said = {None: "", True: "holds", False: "does not hold"}[result.holds]
        bar = "" if result.bar is None else f"at most {result.bar:g}"
        print(f"{result.measure:<{width}}  {result.value:>10.4g} {result.unit:<6} {bar:<14} {said}")
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n", encoding="utf-8")


def run_experiment(name: str, folder: Path, *, settings: Sequence[str] = ()) -> float:
    """Minutes of `precisionflow run NAME --out FOLDER` with `--set` for each setting."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "precisionflow", "run", name, "--out", str(folder)]
    subprocess.run([*command, *(word for s in settings for word in ("--set", s))], check=True)
    return (time.perf_counter() - start) / 60
