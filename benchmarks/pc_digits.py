"""Digits by generative predictive coding: class, reconstruction, completion, anomalies, precision, against their bars.

`precisionflow run pc-digits`, in which no part holds an 8, and its first variant again with all ten classes.
Bars are of the means over splits. Intervals are Student's t over the splits, at 95 %.
"""

import tempfile
from pathlib import Path

from measured import Measured, present, run_experiment, running_arguments, with_interval

from precisionflow.ablation.design import Variant, expand
from precisionflow.config import load
from precisionflow.config.tasks import IMAGE_METRICS
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import METRICS
from precisionflow.results.layout import Results, cell_folder

TEN = (
    "ablation.axes={}",
    "ablation.design={kind: product}",
    "task.unknown=[]",
    "ablation.margins={}",
    "ablation.metrics=[accuracy]",
)
"""Settings of the first variant with all ten classes."""
HIGHER = ("ood_auroc_energy", "ood_auroc_shuffled")
LOWER = tuple(name for name in IMAGE_METRICS if name not in HIGHER)
LARGEST_ERROR, LARGEST_MISS = 0.03, 0.05
"""Bars: share of images whose class is not told, 1 - AUROC of anomalies."""


def values_of(variant: Variant, results: Results) -> list[dict[str, float]]:
    """Metric -> value, of every split."""
    experiment = variant.experiment
    cells = [cell_folder(results.evaluation(experiment), 0, split) for split in experiment.splits]
    return [
        {row["metric"]: row["value"] for row in read_parquet(cell / "metrics.parquet", METRICS).to_pylist()}
        for cell in cells
    ]


def measured(name: str, each: list[dict[str, float]]) -> list[Measured]:
    """The measures of one variant with their bars."""
    found = with_interval(
        f"{name}, errors of the class", [1 - of["accuracy"] for of in each], "1", bar=LARGEST_ERROR
    )
    for metric in HIGHER:
        if metric in each[0]:
            missed = [1 - of[metric] for of in each]
            found += with_interval(f"{name}, 1 - {metric}", missed, "1", bar=LARGEST_MISS)
    over = [of["reconstruction_error"] / of["reconstruction_error_pca"] for of in each]
    found += with_interval(f"{name}, reconstruction error over that of components", over, "1", bar=1.0)
    for metric in (*LOWER, *(name for name in each[0] if name.startswith("coverage_"))):
        found += with_interval(f"{name}, {metric}", [of[metric] for of in each], "1")
    return found


def main() -> None:
    """Run the experiment and the one of ten classes, and compare with the bars."""
    given = running_arguments(__doc__).parse_args()
    found: list[Measured] = []
    with tempfile.TemporaryDirectory() as temporary:
        target = given.out or Path(temporary)
        minutes = run_experiment("pc-digits", target / "nine", settings=given.settings)
        run_experiment("pc-digits", target / "ten", settings=[*TEN, *given.settings])
        for folder, label, settings in (("ten", "ten classes, ", TEN), ("nine", "", ())):
            for variant in expand(load("pc-digits", [*settings, *given.settings])):
                found += measured(label + variant.name, values_of(variant, Results(target / folder)))
    present([*found, Measured("wall time of the experiment", minutes, "min", bar=30.0)], given.json)


if __name__ == "__main__":
    main()
