"""Coloured noise: errors of filters above the dense posterior's, over that of a Kalman filter that assumes white noise.

`precisionflow run coloured-noise`, whose filters learn precisions, then filters that know them, by order. A filter is
linear in its readings, so that its error is known exactly; that of a regression is measured on test rows. Means over
the splits, intervals by Student's t at 95 %.
"""

import tempfile
from pathlib import Path
from typing import cast

import numpy as np
import torch
from measured import Measured, present, run_experiment, running_arguments, with_interval

from precisionflow.ablation.design import Variant, expand
from precisionflow.config import load
from precisionflow.config.drawn_tables import MovingTarget
from precisionflow.config.filters import Filter
from precisionflow.config.tasks import Regression
from precisionflow.data.sources.moving_target import best_weights, joint_covariance
from precisionflow.evaluation.predictor import load_predictor
from precisionflow.models.networks.filter import Believer, landing_filter
from precisionflow.records.cards import DatasetCard, Standardisation
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import METRICS
from precisionflow.results.layout import PreparedSplit, Results, cell_folder, data_folder

BAR = 0.25
"""Excess error over that of white Kalman on coloured noise."""
LEAST = 0.01
"""Excess error of white Kalman that others are compared with; on white noise it has none."""


def error_of(believer: Believer, source: MovingTarget) -> float:
    """Exact mean squared error of a filter, which is linear in its readings."""
    with torch.no_grad():
        weights = believer.landing(torch.eye(source.length, dtype=torch.float64))[0].numpy()
    covariance = joint_covariance(source)
    of_readings, with_landing = covariance[:-1, :-1], covariance[:-1, -1]
    return float(covariance[-1, -1] - 2 * weights @ with_landing + weights @ of_readings @ weights)


def known(source: MovingTarget, config: Filter) -> float:
    """Exact mean squared error of a filter that learns nothing."""
    scales = Standardisation(
        feature_mean=(0.0,) * source.length,
        feature_scale=(1.0,) * source.length,
        target_mean=0.0,
        target_scale=1.0,
    )
    return error_of(cast("Believer", landing_filter(config, source, scales).layers[0]), source)


def by_order() -> list[Measured]:
    """Exact errors with known precisions, above the dense posterior's and over white Kalman's."""
    source, found = MovingTarget(), []
    least = best_weights(joint_covariance(source))[1]
    kalman = known(source, Filter(by="kalman", learned="nothing")) - least
    found += [
        Measured("dense posterior: variance of the landing", least, "1"),
        Measured("white Kalman, known: excess error", kalman, "1"),
    ]
    for order in (2, 3, 4, 6, 8):
        above = known(source, Filter(by="augmented", learned="nothing", order=order)) - least
        found.append(Measured(f"augmented, known, order {order}: over white Kalman's", above / kalman, "1"))
    for embedding in (1, 2, 3, 4):
        config = Filter(by="generalised", learned="nothing", order=4, embedding=embedding)
        above = (known(source, config) - least) / kalman
        found.append(
            Measured(f"generalised, known, {embedding} derivatives read: over white Kalman's", above, "1")
        )
    return found


def excess(variant: Variant, results: Results, split: int) -> float:
    """Mean squared error above the dense posterior's: exact of a filter, on the test rows of another model."""
    experiment, seed = variant.experiment, variant.experiment.seeds[0]
    assert isinstance(experiment.task, Regression)
    source = experiment.task.source
    assert isinstance(source, MovingTarget)
    if isinstance(experiment.model, Filter):
        data = PreparedSplit(data_folder(results.data, experiment, split))
        predictor = load_predictor(
            cell_folder(results.model(experiment), seed, split), read_card(data.card, DatasetCard)
        )
        (believer,) = (of for of in predictor.model.modules() if isinstance(of, Believer))  # type: ignore[union-attr]
        return error_of(believer, source) - best_weights(joint_covariance(source))[1]
    cell = cell_folder(results.evaluation(experiment), seed, split)
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
        smooth = set()
        for variant in expand(experiment):
            above = [excess(variant, results, split) for split in experiment.splits]
            errors.setdefault(variant.dataset, {})[variant.name] = np.array(above)
            assert isinstance(variant.experiment.task, Regression)
            source = variant.experiment.task.source
            assert isinstance(source, MovingTarget)
            if source.motion_smoothness and source.reading_smoothness:
                smooth.add(variant.dataset)
    found = []
    for dataset, variants in errors.items():
        white = variants["kalman"].mean()
        for name, each in variants.items():
            found += with_interval(f"{dataset}, {name}: excess error", each.tolist(), "1")
            bar = BAR if dataset in smooth and name in ("augmented", "generalised") else None
            if white > LEAST:
                share = float(each.mean() / white)
                found.append(Measured(f"{dataset}, {name}: over white Kalman's", share, "1", bar=bar))
    present([*found, *by_order(), Measured("wall time", minutes, "min", bar=30.0)], given.json)


if __name__ == "__main__":
    main()
