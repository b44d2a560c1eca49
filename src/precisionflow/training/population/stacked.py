"""Networks of several cells as one batched program."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from precisionflow.config import Experiment
from precisionflow.config.networks import TAGI, ensemble_of
from precisionflow.data.batches import Rows
from precisionflow.models.likelihoods.objective import objective
from precisionflow.models.networks.inputs import NormalScores
from precisionflow.models.networks.layered import Layered
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import PreparedSplit, data_folder
from precisionflow.training.engines.batched import Batched, Table
from precisionflow.training.engines.engine import Engine
from precisionflow.training.members import Member, members
from precisionflow.training.population.cells import (
    CellOf,
    initial,
    learned_from,
    own_validation_rows,
    seeded,
)
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules.closed_form import ClosedForm
from precisionflow.training.rules.stacked import StackedRule
from precisionflow.training.rules.stacked_gradient import StackedGradient
from precisionflow.training.schedule import of_rows


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
        valid=own_validation_rows(experiment, card),
    )


def pooled_target(train: Rows, valid: Rows) -> Tensor:
    """Targets of the training rows, then of the validation rows."""
    return torch.from_numpy(np.concatenate([train.target, valid.target]))


def pooled_weight(train: Rows, valid: Rows) -> Tensor:
    """Weights of the training rows, then of the validation rows; 1 where all rows count alike."""
    weight = np.concatenate([np.ones(len(of)) if of.weight is None else of.weight for of in (train, valid)])
    return torch.from_numpy((weight / weight.max()).astype(np.float32))
