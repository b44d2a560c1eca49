"""Regression sets that scikit-learn ships inside its wheel: no download."""

from typing import assert_never

import numpy as np

from precisionflow.config.sources import ScikitLearnTable
from precisionflow.data.table import Batch, Table, table_of


def open_scikit_learn(source: ScikitLearnTable, *, split: int) -> Table:
    """The whole set in the units of the source, cut by `cut_rows`.

    `linnerud` has three exercises as features and three targets (weight, waist, pulse): the target here is the first
    of them, weight in pounds. `diabetes` has no name for its target: "progression".
    """
    values, features, target = _values(source)
    return table_of(
        values,
        origin=f"scikit-learn {source.name}",
        features=tuple(features),
        target=target,
        cut=source.split,
        split=split,
    )


def _values(source: ScikitLearnTable) -> tuple[Batch, list[str], str]:
    """(cells with the target last, names of the features, name of the target)."""
    from sklearn import datasets

    match source.name:
        case "diabetes":
            found = datasets.load_diabetes(scaled=False)
            target, name = found.target, "progression"
        case "linnerud":
            found = datasets.load_linnerud()
            target, name = found.target[:, 0], found.target_names[0]
        case _:
            assert_never(source.name)
    return np.column_stack([found.data, target]).astype(np.float64), list(found.feature_names), str(name)
