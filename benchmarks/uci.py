"""The UCI table against the published rows: `precisionflow run uci` in a folder of its own, wall time included.

The data are read through PRECISIONFLOW_DATA. Published: test NLL of the best of six methods and of deep ensembles
(Lakshminarayanan et al. 2017), RMSE of deep ensembles, means over the same 20 splits.
"""

import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measured import Measured, present, run_experiment, running_arguments
from safetensors.torch import load_file

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
SPREAD = "posterior.spread"
"""Tensor of an ensemble whose spread is fitted."""
POWER_NLL = 2.65
"""Bar of the set that has most rows."""


Row = dict[str, Any]


def table(folder: Path) -> dict[tuple[str, str], Row]:
    """(data set, metric) -> row of the aggregated table."""
    rows = read_parquet(folder / "aggregate" / "table.parquet", TABLE).to_pylist()
    return {(row["dataset"], row["metric"]): row for row in rows}


def factor(folder: Path, dataset: str) -> float:
    """Mean over splits of the factor on the spread of the ensemble's predictions."""
    cells = sorted((folder / "model" / "uci" / dataset / "default").glob("seed-*-split-*"))
    return statistics.mean(float(load_file(cell / "model.safetensors")[SPREAD]) for cell in cells)


def print_markdown(rows: Mapping[tuple[str, str], Row], factors: Mapping[str, float]) -> None:
    """The table of docs/uci.md: means over splits, NLL with half its 95 % interval."""
    for dataset, best in BEST_NLL.items():
        nll = rows[dataset, "nll"]
        cells = [
            f"{nll['mean']:.3f} ± {(nll['high'] - nll['low']) / 2:.3f}",
            f"{best:.2f}",
            f"{ENSEMBLE_NLL[dataset]:.2f}",
            f"{rows[dataset, 'rmse']['mean']:.3f}",
            f"{ENSEMBLE_RMSE[dataset]:.2f}",
            *(f"{100 * rows[dataset, f'coverage_{level}']['mean']:.1f} %" for level in (95, 50)),
            f"{rows[dataset, 'ence']['mean']:.2f}",
            f"{factors[dataset]:.2f}",
        ]
        print(f"| {dataset} | " + " | ".join(cells).replace("-", "\N{MINUS SIGN}") + " |")


def compared(rows: Mapping[tuple[str, str], Row]) -> list[Measured]:
    """Every set against its bars, and how many sets miss the best published NLL."""
    means = {key: row["mean"] for key, row in rows.items()}
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
    results.append(Measured("power-plant: test NLL", means["power-plant", "nll"], "nats", bar=POWER_NLL))
    missed = sum(means[dataset, "nll"] >= best for dataset, best in BEST_NLL.items())
    return [*results, Measured("sets that miss the best published NLL", missed, "sets", bar=1)]


if __name__ == "__main__":
    parser = running_arguments(__doc__)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        target = given.out or Path(temporary)
        minutes = run_experiment("uci", target, settings=given.settings)
        rows = table(target)
        print_markdown(rows, {dataset: factor(target, dataset) for dataset in BEST_NLL})
    found = compared(rows)
    present([*found, Measured("wall time of the run", minutes, "min", bar=MINUTES)], given.json)
