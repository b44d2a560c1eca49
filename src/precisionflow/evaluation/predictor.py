"""A trained network as a predictive distribution, in the units of the data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from precisionflow.config import Experiment
from precisionflow.config.tasks import Characters
from precisionflow.evaluation.distribution import Distribution
from precisionflow.models.networks.build import build
from precisionflow.models.posteriors.build import predictive
from precisionflow.models.posteriors.predictive import Chosen, Features
from precisionflow.models.posteriors.weights import Weights
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import TrainedCell


@dataclass(frozen=True)
class Predictor:
    """A network and what its inputs and outputs mean. Prediction is one forward pass and sees no target."""

    model: Any
    """A `models.predictive.Predictive`, or of a text the network."""
    experiment_card: ModelCard
    data_card: DatasetCard
    device: torch.device

    @classmethod
    def load(cls, model: Path, card: DatasetCard, *, device: torch.device | None = None) -> "Predictor":
        """From a folder with `model.safetensors` and `model.json`, and the card of the data that it was trained on.

        ValueError for the card of other data and for weights that cannot be read or are of another network.
        """
        model_card = read_card(TrainedCell(model).card, ModelCard)
        if (card.task, card.split) != (model_card.experiment.task.model_dump(mode="json"), model_card.split):
            raise ValueError(
                f"{model}: was not trained on {card.dataset} split {card.split} as it is prepared here; "
                "give the data that it was trained on or train again"
            )
        weights = TrainedCell(model).weights
        try:
            tensors = load_file(weights)
            network = _network(model_card.experiment, card, Weights.of(tensors))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"{weights}: holds no weights of this network ({reason}); delete the folder and train again"
            ) from None
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                raise ValueError(
                    f"{weights}: {name} holds values that are not finite; delete the folder and train again, "
                    "with a lower training.learning_rate if it comes back"
                )
        where = device or torch.device("cpu")
        return cls(network.to(where).eval(), model_card, card, where)

    def distribution(self, features: Float[np.ndarray, "rows features"]) -> Distribution:
        """The prediction for features in their own units, in the target's own units.

        ValueError for a model of characters, another number of features, or a value that is not finite.
        """
        scales = self.data_card.standardisation
        if scales is None:
            raise ValueError("this model predicts characters; use log_probabilities")
        wanted = len(scales.feature_mean)
        if features.ndim != 2 or features.shape[1] != wanted:
            raise ValueError(f"features have the shape {features.shape}; this model takes (rows, {wanted})")
        bad = ~np.isfinite(features)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise ValueError(
                f"features, row {row}, column {column}: given {features[row, column]}; every cell needs a finite number"
            )
        with np.errstate(over="ignore"):
            standardised = scales.standardise(features)
            inputs = standardised.astype(np.float32)
        far = ~np.isfinite(inputs)
        if far.any():
            row, column = np.argwhere(far)[0]
            raise ValueError(
                f"features, row {row}, column {self.data_card.feature_names[column]!r}: given {features[row, column]}, "
                "beyond the range of float32 once standardised; mend the cell"
            )
        return self.standardised(torch.from_numpy(inputs))

    def standardised(self, features: Features, *, among: Chosen | None = None) -> Distribution:
        """The same for standardised features; of an ensemble, if given, each row's `among` its members alone."""
        scales = self.data_card.standardisation
        assert scales is not None
        with torch.no_grad():
            where = None if among is None else among.to(self.device)
            stated = self.model.predict(features.to(self.device), among=where)
        location, scale, weight = (
            part.double().cpu().numpy()
            for part in (
                stated.location,
                torch.exp(-0.5 * stated.log_precision.double()),
                stated.log_weight.double().exp(),
            )
        )
        belief, degrees = (
            None if part is None else part.double().cpu().numpy()
            for part in (stated.location_std, stated.degrees_of_freedom)
        )
        return Distribution(
            stated.family,
            scales.restore_target(location),
            scales.restore_spread(scale),
            weight / weight.sum(axis=1, keepdims=True),
            degrees,
            None if belief is None else scales.restore_spread(belief),
        )

    def log_probabilities(self, text: str) -> Float[np.ndarray, "positions vocabulary"]:
        """log p(next character) after each character of `text`, in nats.

        The text is cut into windows of the trained context, so a character is predicted from those before it in its
        window. ValueError for a model of numbers, no text, or a character that the training text did not have.
        """
        vocabulary, task = self.data_card.vocabulary, self.experiment_card.experiment.task
        if vocabulary is None or not isinstance(task, Characters):
            raise ValueError("this model predicts numbers; use distribution")
        index = {character: i for i, character in enumerate(vocabulary)}
        unknown = sorted(set(text) - set(index))
        if not text:
            raise ValueError("text has no characters; give at least one")
        if unknown:
            raise ValueError(f"text has characters that the model never saw: {unknown[:5]}; leave them out")
        tokens = torch.tensor([index[character] for character in text])
        parts = [self.token_log_probabilities(window[None])[0] for window in tokens.split(task.context)]
        return torch.cat(parts).numpy()

    def token_log_probabilities(self, inputs: Tensor) -> Float[Tensor, "windows tokens vocabulary"]:
        """log softmax of the logits, float64 on the CPU."""
        with torch.no_grad():
            return self.model(inputs.to(self.device)).double().log_softmax(-1).cpu()


def _network(experiment: Experiment, card: DatasetCard, weights: Weights) -> nn.Module:
    if not isinstance(experiment.task, Characters):
        return predictive(experiment, card, weights)
    network = build(experiment, card)
    network.load_state_dict(weights.network)
    return network
