"""From a configuration and a dataset card to a network."""

from typing import assert_never

from precisionflow.config import Experiment
from precisionflow.config.model import MeanPrecisionNetwork, Transformer
from precisionflow.config.task import Characters
from precisionflow.models.heteroscedastic import mean_precision_network
from precisionflow.models.layered import Layered
from precisionflow.models.transformer import transformer
from precisionflow.records import DatasetCard


def build(experiment: Experiment, card: DatasetCard) -> Layered:
    """The network of a resolved experiment for prepared data."""
    match experiment.model:
        case Transformer() as part:
            assert isinstance(experiment.task, Characters)
            assert card.vocabulary is not None
            return transformer(part, vocabulary=len(card.vocabulary), context=experiment.task.context)
        case MeanPrecisionNetwork() as part:
            assert card.standardisation is not None
            return mean_precision_network(part, features=len(card.standardisation.feature_mean))
        case _:
            assert_never(experiment.model)
