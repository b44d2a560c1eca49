"""Predictions of a trained model for rows of features as a table: means and intervals, or classes and sets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from precisionflow.evaluation.columns import fraction
from precisionflow.evaluation.recalibration.prediction_sets import prediction_sets
from precisionflow.evaluation.recalibration.recalibrated import intervals_after, spread_after
from precisionflow.evaluation.recalibration.temperature import log_tempered
from precisionflow.records.recalibration import ClassFit, SetFit, TableFit, TemperatureFit

if TYPE_CHECKING:
    import pandas as pd

    from precisionflow.evaluation.tasks.classification import Stated


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


def class_table(
    stated: "Stated",
    names: Sequence[str],
    *,
    levels: Sequence[float] = (0.95,),
    fit: ClassFit | None = None,
) -> "pd.DataFrame":
    """One row for each row or text that something is stated of; `names` are those of the classes.

    Columns: `class`, the most probable one; `confidence`, its probability; `entropy` of the probabilities and its part
    `epistemic`, in nats; `p_<class>` of every class. After the recalibration `temperature` confidence and probabilities
    are tempered; after `aps` or `raps` `set_<per cent>` has, for each level, the classes of the prediction set,
    separated by |. ValueError for levels as `uncertainty_table`.
    """
    import pandas as pd

    check_levels(levels)
    log_probabilities = stated.log_probabilities
    if isinstance(fit, TemperatureFit):
        log_probabilities = log_tempered(log_probabilities, fit.factor)
    probabilities = np.exp(log_probabilities)
    columns: dict[str, object] = {
        "class": [names[i] for i in probabilities.argmax(axis=1).tolist()],
        "confidence": probabilities.max(axis=1),
        "entropy": stated.entropy,
        "epistemic": stated.mutual_information,
    }
    if isinstance(fit, SetFit):
        for level in levels:
            inside = prediction_sets(stated.probabilities, quantile=fit.quantile(level), method=fit.method)
            columns[f"set_{100 * level:.10g}"] = [
                "|".join(names[i] for i in np.flatnonzero(row).tolist()) for row in inside
            ]
    columns |= {f"p_{name}": probabilities[:, i] for i, name in enumerate(names)}
    return pd.DataFrame(columns)


def image_table(
    predictor: "UnlabelledPredictor", features: Float[np.ndarray, "images pixels"]
) -> "pd.DataFrame":
    """One row for each image, its pixels in their own units: `UnlabelledPredictor.found`.

    ValueError as `uncertainty_table`, and for an image whose energy settling raised.
    """
    import pandas as pd

    from precisionflow.evaluation.network import standardised_features

    return pd.DataFrame(
        predictor.found(standardised_features(predictor.data_card, features), predictor.asked)
    )


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
