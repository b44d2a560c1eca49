"""Construction of a network from a configuration and a dataset card."""

from collections.abc import Mapping
from functools import partial
from typing import assert_never

from precisionflow.config import Experiment
from precisionflow.config.agents import Agent
from precisionflow.config.allocation import Budgeted
from precisionflow.config.drawn_tables import MovingTarget
from precisionflow.config.external import External
from precisionflow.config.filters import Filter
from precisionflow.config.likelihoods import (
    AdaptiveSoftmax,
    AllocationElbo,
    ClassObjective,
    ExpectedFreeEnergy,
    FreeEnergy,
    Objective,
)
from precisionflow.config.memories import AssociativeMemory
from precisionflow.config.networks import MLP, TAGI, Clusters, Fusion, Generative, Slots, Transformer
from precisionflow.config.tasks import (
    Allocation,
    Auxiliary,
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
from precisionflow.models.likelihoods.objective import density
from precisionflow.models.networks.adaptive import AdaptiveReadout, TiedAdaptiveReadout
from precisionflow.models.networks.filter import landing_filter
from precisionflow.models.networks.fusion import fusion
from precisionflow.models.networks.generative import generative
from precisionflow.models.networks.layered import Layered
from precisionflow.models.networks.memory import memory
from precisionflow.models.networks.mlp import mlp
from precisionflow.models.networks.objects import grouping
from precisionflow.models.networks.transformer import (
    AuxiliaryReadout,
    MakeReadout,
    PooledReadout,
    TiedReadout,
    TokenReadout,
    transformer,
)
from precisionflow.models.networks.vectors import vector_transformer
from precisionflow.records.cards import DatasetCard


def build(experiment: Experiment, card: DatasetCard) -> Layered:
    """The network of a resolved experiment for prepared data, its weights drawn from torch's generator."""
    match experiment.task:
        case Regression():
            return _of_a_number(experiment, card)
        case Classification():
            assert isinstance(experiment.model, MLP)
            return mlp(experiment.model, features=features_of(card), heads=len(card.class_names))
        case Images():
            assert isinstance(experiment.model, Generative)
            return generative(experiment.model, classes=len(card.class_names), pixels=features_of(card))
        case NextToken(context=context):
            assert isinstance(experiment.model, Transformer)
            ids = card.known.ids
            readout = _next_token_readout(experiment.model, experiment.objective, ids)
            return transformer(experiment.model, vocabulary=ids, context=context, readout=readout)
        case SequenceClassification(context=context):
            assert isinstance(experiment.model, Transformer)
            pooled = partial(PooledReadout, classes=len(card.class_names))
            return transformer(experiment.model, vocabulary=card.known.ids, context=context, readout=pooled)
        case Synthetic(context=context, source=source):
            assert isinstance(experiment.model, Transformer)
            classes = len(card.class_names)
            tagged, pooled = (
                partial(TokenReadout, classes=classes),
                partial(PooledReadout, classes=classes),
            )
            return transformer(
                experiment.model,
                vocabulary=card.known.ids,
                context=context,
                readout=tagged if source.tagged else pooled,
            )
        case Objects():
            assert isinstance(experiment.model, Slots | Clusters)
            return grouping(experiment.model, pixels=experiment.task.source.side**2)
        case Retrieval():
            assert isinstance(experiment.model, AssociativeMemory)
            return memory(experiment.model, experiment.task)
        case Tagging(context=context, auxiliary=auxiliary):
            assert isinstance(experiment.model, Transformer)
            tags = _tag_readout(auxiliary, card)
            return transformer(experiment.model, vocabulary=card.known.ids, context=context, readout=tags)
        case Planning() | Allocation() | VideoAllocation() | StageAllocation():
            raise TypeError("agents and allocators are built where they infer")
        case _:
            assert_never(experiment.task)


def _of_a_number(experiment: Experiment, card: DatasetCard) -> Layered:
    task, features = experiment.task, features_of(card)
    assert isinstance(task, Regression)
    assert not isinstance(
        experiment.objective, ClassObjective | FreeEnergy | ExpectedFreeEnergy | AllocationElbo
    )
    match experiment.model:
        case MLP():
            return mlp(experiment.model, features=features, heads=density(experiment.objective).heads)
        case Fusion():
            return fusion(experiment.model, features=features)
        case Filter():
            assert isinstance(task.source, MovingTarget)
            return landing_filter(experiment.model, task.source, card.table)
        case TAGI():
            raise TypeError("beliefs about weights are no network of layers")
        case Generative() | Slots() | Clusters() | AssociativeMemory() | Budgeted() | Agent() | External():
            raise TypeError("models of images, agents and models from outside have no network of a number")
        case Transformer():
            heads = density(experiment.objective).heads
            return vector_transformer(experiment.model, places=task.context, features=features, heads=heads)
        case _:
            assert_never(experiment.model)


def _tag_readout(auxiliary: Mapping[Auxiliary, float], card: DatasetCard) -> MakeReadout:
    classes = len(card.class_names)
    if not auxiliary:
        return partial(TokenReadout, classes=classes)
    beside = [(len(card.auxiliary[column]), factor) for column, factor in auxiliary.items()]
    return partial(AuxiliaryReadout, classes=classes, auxiliary=beside)


def _next_token_readout(model: Transformer, objective: Objective, ids: int) -> MakeReadout:
    if isinstance(objective, AdaptiveSoftmax):
        return partial(TiedAdaptiveReadout if model.tied_readout else AdaptiveReadout, config=objective)
    return TiedReadout if model.tied_readout else partial(TokenReadout, classes=ids)


def features_of(card: DatasetCard) -> int:
    """Number of features of a table."""
    return len(card.table.feature_mean)
