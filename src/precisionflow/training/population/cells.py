"""Cells, their networks before training, and how many samples those learn from."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from precisionflow.config import Experiment
from precisionflow.config.agents import Agent
from precisionflow.config.allocation import FrameAllocator, PatchReader, StageAllocator
from precisionflow.config.networks import TAGI, Generative, ensemble_of
from precisionflow.config.tasks import NextToken
from precisionflow.data.streams import Stream, Use
from precisionflow.inference.allocation.encoder_decoder import stage_allocator
from precisionflow.inference.allocation.frames import frame_allocator
from precisionflow.inference.allocation.reader import patch_reader
from precisionflow.inference.planning.agent import knowledge
from precisionflow.inference.predictive_coding.generative import generative_model
from precisionflow.models.networks.build import build, features_of
from precisionflow.models.networks.layered import Layered
from precisionflow.models.posteriors import tagi
from precisionflow.records.cards import DatasetCard

Network = TypeVar("Network", bound=nn.Module)


class CellOf(NamedTuple):
    """One (seed, split) of a variant."""

    seed: int
    split: int


def learned_from(experiment: Experiment, card: DatasetCard) -> int:
    """Samples of an epoch: rows or sequences that one network learns from, windows of a text."""
    train, ensemble = card.rows["train"], ensemble_of(experiment.model)
    if isinstance(experiment.task, NextToken):
        return max(1, train // experiment.task.context)
    if ensemble is None or ensemble.folds is None:
        return train
    pooled = train + own_validation_rows(experiment, card)
    return pooled - pooled // ensemble.folds


def own_validation_rows(experiment: Experiment, card: DatasetCard) -> int:
    """Validation rows that networks may use; none where a recalibration holds them out."""
    return 0 if experiment.holds_out_validation else card.rows["valid"]


def seeded(stream: Stream, made: Callable[[], Network]) -> Network:
    """A network with the initial weights of a stream; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream.number(Use.WEIGHTS))
        return made()


def initial(experiment: Experiment, card: DatasetCard) -> nn.Module:
    """A network before training; of TAGI, the beliefs about one; of images, with the laws of its errors; of an agent,
    what it counts."""
    if isinstance(experiment.model, Agent):
        return knowledge(experiment)
    if isinstance(experiment.model, TAGI):
        return tagi.BeliefNetwork(tagi.sizes(experiment.model, features_of(card)))
    if isinstance(experiment.model, Generative):
        return generative_model(experiment, card)
    return network(experiment, card)


def network(experiment: Experiment, card: DatasetCard) -> Layered:
    """The network of layers of an experiment; some infer how tokens are shared."""
    match experiment.model:
        case PatchReader():
            return patch_reader(experiment, card)
        case FrameAllocator():
            return frame_allocator(experiment)
        case StageAllocator():
            return stage_allocator(experiment)
        case _:
            return build(experiment, card)


def count_parameters(experiment: Experiment, card: DatasetCard) -> int:
    """Trained scalars of one network."""
    return sum(parameter.numel() for parameter in initial(experiment, card).parameters())
