"""Coloured noise: errors of filters above the dense posterior's, over that of a Kalman filter that assumes white noise.

`precisionflow run coloured-noise`, whose filters learn precisions (means over the splits, intervals by Student's t at
95 %), then the exact errors of filters that know them, by order: a filter is linear in its readings.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from measured import Measured, present, run_experiment, running_arguments, with_interval

from precisionflow.ablation.design import Variant, expand
from precisionflow.config import load
from precisionflow.config.drawn_tables import MovingTarget
from precisionflow.config.filters import Filter
from precisionflow.data.sources.moving_target import best_weights, joint_covariance
from precisionflow.models.networks.filter import landing_filter
from precisionflow.records.cards import Standardisation
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import METRICS
from precisionflow.results.layout import Results, cell_folder

BAR = 0.25
"""Excess error over that of white Kalman on coloured noise."""


def exact_error(source: MovingTarget, config: Filter) -> float:
    """Mean squared error of a filter that learns nothing."""
    scales = Standardisation(
        feature_mean=(0.0,) * source.length,
        feature_scale=(1.0,) * source.length,
        target_mean=0.0,
        target_scale=1.0,
    )
    believer = landing_filter(config, source, scales).layers[0]
    with torch.no_grad():
        weights = believer.landing(torch.eye(source.length, dtype=torch.float64))[0].numpy()  # type: ignore[operator]
    covariance = joint_covariance(source)
    of_readings, with_landing = covariance[:-1, :-1], covariance[:-1, -1]
    return float(covariance[-1, -1] - 2 * weights @ with_landing + weights @ of_readings @ weights)


def by_order() -> list[Measured]:
    """Exact errors with known precisions, above the dense posterior's and over white Kalman's."""
    source, found = MovingTarget(), []
    least = best_weights(joint_covariance(source))[1]
    kalman = exact_error(source, Filter(by="kalman", learned="nothing")) - least
    found += [
        Measured("dense posterior: variance of the landing", least, "1"),
        Measured("white Kalman, known: excess error", kalman, "1"),
    ]
    for order in (2, 3, 4, 6, 8):
        above = exact_error(source, Filter(by="augmented", learned="nothing", order=order)) - least
        found.append(Measured(f"augmented, known, order {order}: over white Kalman's", above / kalman, "1"))
    for embedding in (1, 2, 3, 4):
        config = Filter(by="generalised", learned="nothing", order=4, embedding=embedding)
        above = (exact_error(source, config) - least) / kalman
        found.append(
            Measured(f"generalised, known, {embedding} derivatives read: over white Kalman's", above, "1")
        )
    return found


def excess(variant: Variant, results: Results, split: int) -> float:
    """Mean squared error above the dense posterior's."""
    cell = cell_folder(results.evaluation(variant.experiment), variant.experiment.seeds[0], split)
    rows = read_parquet(cell / "metrics.parquet", METRICS).to_pylist()
    return next(float(row["value"]) for row in rows if row["metric"] == "excess_mse")


def main() -> None:
    """Run the experiment, then the closed forms."""
    given = running_arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    experiment = load("coloured-noise", given.settings)
    with tempfile.TemporaryDirectory() as temporary:
        target = given.out or Path(temporary)
        minutes, results = run_experiment("coloured-noise", target, settings=given.settings), Results(target)
        errors: dict[str, dict[str, np.ndarray]] = {}
        for variant in expand(experiment):
            above = [excess(variant, results, split) for split in experiment.splits]
            errors.setdefault(variant.dataset, {})[variant.name] = np.array(above)
    found = []
    for dataset, variants in errors.items():
        white = variants["kalman"].mean()
        for name, each in variants.items():
            found += with_interval(f"{dataset}, {name}: excess error", each, "1")
            coloured = "motion" in dataset and not dataset.endswith("_0")
            bar = BAR if coloured and name in ("augmented", "generalised") else None
            found.append(
                Measured(f"{dataset}, {name}: over white Kalman's", each.mean() / white, "1", bar=bar)
            )
    present([*found, *by_order(), Measured("wall time", minutes, "min", bar=30.0)], given.json)


if __name__ == "__main__":
    main()
