"""Answers for rows of features, whatever the cells that these are read from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from precisionflow.records.cards import DatasetCard
from precisionflow.serving.answers.classes import columns_of_statements
from precisionflow.serving.answers.contract import LEVEL, Contract, columns_of
from precisionflow.serving.model import ServedModel, features_in, predictions

Features = Float[np.ndarray, "rows features"]


class OfFeatures(ABC):
    """Answers for rows of features, whatever the cells that these are read from."""

    @abstractmethod
    def contract(self, card: DatasetCard) -> Contract:
        """Columns in and out."""

    @abstractmethod
    def stated(self, model: ServedModel, features: Features, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each row of features as the model takes them; ValueError as `predictions`."""

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each row; ValueError for what `features_in` and `predictions` refuse."""
        return self.stated(model, features_in(model, table), params).set_axis(table.index, axis=0)


class Intervals(OfFeatures):
    """Answers for a table: rows of features in, mean, std and the ends of an interval out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The columns -> mean, std, aleatoric, epistemic, lower, upper; levels, truth values and dates of any type.

        Parameters: the interval's `level`, and the method that the intervals are `recalibrated` by.
        """
        columns = ("mean", "std", "aleatoric", "epistemic", "lower", "upper")
        said = dict.fromkeys(columns, "double")
        return Contract.of(columns_of(card), said, level=("double", LEVEL), recalibrated=("string", None))

    def stated(self, model: ServedModel, features: Features, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each row of features as the model takes them."""
        from precisionflow.evaluation.uncertainty import ends

        level = params.get("level") or LEVEL
        predicted = predictions(model, features, levels=(level,), recalibrated=params.get("recalibrated"))
        return predicted.rename(columns=dict(zip(ends(level), ("lower", "upper"), strict=True)))


class ClassesOfRows(OfFeatures):
    """Answers for a table with classes: rows of features in, class, parts of the entropy, probabilities out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The columns -> class, confidence, entropy, epistemic, p_<class> of every class.

        Parameters: the method that they are `recalibrated` by; with a method of prediction sets, their `level`.
        """
        said = columns_of_statements(card)
        return Contract.of(columns_of(card), said, level=("double", LEVEL), recalibrated=("string", None))

    def stated(self, model: ServedModel, features: Features, params: Mapping[str, Any]) -> pd.DataFrame:
        """One row for each row of features as the model takes them."""
        level, method = params.get("level") or LEVEL, params.get("recalibrated")
        return predictions(model, features, levels=(level,), recalibrated=method)


class Energies(OfFeatures):
    """Answers for images without classes: pixels in, how strange an image is and how well it is made again out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The pixels -> free_energy of a pixel in nats, reconstruction_error, completion_error."""
        said = ("free_energy", "reconstruction_error", "completion_error")
        return Contract.of(columns_of(card), dict.fromkeys(said, "double"))

    def stated(self, model: ServedModel, features: Features, params: Mapping[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """One row for each row of features as the model takes them."""
        return predictions(model, features, levels=(LEVEL,), recalibrated=None)
