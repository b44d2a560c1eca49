"""From a configuration and a dataset card to a network."""

from typing import assert_never

from precisionflow.config import Experiment
from precisionflow.config.likelihoods import CrossEntropy
from precisionflow.config.networks import MLP, TAGI, Transformer
from precisionflow.config.tasks import Characters
from precisionflow.models.likelihoods import heads
from precisionflow.models.networks.layered import Layered
from precisionflow.models.networks.mlp import mlp
from precisionflow.models.networks.transformer import transformer
from precisionflow.records.cards import DatasetCard


def build(experiment: Experiment, card: DatasetCard) -> Layered:
    """The network of a resolved experiment for prepared data."""
    match experiment.model:
        case Transformer() as part:
            assert isinstance(experiment.task, Characters)
            assert card.vocabulary is not None
            return transformer(part, vocabulary=len(card.vocabulary), context=experiment.task.context)
        case MLP() as part:
            assert not isinstance(experiment.objective, CrossEntropy)
            return mlp(part, features=features_of(card), asked=heads(experiment.objective))
        case TAGI(hidden=hidden):
            raise TypeError(f"beliefs over {hidden} are no network of layers; see models.tagi")
        case _:
            assert_never(experiment.model)


def features_of(card: DatasetCard) -> int:
    """Number of features of a table."""
    assert card.standardisation is not None
    return len(card.standardisation.feature_mean)
