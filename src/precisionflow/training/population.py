"""Populations: networks that train at once, their cells and data, and the engine over them."""

import functools
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, assert_never, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from precisionflow.config import Experiment
from precisionflow.config.agents import Agent
from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine, TorchEngine
from precisionflow.config.external import External
from precisionflow.config.networks import TAGI, Generative, ensemble_of
from precisionflow.config.tasks import NextToken
from precisionflow.config.training import Training
from precisionflow.data.batches import Rows
from precisionflow.data.episodes import episodes_of
from precisionflow.data.streams import Stream, Use
from precisionflow.inference.planning.agent import knowledge
from precisionflow.inference.predictive_coding.generative import generative_model
from precisionflow.models.likelihoods.objective import objective
from precisionflow.models.networks.build import build, features_of
from precisionflow.models.networks.inputs import NormalScores
from precisionflow.models.networks.layered import Layered
from precisionflow.models.posteriors import tagi
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import PreparedSplit, data_folder
from precisionflow.training.batches import part_batches, training_batches
from precisionflow.training.engines.batched import Batched, Table
from precisionflow.training.engines.engine import Engine
from precisionflow.training.engines.episodes import Episodes
from precisionflow.training.engines.several import Several
from precisionflow.training.engines.single import Feed
from precisionflow.training.engines.torch_engine import Torch
from precisionflow.training.members import Member, members
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules.closed_form import ClosedForm
from precisionflow.training.rules.generative import GenerativeLearner
from precisionflow.training.rules.learner import Learner, learner
from precisionflow.training.rules.stacked import StackedRule
from precisionflow.training.rules.stacked_gradient import StackedGradient
from precisionflow.training.schedule import of_rows

Network = TypeVar("Network", bound=nn.Module)

MOST_NUMBERS = 30_000_000
"""Most weights that train at once; gradients, AdamW's moments, averages and the best weights are five more of each."""


class CellOf(NamedTuple):
    """One (seed, split) of a variant."""

    seed: int
    split: int


