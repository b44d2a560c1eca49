"""Predictions of a trained model for rows of features: mean, standard deviations and intervals, as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from precisionflow.evaluation.columns import fraction
from precisionflow.evaluation.recalibration.recalibrated import intervals_after, spread_after
from precisionflow.records.recalibration import TableFit

if TYPE_CHECKING:
    import pandas as pd

    from precisionflow.evaluation.tasks.regression import TablePredictor


def uncertainty_table(
    predictor: "TablePredictor",
    features: Float[np.ndarray, "rows features"],
    *,
    levels: Sequence[float] = (0.95,),
    fit: TableFit | None = None,
) -> "pd.DataFrame":
    """One row for each row of `features` (in their own units), everything in the target's units.

    Columns: `mean`; `std`; `aleatoric`, the std of the noise that the model states; `epistemic`, the std of what it
    does not know (zero for a single network): std^2 = aleatoric^2 + epistemic^2 (law of total variance); for each level
    `lower_<per cent>` and `upper_<per cent>`, the predictive quantiles (1 -+ level) / 2, or the ends after the
    recalibration `fit`. ValueError for features that `TablePredictor.distribution` refuses, for a level outside (0, 1)
    or given twice, and for one that the fit lacks.
    """
    import pandas as pd

    names = check_levels(levels)
    raw = predictor.distribution(features)
    predicted = raw if fit is None else spread_after(fit, raw)
    intervals = raw.interval if fit is None else intervals_after(fit, raw)
    columns = {
        "mean": predicted.mean,
        "std": predicted.std,
        "aleatoric": np.sqrt(predicted.aleatoric),
        "epistemic": np.sqrt(predicted.epistemic),
    }
    for level, pair in zip(levels, names, strict=True):
        columns |= zip(pair, intervals(level), strict=True)
    return pd.DataFrame(columns)


def check_levels(levels: Sequence[float]) -> list[tuple[str, str]]:
    """The columns of every level; ValueError for a level outside (0, 1) or given twice."""
    names = [ends(fraction("level", level)) for level in levels]
    for index, level in enumerate(levels):
        if names[index] in names[:index]:
            raise ValueError(f"level: given {level} twice; give every level once")
    return names


def ends(level: float) -> tuple[str, str]:
    """The columns that hold the ends of the interval of a level: 0.95 -> lower_95, upper_95."""
    return f"lower_{100 * level:.10g}", f"upper_{100 * level:.10g}"
