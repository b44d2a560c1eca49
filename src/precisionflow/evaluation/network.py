"""A trained network with the cards of its training and of its data, loaded from the folder of a cell."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn

from precisionflow.config import Experiment
from precisionflow.data.readers.mistakes import CellError
from precisionflow.models.likelihoods.categorical import Voices
from precisionflow.models.networks.build import build
from precisionflow.models.posteriors.build import predictive
from precisionflow.models.posteriors.weights import Weights
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.marker import check_written
from precisionflow.results.layout import TrainedCell
from precisionflow.training.batches import Batch
from precisionflow.training.files import load_weights


@dataclass(frozen=True)
class TrainedNetwork:
    """A network and what its inputs and outputs mean. Prediction is one forward pass and sees no target."""

    model: Any
    """Module that `network` gives."""
    experiment_card: ModelCard
    data_card: DatasetCard
    device: torch.device

    @staticmethod
    def untrained(experiment: Experiment, card: DatasetCard) -> nn.Module:
        """The network of an experiment before its weights are there."""
        return build(experiment, card)

    @classmethod
    def network(cls, experiment: Experiment, card: DatasetCard, weights: Weights) -> nn.Module:
        """With trained weights; RuntimeError for weights of another network."""
        network = cls.untrained(experiment, card)
        network.load_state_dict(weights.network)
        return network


Kind = TypeVar("Kind", bound=TrainedNetwork)


def load_network(
    kind: type[Kind],
    model: Path,
    *,
    model_card: ModelCard,
    card: DatasetCard,
    device: torch.device | None = None,
) -> Kind:
    """A predictor from a folder with `model.safetensors`, its card, and the card of the data that it was trained on.

    ValueError for the card of other data and for weights that cannot be read or are of another network.
    """
    check_data(model, model_card=model_card, card=card)
    weights = TrainedCell(model).weights
    check_written(weights)
    try:
        tensors = load_weights(weights)
        network = kind.network(model_card.experiment, card, Weights.of(tensors))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{weights}: holds no weights of this network ({reason}); delete the folder and train again"
        ) from None
    learned = model_card.experiment
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(
                f"{weights}: {name} holds values that are not finite; delete the folder and train again, "
                f"and if it comes back {learned.model.remedy or learned.learning.remedy}"
            )
    where = device or torch.device("cpu")
    return kind(network.to(where).eval(), model_card, card, where)


def check_data(model: Path, *, model_card: ModelCard, card: DatasetCard) -> None:
    """ValueError for the card of other data than a model was trained on."""
    task = model_card.experiment.task.model_dump(mode="json")
    if (card.task, card.split, card.source_sha256) != (task, model_card.split, model_card.source_sha256):
        raise ValueError(
            f"{model}: was not trained on {card.dataset} split {card.split} as it is prepared here; "
            "give the data that it was trained on or train again"
        )


@dataclass(frozen=True)
class PosteriorNetwork(TrainedNetwork):
    """A network and the posterior of its weights."""

    @classmethod
    def network(cls, experiment: Experiment, card: DatasetCard, weights: Weights) -> nn.Module:
        """The network with the posterior of its weights; RuntimeError for weights of another network."""
        return predictive(experiment, card, weights)


@dataclass(frozen=True)
class TextNetwork(PosteriorNetwork):
    """Tokens in, classes out: of the text or of every token."""

    def predict(self, batch: Batch) -> Voices:
        """What is stated at every target of a batch, float64 on the CPU."""
        given = batch.to(self.device)
        with torch.no_grad():
            return Voices(self.model.predict(given.inputs, given.mask).logits.double().cpu())


def standardised_features(
    card: DatasetCard, features: Float[np.ndarray, "rows features"]
) -> Float[Tensor, "rows features"]:
    """Features in their own units as the network takes them.

    ValueError for another number of features and for a value that is not finite, once standardised too.
    """
    scales = card.table
    wanted = len(scales.feature_mean)
    if features.ndim != 2 or features.shape[1] != wanted:
        raise ValueError(f"features have the shape {features.shape}; this model takes (rows, {wanted})")
    bad = ~np.isfinite(features)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        name, given = card.feature_names[column], features[row, column]
        raise feature_error(int(row), name, f"given {given}; every cell needs a finite number")
    with np.errstate(over="ignore"):
        standardised = scales.standardise(features)
        inputs = standardised.astype(np.float32)
    far = ~np.isfinite(inputs)
    if far.any():
        row, column = np.argwhere(far)[0]
        given = f"given {features[row, column]}, beyond the range of float32 once standardised"
        raise feature_error(int(row), card.feature_names[column], f"{given}; mend the cell")
    return torch.from_numpy(inputs)


def feature_error(row: int, name: str, problem: str) -> CellError:
    """A mistake in a feature of a row."""
    return CellError(
        f"features, row {row}, column {name!r}: {problem}", column=name, row=row, problem=problem
    )
