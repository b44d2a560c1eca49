"""Probabilities of classes as columns of a table."""

import numpy as np
import pandas as pd

from precisionflow.records.cards import DatasetCard
from precisionflow.records.recalibration import Fit, TemperatureFit


def columns_of_statements(card: DatasetCard) -> dict[str, str]:
    """Columns of `evaluation.uncertainty.class_table` by MLflow's types, without those of sets."""
    names = ("confidence", "entropy", "epistemic", *(f"p_{name}" for name in card.class_names))
    return {"class": "string", **dict.fromkeys(names, "double")}


def columns_of_classes(card: DatasetCard) -> dict[str, str]:
    """Columns of `table_of_classes` by MLflow's types."""
    return {
        "class": "string",
        **dict.fromkeys(("confidence", *(f"p_{name}" for name in card.class_names)), "double"),
    }


def table_of_classes(log_probabilities: np.ndarray, card: DatasetCard) -> pd.DataFrame:
    """The most probable class, its probability, and the probabilities of all classes."""
    probabilities, names = np.exp(log_probabilities), card.class_names
    said = {
        "class": [names[i] for i in probabilities.argmax(axis=1)],
        "confidence": probabilities.max(axis=1),
    }
    return pd.DataFrame(said | {f"p_{name}": probabilities[:, i] for i, name in enumerate(names)})


def tempered(log_probabilities: np.ndarray, fit: Fit | None) -> np.ndarray:
    """log p after temperature, as they are without a fit."""
    from precisionflow.evaluation.recalibration.temperature import log_tempered

    return (
        log_tempered(log_probabilities, fit.factor) if isinstance(fit, TemperatureFit) else log_probabilities
    )
