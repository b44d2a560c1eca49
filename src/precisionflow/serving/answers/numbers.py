"""Answers for tables of numbers: groups of pixels, tokens of frames and stages."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from precisionflow.records.cards import DatasetCard
from precisionflow.records.columns import NumberInput, missing_columns
from precisionflow.serving.answers.contract import Contract
from precisionflow.serving.answers.unread import STANDS
from precisionflow.serving.model import ServedModel

if TYPE_CHECKING:
    from precisionflow.evaluation.tasks.objects import ObjectPredictor
    from precisionflow.evaluation.tasks.stages import StagePredictor
    from precisionflow.evaluation.tasks.videos import VideoPredictor


def columns_of(card: DatasetCard) -> dict[str, str | None]:
    return {column.name: "double" if isinstance(column, NumberInput) else None for column in card.inputs}


def numbers_of(model: ServedModel, table: pd.DataFrame) -> np.ndarray:
    """Numbers of all columns of the training data; ValueError for a column that is missing or holds others."""
    names = [column.name for column in model.inputs]
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(f"{missing_columns(missing)}; the model takes {len(names)} columns")
    columns = []
    for name in [column.name for column in model.predictor.data_card.inputs]:
        if name not in names:
            columns.append(np.full(len(table), STANDS))
            continue
        try:
            columns.append(table[name].to_numpy(dtype=float))
        except (TypeError, ValueError):
            no_number = pd.to_numeric(table[name], errors="coerce").isna() & table[name].notna()
            raise ValueError(
                f"column {name!r}: given {table[name][no_number].iloc[0]!r}; it takes numbers"
            ) from None
    return np.column_stack(columns)


class GroupsOfPixels:
    """Answers for images of objects: the number of groups and all pixels in, the group of every pixel out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The columns -> groups, the numbers of all pixels in their order with a blank between two."""
        return Contract.of(columns_of(card), {"groups": "string"})

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """One row for each image; ValueError for a column that is missing and for a cell that is no finite number."""
        predictor = cast("ObjectPredictor", model.predictor)
        groups = predictor.groups(numbers_of(model, table))
        return pd.DataFrame({"groups": [" ".join(map(str, of)) for of in groups]})


class SharedTokens:
    """Answers for videos and stages: numbers of a row in, tokens of its last frame's patches or of its stages out."""

    def contract(self, card: DatasetCard) -> Contract:
        """The columns -> tokens of all patches or stages in their order with a blank between two."""
        return Contract.of(columns_of(card), {"tokens": "string"})

    def answer(self, model: ServedModel, table: pd.DataFrame, params: Mapping[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """One row for each; ValueError for a column that is missing and for a cell that is no finite number."""
        predictor = cast("VideoPredictor | StagePredictor", model.predictor)
        tokens = predictor.tokens(numbers_of(model, table))
        return pd.DataFrame({"tokens": [" ".join(map(str, of)) for of in tokens]})
