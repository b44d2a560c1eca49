"""JSON files beside the tables: data set, model."""

from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveFloat, model_validator

from precisionflow.config import Experiment
from precisionflow.records.card import Card
from precisionflow.records.columns import Form, InputColumn, NumberInput


class Standardisation(Card):
    """x_standardised = (x - mean) / scale, fitted on the training rows."""

    feature_mean: tuple[float, ...]
    feature_scale: tuple[PositiveFloat, ...]
    target_mean: float
    target_scale: PositiveFloat

    @model_validator(mode="after")
    def _one_scale_for_each_mean(self) -> Self:
        if len(self.feature_mean) != len(self.feature_scale):
            raise ValueError(
                f"{len(self.feature_mean)} numbers in feature_mean, {len(self.feature_scale)} in feature_scale"
            )
        return self

    def standardise(self, rows: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
        """(x - mean) / scale of every column: the features in their order, the target last where it is there.

        Infinite beyond the range of float64.
        """
        columns = rows.shape[1]
        mean = np.array([*self.feature_mean, self.target_mean])[:columns]
        with np.errstate(over="ignore"):
            return (rows - mean) / np.array([*self.feature_scale, self.target_scale])[:columns]

    def restore_features(
        self, standardised: Float[np.ndarray, "rows features"]
    ) -> Float[np.ndarray, "rows features"]:
        """x_standardised * scale + mean of every feature, in its own units, float64."""
        return standardised.astype(np.float64) * np.array(self.feature_scale) + np.array(self.feature_mean)

    def restore_target(self, standardised: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """y_standardised * scale + mean, in the target's own units, float64: targets and locations."""
        return standardised.astype(np.float64) * self.target_scale + self.target_mean

    def restore_spread(self, standardised: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Scale of the target times a standard deviation of the standardised target, float64."""
        return standardised.astype(np.float64) * self.target_scale


class Vocabulary(Card):
    """What a tokeniser knows; with its configuration it is the whole tokeniser."""

    tokens: tuple[str, ...]
    """Text that each id stands for, from 0 on."""
    buckets: int = Field(default=0, ge=0, exclude_if=lambda buckets: not buckets)
    """Ids beyond the tokens, which hashes of pieces of words share."""
    merges: tuple[str, ...] = Field(default=(), exclude_if=lambda merges: not merges)
    """Pairs of tokens that byte pairs merge, in the order in which they were learned, a blank between the two."""

    @property
    def ids(self) -> int:
        """Number of ids."""
        return len(self.tokens) + self.buckets


class Optimum(Card):
    """What the best possible predictor of a synthetic source scores on the test part."""

    nll: float
    """Mean of -log p(target), in nats."""
    accuracy: float


class TextSize(Card):
    """Sizes of one part of a text."""

    characters: int
    """Without those up to the end of the first token, which nothing predicts."""
    bytes: int
    """Of the same in UTF-8."""
    unknown: int
    """Tokens that the vocabulary does not hold."""


class DatasetCard(Card):
    """data/dataset.json."""

    dataset: str
    task: dict[str, Any]
    source_sha256: str
    split: int
    rows: dict[Literal["train", "valid", "test"], int]
    standardisation: Standardisation | None = None
    """Means and scales of a table of numbers; read them as `table`."""
    features: tuple[str, ...] | None = None
    """Names of a table's features, where its source has names."""
    columns: tuple[InputColumn, ...] | None = Field(default=None, exclude_if=lambda columns: columns is None)
    """What became of each column of a table file; read them as `inputs`."""
    form: Form | None = Field(default=None, exclude_if=lambda form: form is None)
    """How the table file was read."""
    notes: tuple[str, ...] = Field(default=(), exclude_if=lambda notes: not notes)
    """What was read off the source or done to it without being asked for."""
    target: str | None = None
    """Name of a table's target, where its source has names."""
    vocabulary: Vocabulary | None = None
    """Of a text or of sequences of tokens; read it as `known`."""
    sizes: dict[Literal["train", "valid", "test"], TextSize] | None = Field(
        default=None, exclude_if=lambda sizes: sizes is None
    )
    """Sizes of the parts of a text; read them as `text`."""
    classes: tuple[str, ...] | None = Field(default=None, exclude_if=lambda names: names is None)
    """Name of each class of classified texts; read it as `class_names`."""
    auxiliary: dict[str, tuple[str, ...]] = Field(default={}, exclude_if=lambda columns: not columns)
    """Name of each class of the columns that are learned beside the tags."""
    shape: tuple[int, ...] | None = Field(default=None, exclude_if=lambda shape: shape is None)
    """Of an image, whose features are its pixels in the order of their places, the last axis fastest."""
    optimum: Optimum | None = Field(default=None, exclude_if=lambda optimum: optimum is None)
    """Of a synthetic source."""

    @property
    def table(self) -> Standardisation:
        """Means and scales of a table of numbers; ValueError for a card of other data."""
        if self.standardisation is None:
            raise ValueError(
                f"{self.dataset}: its card has no standardisation; give the card of a table of numbers"
            )
        return self.standardisation

    @property
    def known(self) -> Vocabulary:
        """The vocabulary; ValueError for a card of other data."""
        if self.vocabulary is None:
            raise ValueError(f"{self.dataset}: its card has no vocabulary; give the card of a text")
        return self.vocabulary

    @property
    def tokens(self) -> tuple[str, ...]:
        """What each token of a text stands for; ValueError for a card of other data."""
        return self.known.tokens

    @property
    def text(self) -> dict[Literal["train", "valid", "test"], TextSize]:
        """Sizes of the parts of a text; ValueError for a card of other data."""
        if self.sizes is None:
            raise ValueError(f"{self.dataset}: its card has no sizes of texts; give the card of a text")
        return self.sizes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class; ValueError for a card of other data."""
        if self.classes is None:
            raise ValueError(f"{self.dataset}: its card has no classes; give the card of classified texts")
        return self.classes

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of a table's features: x0, x1, ... where its source has no names."""
        return self.features or tuple(f"x{i}" for i in range(len(self.table.feature_mean)))

    @property
    def inputs(self) -> tuple[InputColumn, ...]:
        """Columns that a row has to have for the model to predict from it."""
        if self.columns is not None:
            return self.columns
        return tuple(NumberInput(name=name) for name in self.feature_names)


Profile = dict[str, float]
"""What training.profile found, on the first rank: seconds of a step in "forward", "settling", "backward", "optimiser"
and "other", each without what is inside it; in "layer-0-...", forward calls of each layer; in "communication", which is
inside the others; "peak_bytes" of memory. Of an ensemble the means over its members. Empty without any."""


class CostCard(Card):
    """evaluation/cost.json: what the training of an evaluated cell took, as its model's card says."""

    parameters: int | None
    """Number of trained scalars; none of a model from outside."""
    steps: int
    batch_size: int
    seconds_per_step: float
    profile: Profile = Field(default={}, exclude_if=lambda profile: not profile)


class ModelCard(Card):
    """model/model.json."""

    experiment: Experiment
    experiment_hash: str
    code_version: str
    source_sha256: str
    """Of the data that it was trained on: that of their card."""
    seed: int
    split: int
    parameters: int | None
    """Number of trained scalars; none of a model from outside, which is no network."""
    steps: int
    """Optimiser steps taken; 1 of an estimator, whose step is on all rows, 0 of a file of predictions."""
    planned_steps: int
    """Optimiser steps after which training ends, if nothing stops it before."""
    batch_size: int
    """Rows or sequences of a step."""
    validation_loss: float | None
    """Validation loss of the kept weights, in nats; none where a file does not predict the validation rows."""
    seconds_per_step: float
    """Median over the steps, validation and checkpoints left out."""
    profile: Profile = Field(default={}, exclude_if=lambda profile: not profile)
