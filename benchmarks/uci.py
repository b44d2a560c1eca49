"""The UCI table against the published rows: `precisionflow run uci` in a folder of its own, wall time included.

The data are read through PRECISIONFLOW_DATA. Published: test NLL of the best of six methods and of deep ensembles
(Lakshminarayanan et al. 2017), RMSE of deep ensembles, means over the same 20 splits.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measured import Measured, arguments, present

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import TABLE

BEST_NLL = {
    "bostonHousing": 2.35,
    "concrete": 2.83,
    "energy": 0.53,
    "kin8nm": -1.28,
    "power-plant": 2.60,
    "wine-quality-red": 0.89,
    "yacht": 0.16,
}
"""Lowest of MC dropout, deep ensembles, deep evidential regression, NGBoost, WGBoost, TAGI-V."""
ENSEMBLE_NLL = {
    "bostonHousing": 2.41,
    "concrete": 3.06,
    "energy": 1.38,
    "kin8nm": -1.20,
    "power-plant": 2.79,
    "wine-quality-red": 0.94,
    "yacht": 1.18,
}
ENSEMBLE_RMSE = {
    "bostonHousing": 3.28,
    "concrete": 6.03,
    "energy": 2.09,
    "kin8nm": 0.09,
    "power-plant": 4.11,
    "wine-quality-red": 0.64,
    "yacht": 1.58,
}
MINUTES = 20.0


def run(folder: Path, settings: list[str]) -> float:
    """Minutes of the whole run."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "precisionflow", "run", "uci", "--out", str(folder)]
    subprocess.run([*command, *(word for s in settings for word in ("--set", s))], check=True)
    return (time.perf_counter() - start) / 60


def table(folder: Path, variant: str | None) -> dict[tuple[str, str], float]:
    """(data set, metric) -> mean over splits, of one variant; none: of the only one."""
    rows = read_parquet(folder / "aggregate" / "table.parquet", TABLE).to_pylist()
    return {(r["dataset"], r["metric"]): r["mean"] for r in rows if variant in (None, r["variant"])}


def compared(means: dict[tuple[str, str], float]) -> list[Measured]:
    """Every set against its bars, and how many sets miss the best published NLL."""
    results = []
    for dataset, best in BEST_NLL.items():
        nll = means[dataset, "nll"]
        results += [
            Measured(f"{dataset}: test NLL less the best published", nll - best, "nats"),
            Measured(
                f"{dataset}: test NLL less deep ensembles'", nll - ENSEMBLE_NLL[dataset], "nats", bar=0.0
            ),
            Measured(
                f"{dataset}: RMSE over deep ensembles'",
                round(means[dataset, "rmse"], 2) / ENSEMBLE_RMSE[dataset],
                "1",
                bar=1.0,
            ),
            Measured(
                f"{dataset}: distance of the 95 % interval's coverage from 95 %",
                abs(means[dataset, "coverage_95"] - 0.95),
                "1",
                bar=0.02,
            ),
        ]
    missed = sum(means[dataset, "nll"] >= best for dataset, best in BEST_NLL.items())
    return [*results, Measured("sets that miss the best published NLL", missed, "sets", bar=1)]


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument(
        "--out", type=Path, help="results folder; kept, and finished stages are not run again"
    )
    parser.add_argument(
        "--set", action="append", default=[], dest="settings", help="as of `precisionflow run`"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        target = given.out or Path(temporary)
        minutes = run(target, given.settings)
        found = compared(table(target, None))
    present([*found, Measured("wall time of the run", minutes, "min", bar=MINUTES)], given.json)
