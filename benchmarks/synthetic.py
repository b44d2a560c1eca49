"""Synthetic tasks: excess of every variant over the exact predictor, and the length at which copying stays exact.

`precisionflow run synthetic` in a folder of its own; then copying that is tested at twice the trained length, by
positions.
"""

import tempfile
from pathlib import Path

from measured import Measured, present, run_experiment, running_arguments

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import TABLE

BAR = 0.02
"""Excess in nats."""
TWICE = [
    "name=copying-twice",
    "ablation.datasets={copying: {task.source: {kind: copying, length: 8, test_length: 16}}}",
    "ablation.axes={positions: {rotary: {model.positions: rotary}, learned: {model.positions: learned}, "
    "none: {model.positions: none}}}",
]


def rows_of(folder: Path) -> list[dict[str, object]]:
    """Rows of the aggregated table."""
    return read_parquet(folder / "aggregate" / "table.parquet", TABLE).to_pylist()


if __name__ == "__main__":
    parser = running_arguments(__doc__)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        target = given.out or Path(temporary)
        minutes = run_experiment("synthetic", target / "synthetic", settings=given.settings)
        run_experiment("synthetic", target / "twice", settings=[*given.settings, *TWICE])
        found = []
        for row in rows_of(target / "synthetic"):
            if row["metric"] == "excess_nll":
                named = f"{row['dataset']}, {row['variant']}: excess over the optimum"
                found.append(Measured(named, float(str(row["mean"])), "nats", bar=BAR))
        for row in rows_of(target / "twice"):
            if row["metric"] == "sequence_accuracy":
                named = f"copying at twice the length, positions {row['variant']}: sequences without an error"
                found.append(Measured(named, float(str(row["mean"])), "1"))
    present([*found, Measured("wall time of synthetic", minutes, "min")], given.json)
