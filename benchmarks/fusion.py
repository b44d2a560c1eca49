"""Fusion: error above the best combination of sensors, and learned weights against inverse variances.

`precisionflow run fusion`, then the weights of each sensor in each context where the context is shown: those that the
network gives against l_k / (1 + sum l), l = 1 / noise^2. Intervals are Student's t over the seeds, at 95 %.
"""

import tempfile
from pathlib import Path

import numpy as np
from measured import Measured, present, run_experiment, running_arguments, with_interval

from precisionflow.ablation.design import Variant, expand
from precisionflow.config import load
from precisionflow.config.drawn_tables import Sensors
from precisionflow.config.tasks import Regression
from precisionflow.data.sources.sensors import noise
from precisionflow.evaluation.predictor import load_predictor
from precisionflow.evaluation.tasks.regression import TablePredictor
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import METRICS
from precisionflow.results.layout import Results, cell_folder, data_folder

BAR = 0.01
"""Mean squared error above the optimum where the context is shown."""


def excess(variant: Variant, results: Results, seed: int) -> float:
    """Mean squared error above the exact observer's."""
    cell = cell_folder(results.evaluation(variant.experiment), seed, 0)
    rows = read_parquet(cell / "metrics.parquet", METRICS).to_pylist()
    return next(float(row["value"]) for row in rows if row["metric"] == "excess_mse")


def furthest_weight(variant: Variant, results: Results, source: Sensors, seed: int) -> float:
    """Largest distance of a sensor's weight from the best one, over sensors and contexts that are shown."""
    card = read_card(data_folder(results.data, variant.experiment, 0) / "dataset.json", DatasetCard)
    predictor = load_predictor(cell_folder(results.model(variant.experiment), seed, 0), card)
    assert isinstance(predictor, TablePredictor)
    readings = np.zeros((source.contexts, source.length, source.sensors))
    cues = np.broadcast_to(
        np.eye(source.contexts)[:, None], (source.contexts, source.length, source.contexts)
    )
    features = np.concatenate([readings, cues], axis=-1).reshape(source.contexts, -1)
    moved = np.stack([features] * (source.sensors + 1))
    for sensor in range(source.sensors):
        moved[sensor + 1, :, (source.length - 1) * (source.sensors + source.contexts) + sensor] += 1e-2
    mean = predictor.distribution(moved.reshape(-1, features.shape[1])).mean.reshape(len(moved), -1)
    learned = (mean[1:] - mean[0]).T / 1e-2
    precision = noise(source) ** -2.0
    return float(np.abs(learned - precision / (1 + precision.sum(axis=1, keepdims=True))).max())


def main() -> None:
    """Run the experiment and look at what it learned."""
    given = running_arguments(__doc__).parse_args()
    experiment = load("fusion", given.settings)
    with tempfile.TemporaryDirectory() as temporary:
        target = given.out or Path(temporary)
        minutes, results = run_experiment("fusion", target, settings=given.settings), Results(target)
        found, errors = [], {}
        for variant in expand(experiment):
            assert isinstance(variant.experiment.task, Regression)
            source = variant.experiment.task.source
            assert isinstance(source, Sensors)
            named = f"{variant.dataset}, {variant.name}"
            errors[variant.dataset, variant.name] = each = np.array(
                [excess(variant, results, seed) for seed in experiment.seeds]
            )
            bar = BAR if source.shown == 1 else None
            found += with_interval(
                f"{named}: mean squared error above the optimum", each.tolist(), "1", bar=bar
            )
            if source.shown == 1:
                apart = [furthest_weight(variant, results, source, seed) for seed in experiment.seeds]
                found += with_interval(f"{named}: largest distance of a weight from the best", apart, "1")
        for dataset in dict.fromkeys(dataset for dataset, _ in errors):
            gain = errors[dataset, "forgetful"] - errors[dataset, "slow"]
            found += with_interval(f"{dataset}: less error by persistence", gain, "1")
    present([*found, Measured("wall time", minutes, "min", bar=30.0)], given.json)


if __name__ == "__main__":
    main()
