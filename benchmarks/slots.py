"""Slots: objects in drawn images, by adjusted Rand index against k-means and a Gaussian mixture.

`precisionflow run slots`, then its table and its contrasts as they stand in the results: means with half of their 95 %
interval, effects with their verdicts.
"""

import tempfile
from pathlib import Path

from measured import Measured, present, run_experiment, running_arguments

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import CONTRASTS, TABLE
from precisionflow.results.layout import Aggregated, Results

METRIC = "adjusted_rand_index"


def main() -> None:
    """Run the experiment and read what it found."""
    given = running_arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        target = given.out or Path(temporary)
        minutes = run_experiment("slots", target, settings=given.settings)
        files = Aggregated(Results(target).aggregate)
        table = read_parquet(files.table, TABLE).to_pylist()
        contrasts = read_parquet(files.contrasts, CONTRASTS).to_pylist()
    named = [(row["variant"], row) for row in table if row["metric"] == METRIC]
    rows = [(f"adjusted Rand index, {name}", row["mean"], row) for name, row in named]
    rows += [
        (f"{row['level']} less {row['baseline']}: {row['verdict']}", row["effect"], row)
        for row in contrasts
        if row["metric"] == METRIC
    ]
    found = []
    for name, value, row in rows:
        found += [Measured(name, value, "1"), Measured(f"{name}, +-", (row["high"] - row["low"]) / 2, "1")]
    present([*found, Measured("wall time", minutes, "min", bar=30.0)], given.json)


if __name__ == "__main__":
    main()
