"""Hopfield networks: bits of load that a channel is worth, and the largest error of a step over its exponential bound.

`precisionflow run hopfield`, then the slope of log2 of the capacity over the widths of continuous patterns with noise
0.3, split by split, but those widths of which all patterns can be stored in a split. Intervals are Student's t over
the splits, at 95 %.
"""

import tempfile
from pathlib import Path

import numpy as np
from measured import Measured, present, run_experiment, running_arguments, with_interval

from precisionflow.ablation.design import Variant, expand
from precisionflow.config import load
from precisionflow.config.tasks import Retrieval
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import METRICS
from precisionflow.results.layout import EvaluatedCell, Results, cell_folder

NOISE = 0.3


def measured(variant: Variant, results: Results, metric: str) -> list[float]:
    """A metric of every split."""
    cells = [cell_folder(results.evaluation(variant.experiment), 0, s) for s in variant.experiment.splits]
    rows = [row for cell in cells for row in read_parquet(EvaluatedCell(cell).metrics, METRICS).to_pylist()]
    return [float(row["value"]) for row in rows if row["metric"] == metric]


def main() -> None:
    """Run the experiment and read what it found."""
    given = running_arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        target = given.out or Path(temporary)
        minutes, results = run_experiment("hopfield", target, settings=given.settings), Results(target)
        found, capacities, ratios = [], dict[str, dict[int, list[float]]](), list[float]()
        for variant in expand(load("hopfield", given.settings)):
            assert isinstance(variant.experiment.task, Retrieval)
            source = variant.experiment.task.source
            ratios += measured(variant, results, "error_over_bound")
            if (source.values, source.clusters, source.noise) == ("continuous", None, NOISE):
                of = measured(variant, results, "log2_capacity")
                if max(of) < np.log2(source.patterns):
                    capacities.setdefault(variant.name, {})[source.width] = of
    for name, of_width in capacities.items():
        slopes = np.polyfit(list(of_width), np.array(list(of_width.values())), 1)[0]
        found += with_interval(f"{name}: bits of load that a channel is worth", slopes, "bits")
    found.append(Measured("largest error of a step over its bound", max(ratios), "1", bar=1.0))
    present([*found, Measured("wall time", minutes, "min", bar=30.0)], given.json)


if __name__ == "__main__":
    main()
