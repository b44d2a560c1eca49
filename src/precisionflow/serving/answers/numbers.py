"""Answers for rows of numbers: groups of pixels, tokens of frames and stages, states at rest."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from precisionflow.records.cards import DatasetCard
from precisionflow.serving.answers.contract import LEVEL, Contract, columns_of
from precisionflow.serving.answers.rows import Features, OfFeatures
from precisionflow.serving.model import ServedModel, predictions


class GroupsOfPixels(OfFeatures):
    """Answers for images of objects: the number of groups and all pixels in, the group of every pixel out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The columns -> groups, the numbers of all pixels in their order with a blank between two."""
        return Contract.of(columns_of(card), {"groups": "string"})

    def stated(self, model: ServedModel, features: Features, params: Mapping[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """One row for each image; ValueError for a number that is beyond float32."""
        return predictions(model, features, levels=(LEVEL,), recalibrated=None)


class SharedTokens(OfFeatures):
    """Answers for videos and stages: numbers of a row in, tokens of its last frame's patches or of its stages out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The columns -> tokens of all patches or stages in their order with a blank between two."""
        return Contract.of(columns_of(card), {"tokens": "string"})

    def stated(self, model: ServedModel, features: Features, params: Mapping[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """One row for each; ValueError for a number that is beyond float32, and for a precision that is not above 0."""
        return predictions(model, features, levels=(LEVEL,), recalibrated=None)


class StatesAtRest(OfFeatures):
    """Answers for queries of stored patterns: the query in, the state where it comes to rest out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The columns -> state, its numbers in their order with a blank between two."""
        return Contract.of(columns_of(card), {"state": "string"})

    def stated(self, model: ServedModel, features: Features, params: Mapping[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """One row for each query; ValueError for a number that is beyond float32."""
        return predictions(model, features, levels=(LEVEL,), recalibrated=None)
