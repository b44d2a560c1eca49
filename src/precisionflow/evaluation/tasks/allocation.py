"""Figures of scenes: probabilities of their classes, and where the tokens went."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from precisionflow.config import Experiment
from precisionflow.data.batches import Rows
from precisionflow.evaluation.classes import StatedTargets
from precisionflow.evaluation.scored import Scored
from precisionflow.evaluation.tasks.classification import RowClassPredictor, Stated
from precisionflow.inference.allocation.reader import Parts, patch_reader
from precisionflow.models.likelihoods.categorical import Voices
from precisionflow.models.posteriors.predictive import Features
from precisionflow.records.cards import DatasetCard
from precisionflow.results.layout import PreparedSplit

AT_ONCE = 64
"""Images that are read at once."""


@dataclass(frozen=True)
class ScenePredictor(RowClassPredictor):
    """Scenes and queries in, probabilities of the figure's class out."""

    predicts: ClassVar = "classes of figures"

    @staticmethod
    def untrained(experiment: Experiment, card: DatasetCard) -> nn.Module:
        """The reader before it was trained."""
        return patch_reader(experiment, card)

    def taken(self, features: Float[np.ndarray, "rows features"]) -> Features:
        """Numbers of scenes as the reader takes them; ValueError also for what `Parts.check` refuses."""
        found, (layer,) = super().taken(features), self.model.layers
        Parts.check(features, layer.source, self.data_card.feature_names)
        return found

    def standardised(self, features: Features) -> Stated:
        """What is stated of the numbers of scenes."""
        with torch.no_grad():
            logits = [self.model(part.to(self.device)).logits for part in features.split(AT_ONCE)]
        return Stated.of(Voices(torch.cat(logits).double()[:, None]))

    def tokens(self, features: Features) -> Int[np.ndarray, "images patches"]:
        """Whole tokens of every patch of standardised numbers.

        Those of an image sum to the budget, of `refine` to at most that.
        """
        (layer,) = self.model.layers
        with torch.no_grad():
            parts = [layer.tokens(part.to(self.device)).cpu() for part in features.split(AT_ONCE)]
        return torch.cat(parts).long().numpy()

    def padding(self, tokens: Int[np.ndarray, "images patches"]) -> float:
        """Places that the encoder computes without a token, over the tokens.

        Of a convolution they are the pixels beyond the tokens, of sequences what these are padded with. What `refine`
        reads before it has shared the tokens is not counted.
        """
        (layer,) = self.model.layers
        cells = sum(layer.encoder.cells(part) for part in torch.from_numpy(tokens).split(AT_ONCE))
        return float(cells / tokens.sum() - 1)

    def score(self, experiment: Experiment, data: Path, *, beside: Sequence[StatedTargets] = ()) -> Scored:
        """Scores of the classes as of any rows; tokens of an image and of the patch that is asked for, padding."""
        scored = super().score(experiment, data, beside=beside)
        numbers = torch.from_numpy(Rows.read(PreparedSplit(data).part("test")).features)
        tokens = self.tokens(numbers)
        asked = numbers[:, 0].round().long().numpy()
        metrics = scored.metrics | {
            "tokens": float(tokens.sum(axis=1).mean()),
            "tokens_of_figure": float(tokens[np.arange(len(asked)), asked].mean()),
            "padding": self.padding(tokens),
        }
        return scored._replace(
            metrics={name: metrics[name] for name in experiment.metrics if name in metrics}
        )