@runtime_checkable
class Population(Protocol):
    """Networks that train at once; those of a cell stand one after the other."""

    cells: list[CellOf]
    """The cell of each network."""
    training: Training
    """Steps and batch size for the rows of the networks."""
    validation_rows: list[int]
    """Weight of each network's validation loss in that of its cell."""

    def open(self, ranks: Ranks, resume: Path | None) -> Engine:
        """The engine, at the state in `resume` (a folder that `save` filled) if given."""
        ...

    def whole(self, cell: CellOf, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """A network's weights as its file holds them."""
        ...


def population(experiment: Experiment, data: Path, cells: Sequence[CellOf]) -> Population:
    """The networks of a group of cells, for the experiment's engine; `data` is the folder of all prepared data."""
    match experiment.engine:
        case BatchedEngine():
            return Stacked(experiment, data, cells)
        case TorchEngine() | DeepSpeedEngine():
            (cell,) = cells
            if isinstance(experiment.model, Agent):
                return Acting(experiment, data, cell)
            ensemble = ensemble_of(experiment.model)
            if ensemble is None:
                return Single(experiment, data, cell)
            return SideBySide([Single(experiment, data, cell, member=i) for i in range(ensemble.members)])
        case _:
            assert_never(experiment.engine)


def groups(experiment: Experiment, data: Path, cells: Sequence[CellOf]) -> list[list[CellOf]]:
    """Groups of cells that train at once: one cell each, or as many of equally many steps as fit into memory."""
    if not isinstance(experiment.engine, BatchedEngine) or isinstance(experiment.model, External):
        return [[cell] for cell in cells]
    if not cells:
        return []
    cards = {
        split: read_card(PreparedSplit(data_folder(data, experiment, split)).card, DatasetCard)
        for split in dict.fromkeys(cell.split for cell in cells)
    }
    ensemble = ensemble_of(experiment.model)
    each = count_parameters(experiment, cards[cells[0].split]) * (ensemble.members if ensemble else 1)
    size = max(1, MOST_NUMBERS // each)
    alike: dict[Training, list[CellOf]] = defaultdict(list)
    for cell in cells:
        alike[of_rows(experiment.training, learned_from(experiment, cards[cell.split]))].append(cell)
    return [of[first : first + size] for of in alike.values() for first in range(0, len(of), size)]


def learned_from(experiment: Experiment, card: DatasetCard) -> int:
    """Samples of an epoch: rows or sequences that one network learns from, windows of a text."""
    train, ensemble = card.rows["train"], ensemble_of(experiment.model)
    if isinstance(experiment.task, NextToken):
        return max(1, train // experiment.task.context)
    if ensemble is None or ensemble.folds is None:
        return train
    pooled = train + _own_validation_rows(experiment, card)
    return pooled - pooled // ensemble.folds


def _own_validation_rows(experiment: Experiment, card: DatasetCard) -> int:
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
    return build(experiment, card)


def count_parameters(experiment: Experiment, card: DatasetCard) -> int:
    """Trained scalars of one network."""
    return sum(parameter.numel() for parameter in initial(experiment, card).parameters())


class Single:
    """One network, for an engine of single networks; of an ensemble, one of its members."""

    def __init__(self, experiment: Experiment, data: Path, cell: CellOf, *, member: int = 0) -> None:
        self.experiment = experiment
        self.stream = Stream(*cell, member)
        self.data = PreparedSplit(data_folder(data, experiment, cell.split))
        self.card = read_card(self.data.card, DatasetCard)
        self.training = of_rows(experiment.training, learned_from(experiment, self.card))
        self.cells = [cell]
        self.validation_rows = [1]

    def open(self, ranks: Ranks, resume: Path | None) -> Engine:
        experiment = self.experiment
        learner = self._learner(ranks)
        stream, training = self.stream, self.training
        feed = Feed(
            training_batches(experiment, self.data.folder, training=training, stream=stream, ranks=ranks),
            part_batches(experiment, self.data.part("valid")),
        )
        match experiment.engine:
            case TorchEngine() as config:
                return Torch(learner, config, training, feed, ranks, resume=resume)
            case DeepSpeedEngine() as config:
                from precisionflow.training.engines.deepspeed_engine import DeepSpeed

                return DeepSpeed(learner, config, training, feed, ranks, resume=resume)
            case BatchedEngine():
                raise TypeError("networks that train at once are no engine of one network")
            case _:
                assert_never(experiment.engine)

    def _learner(self, ranks: Ranks) -> Learner | GenerativeLearner:
        experiment = self.experiment
        if isinstance(experiment.model, Generative):
            images = seeded(self.stream, lambda: generative_model(experiment, self.card))
            return GenerativeLearner(images, total=ranks.sum)
        model = seeded(self.stream, lambda: build(experiment, self.card))
        if isinstance(model.inputs, NormalScores):
            model.inputs.fit(Rows.read(self.data.part("train")).features)
        return learner(
            model,
            objective(experiment.objective),
            experiment.learning,
            dtype=experiment.engine.dtype,
            total=ranks.sum,
        )

    def whole(self, cell: CellOf, weights: dict[str, Tensor]) -> dict[str, Tensor]:  # noqa: ARG002
        return weights


class Acting:
    """The agent of one cell."""

    def __init__(self, experiment: Experiment, data: Path, cell: CellOf) -> None:
        self.experiment, self.training = experiment, experiment.training
        self.data = PreparedSplit(data_folder(data, experiment, cell.split))
        self.stream = Stream(*cell)
        self.cells = [cell]
        self.validation_rows = [1]

    def open(self, ranks: Ranks, resume: Path | None) -> Engine:  # noqa: ARG002 - one process
        return Episodes(
            self.experiment,
            stream=self.stream,
            train=episodes_of(self.data.part("train")),
            valid=episodes_of(self.data.part("valid")),
            resume=resume,
        )

    def whole(self, cell: CellOf, weights: dict[str, Tensor]) -> dict[str, Tensor]:  # noqa: ARG002
        return weights


class SideBySide:
    """The members of an ensemble, each in an engine of single networks."""

    def __init__(self, members: Sequence[Single]) -> None:
        self.members = members
        self.training = members[0].training
        self.cells = [cell for member in members for cell in member.cells]
        self.validation_rows = [rows for member in members for rows in member.validation_rows]

    def open(self, ranks: Ranks, resume: Path | None) -> Engine:
        return Several([partial(member.open, ranks) for member in self.members], resume=resume)

    def whole(self, cell: CellOf, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.members[0].whole(cell, weights)


class Stacked:
    """The networks of several cells as one batched program, and the rows that they learn from."""

    def __init__(self, experiment: Experiment, data: Path, cells: Sequence[CellOf]) -> None:
        self.experiment = experiment
        self.splits = {
            split: PreparedSplit(data_folder(data, experiment, split))
            for split in dict.fromkeys(cell.split for cell in cells)
        }
        self.training, *others = {
            of_rows(experiment.training, learned_from(experiment, self._card(split))) for split in self.splits
        }
        assert not others, "networks of unlike many steps train apart"
        self.members = [member for cell in cells for member in self._members(cell)]
        self.cells = [CellOf(member.seed, member.split) for member in self.members]
        self.validation_rows = [len(member.valid) for member in self.members]

    def _members(self, cell: CellOf) -> list[Member]:
        return members_of(self.experiment, self._card(cell.split), cell)

    def _card(self, split: int) -> DatasetCard:
        return read_card(self.splits[split].card, DatasetCard)

    @functools.cached_property
    def rows(self) -> dict[int, tuple[Rows, Rows]]:
        """split -> training rows, validation rows."""
        return {
            split: (Rows.read(of.part("train")), Rows.read(of.part("valid")))
            for split, of in self.splits.items()
        }

    @functools.cached_property
    def inputs(self) -> dict[int, NormalScores | None]:
        """split -> the map of the inputs, which no gradient changes."""
        return {split: self._fitted_inputs(split) for split in self.splits}

    def _fitted_inputs(self, split: int) -> NormalScores | None:
        network = initial(self.experiment, self._card(split))
        inputs = network.inputs if isinstance(network, Layered) else None
        if isinstance(inputs, NormalScores):
            inputs.fit(self.rows[split][0].features)
            return inputs
        return None

    def open(self, ranks: Ranks, resume: Path | None) -> Engine:
        table = self._table(ranks.device)
        for member in self.members:
            self._check_weights(member, table)
        ensemble = ensemble_of(self.experiment.model)
        networks = [self._network(member) for member in self.members]
        return Batched(
            self._rule(networks[0]),
            networks,
            members=self.members,
            table=table,
            training=self.training,
            cross_fit=ensemble is not None and ensemble.spread == "fitted",
            resume=resume,
        )

    def _check_weights(self, member: Member, table: Table) -> None:
        """ValueError where none of the rows that a network trains on, or stops early by, counts."""
        weight = table.weight[table.place[member.split]].cpu().numpy()
        for rows, done in ((member.train, "trains on"), (member.valid, "stops early by")):
            if not weight[rows].any():
                raise ValueError(
                    f"split {member.split}: all rows that member {member.index} {done} weigh 0; give them weights, "
                    "take fewer model.posterior.folds, or leave task.source.weights out"
                )

    def _rule(self, template: nn.Module) -> StackedRule:
        if isinstance(self.experiment.model, TAGI):
            return ClosedForm(template)
        return StackedGradient(template, objective(self.experiment.objective))

    def _network(self, member: Member) -> nn.Module:
        """A network with its initial weights, without the map of its inputs."""
        card = self._card(member.split)
        model = seeded(member.stream, lambda: initial(self.experiment, card))
        if isinstance(model, Layered):
            model.inputs = None
        return model

    def _table(self, device: torch.device) -> Table:
        """Rows of all splits, training rows before validation rows, as the first layers see them."""
        features = {split: self._seen(split) for split in self.splits}
        targets = {split: pooled_target(*parts) for split, parts in self.rows.items()}
        longest = max(len(target) for target in targets.values())

        def filled(values: Tensor) -> Tensor:
            return torch.cat([values, values.new_zeros(longest - len(values), *values.shape[1:])])

        return Table(
            torch.stack([filled(of) for of in features.values()]).to(device),
            torch.stack([filled(of) for of in targets.values()]).to(device),
            torch.stack([filled(pooled_weight(*parts)) for parts in self.rows.values()]).to(device),
            {split: place for place, split in enumerate(self.splits)},
        )

    def _seen(self, split: int) -> Tensor:
        train, valid = self.rows[split]
        features = torch.from_numpy(np.concatenate([train.features, valid.features]))
        inputs = self.inputs[split]
        return features if inputs is None else inputs(features)

    def whole(self, cell: CellOf, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        inputs = self.inputs[cell.split]
        if inputs is None:
            return weights
        return weights | {f"inputs.{name}": tensor for name, tensor in inputs.state_dict().items()}


def members_of(experiment: Experiment, card: DatasetCard, cell: CellOf) -> list[Member]:
    """The networks of one cell; validation rows that are held out are none of theirs."""
    return members(
        experiment.model,
        seed=cell.seed,
        split=cell.split,
        train=card.rows["train"],
        valid=_own_validation_rows(experiment, card),
    )


def pooled_target(train: Rows, valid: Rows) -> Tensor:
    """Targets of the training rows, then of the validation rows."""
    return torch.from_numpy(np.concatenate([train.target, valid.target]))


def pooled_weight(train: Rows, valid: Rows) -> Tensor:
    """Weights of the training rows, then of the validation rows; 1 where all rows count alike."""
    weight = np.concatenate([np.ones(len(of)) if of.weight is None else of.weight for of in (train, valid)])
    return torch.from_numpy((weight / weight.max()).astype(np.float32))
