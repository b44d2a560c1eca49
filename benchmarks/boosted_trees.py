"""The peer that users would pick instead on a table: boosted trees with a learned variance, on the splits of `uci`.

CatBoost's `RMSEWithUncertainty` (a Gaussian whose mean and variance are boosted, as in NGBoost; Malinin et al. 2021)
with its defaults but for early stopping on the same validation rows. NGBoost itself pins a scikit-learn below 1.7,
which does not go together with this package's. The same rows, scores and intervals as the networks get.

    pip install catboost
    python benchmarks/boosted_trees.py --results FOLDER      # and the differences to a finished run of uci
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from measured import Measured, arguments, present

from precisionflow.ablation.design import expand
from precisionflow.config import Experiment, load
from precisionflow.data.batches import Rows
from precisionflow.data.prepare import prepare
from precisionflow.evaluation.distribution import Distribution, gaussian
from precisionflow.evaluation.metrics import regression_metrics
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import TABLE
from precisionflow.results.layout import data_folder

try:
    from catboost import CatBoostRegressor
except ModuleNotFoundError:
    sys.exit("boosted_trees: needs CatBoost; install it with: pip install catboost")

ROUNDS, PATIENCE = 5000, 100
SHOWN = ("nll", "rmse", "coverage_95", "ence")


def predicted(data: Path) -> tuple[Distribution, np.ndarray]:
    """Prediction and targets of a split's test rows, standardised by its training rows."""
    train, valid, test = (Rows.read(data / f"{part}.parquet") for part in ("train", "valid", "test"))
    model = CatBoostRegressor(
        loss_function="RMSEWithUncertainty",
        iterations=ROUNDS,
        random_seed=0,
        thread_count=2,
        verbose=False,
        allow_writing_files=False,
    )
    model.fit(
        train.features,
        train.target,
        eval_set=(valid.features, valid.target),
        early_stopping_rounds=PATIENCE,
    )
    mean, variance = model.predict(test.features).T
    return gaussian(mean, np.sqrt(variance)), test.target.astype(np.float64)


def in_units(
    predictive: Distribution, target: np.ndarray, card: DatasetCard
) -> tuple[Distribution, np.ndarray]:
    """The same in the target's own units."""
    scales = card.table
    shift, scale = scales.target_mean, scales.target_scale
    return gaussian(predictive.mean * scale + shift, predictive.std * scale), target * scale + shift


def scores(experiment: Experiment, data: Path) -> dict[str, float]:
    """Means over the splits of one data set."""
    prepare([experiment], out=data)
    found = []
    for split in experiment.splits:
        folder = data_folder(data, experiment, split)
        card = read_card(folder / "dataset.json", DatasetCard)
        found.append(
            regression_metrics(*in_units(*predicted(folder), card), levels=experiment.evaluation.levels)
        )
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def compared(dataset: str, trees: dict[str, float], ours: dict[tuple[str, str], float]) -> list[Measured]:
    """The trees' scores, and precisionflow's less theirs."""
    units = {"nll": "nats", "rmse": "target"}
    results = [
        Measured(f"{dataset}: boosted trees, {name}", trees[name], units.get(name, "1")) for name in SHOWN
    ]
    for name in ("nll", "rmse") if ours else ():
        difference = ours[dataset, name] - trees[name]
        results.append(
            Measured(
                f"{dataset}: {name} of precisionflow less boosted trees'", difference, units[name], bar=0.0
            )
        )
    return results


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument(
        "--results", type=Path, metavar="FOLDER", help="of a finished `precisionflow run uci`"
    )
    given = parser.parse_args()
    ours = {}
    if given.results:
        rows = read_parquet(given.results / "aggregate" / "table.parquet", TABLE).to_pylist()
        ours = {(row["dataset"], row["metric"]): row["mean"] for row in rows}
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for variant in expand(load("uci")):
            trees = scores(variant.experiment, Path(folder))
            results += compared(variant.dataset, trees, ours)
            print(f"{variant.dataset}: done", flush=True)
    present(results, given.json)


if __name__ == "__main__":
    main()
