"""Regression sets that scikit-learn ships inside its wheel: no download."""

import hashlib
from typing import assert_never

import numpy as np

from precisionflow.config.task import ScikitLearnTable
from precisionflow.data.table import Batch, Table


def open_scikit_learn(source: ScikitLearnTable, *, split: int) -> Table:
    """The whole set in the units of the source; a tenth of the rows (rounded, at least one) is the test part.

    The partition is `numpy.random.default_rng(split).permutation(rows)`, test rows first. `linnerud` has
    three exercises as features and three targets (weight, waist, pulse): the target here is the first of
    them, weight in pounds.
    """
    values = _values(source)
    order = np.random.default_rng(split).permutation(len(values))
    tests = max(1, round(len(values) / 10))
    return Table(
        origin=f"scikit-learn {source.name}",
        sha256=hashlib.sha256(values.astype("<f8").tobytes()).hexdigest(),
        train=order[tests:],
        test=order[:tests],
        batches=lambda: iter([values]),
    )


def _values(source: ScikitLearnTable) -> Batch:
    from sklearn import datasets

    match source.name:
        case "diabetes":
            features, target = datasets.load_diabetes(return_X_y=True, scaled=False)
        case "linnerud":
            features, targets = datasets.load_linnerud(return_X_y=True)
            target = targets[:, 0]
        case _:
            assert_never(source.name)
    return np.column_stack([features, target]).astype(np.float64)
