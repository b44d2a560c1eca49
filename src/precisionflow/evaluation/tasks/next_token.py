"""NextToken: probabilities of the next character of a text, and their scores."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config import Experiment
from precisionflow.config.tasks import NextToken
from precisionflow.evaluation.classes import ClassScores, fits_of, score_classes
from precisionflow.evaluation.network import TrainedNetwork, network_of
from precisionflow.evaluation.scored import Scored
from precisionflow.models.posteriors.weights import Weights
from precisionflow.records.cards import DatasetCard
from precisionflow.records.schemas import CLASS_PREDICTIONS
from precisionflow.training.batches import Batch


@dataclass(frozen=True)
class TokenPredictor(TrainedNetwork):
    """Texts in, probabilities of the next character out."""

    predicts: ClassVar = "characters of a text"

    @staticmethod
    def network(experiment: Experiment, card: DatasetCard, weights: Weights) -> nn.Module:
        """The network with its weights; RuntimeError for weights of another network."""
        return network_of(experiment, card, weights)

    def log_probabilities(self, text: str) -> Float[np.ndarray, "positions vocabulary"]:
        """log p(next character) after each character of `text`, in nats.

        The text is cut into windows of the trained context, so a character is predicted from those before it in its
        window. ValueError for no text and for a character that the training text did not have.
        """
        index = {character: i for i, character in enumerate(self.data_card.tokens)}
        unknown = sorted(set(text) - set(index))
        if not text:
            raise ValueError("text has no characters; give at least one")
        if unknown:
            raise ValueError(f"text has characters that the model never saw: {unknown[:5]}; leave them out")
        tokens = torch.tensor([index[character] for character in text])
        task = self.experiment_card.experiment.task
        assert isinstance(task, NextToken)
        parts = [self.token_log_probabilities(window[None])[0] for window in tokens.split(task.context)]
        return torch.cat(parts).numpy()

    def token_log_probabilities(self, inputs: Tensor) -> Float[Tensor, "windows tokens vocabulary"]:
        """log softmax of the logits, float64 on the CPU."""
        with torch.no_grad():
            return self.model(inputs.to(self.device)).double().log_softmax(-1).cpu()

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """The test characters' probabilities and all their metrics, before and after temperature.

        `row` is the position of the target in the part.
        """
        plain, tempered = score_classes(self.predict, experiment, data)
        metrics = text_metrics(plain)
        if tempered is not None:
            after = text_metrics(tempered.scores)
            metrics |= {f"{name}_after_temperature": value for name, value in after.items()}
        rows = plain.table(np.arange(1, plain.count + 1))
        return Scored(rows, CLASS_PREDICTIONS, metrics, recalibrations=fits_of(tempered))

    def predict(self, batch: Batch) -> Float[Tensor, "windows tokens vocabulary"]:
        """log p(next character) at every place of a batch."""
        return self.token_log_probabilities(batch.inputs)


def text_metrics(scores: ClassScores) -> dict[str, float]:
    """All metrics of a text: those of class probabilities, and the bits that a character takes."""
    metrics = scores.metrics
    return {"nll": metrics["nll"], "bits_per_character": metrics["nll"] / math.log(2)} | metrics
