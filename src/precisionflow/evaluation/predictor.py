"""Predictor of a trained cell, by its task."""

from pathlib import Path
from typing import assert_never

import torch

from precisionflow.config.external import External
from precisionflow.config.tasks import (
    Allocation,
    Classification,
    Images,
    NextToken,
    Objects,
    Planning,
    Regression,
    Retrieval,
    SequenceClassification,
    StageAllocation,
    Synthetic,
    Tagging,
    VideoAllocation,
)
from precisionflow.evaluation.network import load_network
from precisionflow.evaluation.tasks.allocation import ScenePredictor
from precisionflow.evaluation.tasks.classes import ClassPredictor
from precisionflow.evaluation.tasks.classification import RowClassPredictor, TableClassPredictor
from precisionflow.evaluation.tasks.images import ImagePredictor, UnlabelledPredictor
from precisionflow.evaluation.tasks.next_token import TokenPredictor
from precisionflow.evaluation.tasks.objects import ObjectPredictor
from precisionflow.evaluation.tasks.planning import AgentPredictor
from precisionflow.evaluation.tasks.regression import TablePredictor
from precisionflow.evaluation.tasks.retrieval import RetrievalPredictor
from precisionflow.evaluation.tasks.stages import StagePredictor
from precisionflow.evaluation.tasks.stated import StatedAny, load_stated
from precisionflow.evaluation.tasks.synthetic import SyntheticPredictor
from precisionflow.evaluation.tasks.tags import TagPredictor
from precisionflow.evaluation.tasks.videos import VideoPredictor
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import TrainedCell

Predictor = (
    ImagePredictor
    | ObjectPredictor
    | ScenePredictor
    | VideoPredictor
    | StagePredictor
    | RetrievalPredictor
    | TablePredictor
    | TokenPredictor
    | ClassPredictor
    | RowClassPredictor
    | StatedAny
    | SyntheticPredictor
    | TagPredictor
    | AgentPredictor
)


def load_predictor(model: Path, card: DatasetCard, *, device: torch.device | None = None) -> Predictor:
    """The predictor in the folder of a trained cell; `card` is that of its training data.

    ValueError for the card of other data and for weights that cannot be read or are of another network.
    """
    model_card = read_card(TrainedCell(model).card, ModelCard)
    match task := model_card.experiment.task:
        case Regression() | Classification() | SequenceClassification() | Tagging() if isinstance(
            model_card.experiment.model, External
        ):
            return load_stated(model, model_card=model_card, card=card)
        case Regression():
            return load_network(TablePredictor, model, model_card=model_card, card=card, device=device)
        case Classification():
            return load_network(TableClassPredictor, model, model_card=model_card, card=card, device=device)
        case Images():
            kind = ImagePredictor if task.source.labelled else UnlabelledPredictor
            return load_network(kind, model, model_card=model_card, card=card, device=device)
        case NextToken():
            return load_network(TokenPredictor, model, model_card=model_card, card=card, device=device)
        case SequenceClassification():
            return load_network(ClassPredictor, model, model_card=model_card, card=card, device=device)
        case Synthetic():
            return load_network(SyntheticPredictor, model, model_card=model_card, card=card, device=device)
        case Objects():
            return load_network(ObjectPredictor, model, model_card=model_card, card=card, device=device)
        case Allocation():
            return load_network(ScenePredictor, model, model_card=model_card, card=card, device=device)
        case VideoAllocation():
            return load_network(VideoPredictor, model, model_card=model_card, card=card, device=device)
        case StageAllocation():
            return load_network(StagePredictor, model, model_card=model_card, card=card, device=device)
        case Retrieval():
            return load_network(RetrievalPredictor, model, model_card=model_card, card=card, device=device)
        case Tagging():
            return load_network(TagPredictor, model, model_card=model_card, card=card, device=device)
        case Planning():
            return load_network(AgentPredictor, model, model_card=model_card, card=card, device=device)
        case _:
            assert_never(task)
