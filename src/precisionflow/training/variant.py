"""All cells of a variant in one process: what trains together, and what each cell leaves behind."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from precisionflow import __version__
from precisionflow.config import Experiment, digest
from precisionflow.config.networks import TAGI, ensemble_of
from precisionflow.data.batches import Rows
from precisionflow.models.networks.build import build, features_of
from precisionflow.models.networks.inputs import NormalScores
from precisionflow.models.networks.layered import Layered
from precisionflow.models.posteriors import tagi
from precisionflow.models.posteriors.predictive import posterior_of, spread_of
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_card, write_card, write_parquet
from precisionflow.records.schemas import HISTORY
from precisionflow.results.cells import training_inputs
from precisionflow.results.identity import stage_key
from precisionflow.results.layout import (
    PARTS,
    PreparedSplit,
    TrainedCell,
    cell_folder,
    checkpoint_folder,
    data_folder,
)
from precisionflow.results.stage import finished_key, once
from precisionflow.training.checkpoint import Checkpoints, Progress, history_table, save_weights
from precisionflow.training.closed_form import ClosedFormProgram
from precisionflow.training.engine import pick_device
from precisionflow.training.engines.batched import Outcome, Program, Table
from precisionflow.training.members import Member, members
from precisionflow.training.ranks import Ranks

CellReport = Callable[[int, int, int, dict[str, float]], None]
"""(seed, split, step, measured values)."""
VERB = "train"
MOST_NUMBERS = 30_000_000
"""Weights of all networks that train at once; AdamW, averages and the best ones are five more of each."""


class Cells:
    """The unfinished cells of a variant and everything that their networks are made of."""

    def __init__(self, experiment: Experiment, data: Path, cells: Sequence[tuple[int, int]]) -> None:
        self.experiment = experiment
        self.cells = cells
        folders = {split: data_folder(data, experiment, split) for _, split in cells}
        self.cards = {
            split: read_card(PreparedSplit(folder).card, DatasetCard) for split, folder in folders.items()
        }
        parts = {
            split: [Rows.read(PreparedSplit(folder).part(part)) for part in PARTS[:2]]
            for split, folder in folders.items()
        }
        self.sizes = {split: (len(train), len(valid)) for split, (train, valid) in parts.items()}
        self.inputs = {split: self._fitted_inputs(split, train) for split, (train, _) in parts.items()}
        self.rows = {
            split: (
                self._seen(split, np.concatenate([train.features, valid.features])),
                _target(train, valid),
            )
            for split, (train, valid) in parts.items()
        }

    def _fitted_inputs(self, split: int, train: Rows) -> NormalScores | None:
        """The map of the inputs, of which nothing is learned by gradients."""
        network = initial(self.experiment, self.cards[split])
        inputs = network.inputs if isinstance(network, Layered) else None
        if isinstance(inputs, NormalScores):
            inputs.fit(train.features)
            return inputs
        return None

    def _seen(self, split: int, features: np.ndarray) -> Tensor:
        tensor, inputs = torch.from_numpy(features), self.inputs[split]
        return tensor if inputs is None else inputs(tensor)

    def table(self, device: torch.device) -> Table:
        """Rows of all splits, training rows before validation rows, as the first layers see them."""
        longest = max(len(target) for _, target in self.rows.values())

        def filled(values: Tensor) -> Tensor:
            return torch.cat([values, values.new_zeros(longest - len(values), *values.shape[1:])])

        return Table(
            torch.stack([filled(features) for features, _ in self.rows.values()]).to(device),
            torch.stack([filled(target) for _, target in self.rows.values()]).to(device),
            {split: place for place, split in enumerate(self.rows)},
        )

    def members(self) -> list[Member]:
        """The networks of all cells, those of a cell one after the other."""
        found = []
        for seed, split in self.cells:
            train, valid = self.sizes[split]
            found += members(self.experiment.model, seed=seed, split=split, train=train, valid=valid)
        return found

    def network(self, member: Member) -> nn.Module:
        """A network with its initial weights, without the map of its inputs."""
        torch.manual_seed(member.stream)
        model = initial(self.experiment, self.cards[member.split])
        if isinstance(model, Layered):
            model.inputs = None
        return model


def initial(experiment: Experiment, card: DatasetCard) -> nn.Module:
    """A network, or beliefs about one, before any data."""
    if isinstance(experiment.model, TAGI):
        return tagi.BeliefNetwork(tagi.sizes(experiment.model, features_of(card)))
    return build(experiment, card)


def _target(train: Rows, valid: Rows) -> Tensor:
    return torch.from_numpy(np.concatenate([train.target, valid.target]))


def train_variant(experiment: Experiment, *, data: Path, out: Path, report: CellReport) -> None:
    """Train every unfinished (seed, split) of a resolved experiment at once; `out` gets one folder for each."""
    keys = {
        (seed, split): training_inputs(experiment, data=data, seed=seed, split=split)
        for split in experiment.splits
        for seed in experiment.seeds
    }
    missing = [
        cell for cell, key in keys.items() if finished_key(cell_folder(out, *cell)) != stage_key(VERB, key)
    ]
    for group in _groups(experiment, data, missing):
        identity = digest([stage_key(VERB, keys[cell]) for cell in group])
        checkpoints = Checkpoints(checkpoint_folder(out / "together"), key=identity, ranks=Ranks())
        trained: dict[tuple[int, int], list[Outcome]] = {}
        with checkpoints.held():
            for cell in group:

                def work(
                    folder: Path,
                    *,
                    cell: tuple[int, int] = cell,
                    group: list[tuple[int, int]] = group,
                    trained: dict[tuple[int, int], list[Outcome]] = trained,
                    checkpoints: Checkpoints = checkpoints,
                ) -> None:
                    if not trained:
                        trained |= _train(Cells(experiment, data, group), checkpoints, report)
                    _write(experiment, data, folder, trained[cell], seed=cell[0], split=cell[1])

                once(cell_folder(out, *cell), verb=VERB, inputs=keys[cell], work=work)


def _groups(experiment: Experiment, data: Path, cells: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Cells in groups that fit into memory."""
    if not cells:
        return []
    card = read_card(PreparedSplit(data_folder(data, experiment, cells[0][1])).card, DatasetCard)
    ensemble = ensemble_of(experiment.model)
    each = _count(initial(experiment, card)) * (ensemble.members if ensemble else 1)
    size = max(1, MOST_NUMBERS // each)
    return [cells[first : first + size] for first in range(0, len(cells), size)]


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _train(
    cells: Cells, checkpoints: Checkpoints, report: CellReport
) -> dict[tuple[int, int], list[Outcome]]:
    """(seed, split) -> what its networks came to."""
    experiment, every = cells.experiment, cells.members()
    ensemble = ensemble_of(experiment.model)
    networks = [cells.network(member) for member in every]
    kind = ClosedFormProgram if isinstance(experiment.model, TAGI) else Program
    program = kind(
        networks[0],
        networks,
        members=every,
        table=cells.table(pick_device(experiment.engine)),
        objective=experiment.objective,
        training=experiment.training,
        held_out=ensemble is not None and ensemble.spread == "fitted",
    )
    resume = checkpoints.latest()
    if resume:
        program.load(resume / "engine")

    def tell(step: int, networks: list[int], measured: dict[str, Tensor]) -> None:
        values: dict[tuple[int, int], list[int]] = defaultdict(list)
        for position, network in enumerate(networks):
            values[every[network].seed, every[network].split].append(position)
        for (seed, split), positions in values.items():
            means = {name: float(of[positions].mean()) for name, of in measured.items()}
            report(seed, split, step, means)

    def checkpoint() -> None:
        checkpoints.save(Progress(step=program.state.step), program.save)

    found: dict[tuple[int, int], list[Outcome]] = defaultdict(list)
    for member, outcome in zip(every, program.train(report=tell, checkpoint=checkpoint), strict=True):
        if cells.inputs[member.split] is not None:
            outcome.weights |= {
                f"inputs.{name}": tensor
                for name, tensor in cells.inputs[member.split].state_dict().items()  # type: ignore[union-attr]
            }
        found[member.seed, member.split].append(outcome)
    return found


def _write(
    experiment: Experiment, data: Path, folder: Path, outcomes: list[Outcome], *, seed: int, split: int
) -> None:
    ensemble = ensemble_of(experiment.model)
    weights = (
        {name: torch.stack([outcome.weights[name] for outcome in outcomes]) for name in outcomes[0].weights}
        if ensemble
        else outcomes[0].weights
    )
    folder_of_data = data_folder(data, experiment, split)
    card = read_card(PreparedSplit(folder_of_data).card, DatasetCard)
    every = _members_of(experiment, card, seed=seed, split=split)
    if ensemble and ensemble.spread == "fitted":
        posterior = _fitted_spread(experiment, folder_of_data, every, outcomes)
    else:
        posterior = fitted_posterior(experiment, folder_of_data, weights=weights)
    save_weights(weights | posterior, TrainedCell(folder).weights)
    history = _mean_history(outcomes)
    write_parquet(history_table(history), TrainedCell(folder).history, HISTORY)
    rows = [len(member.valid) for member in every]
    speed = [value for _, name, value in history if name == "seconds_per_step"]
    write_card(
        ModelCard(
            experiment=experiment,
            experiment_hash=experiment.hash,
            code_version=__version__,
            seed=seed,
            split=split,
            parameters=_count(initial(experiment, card)) * len(outcomes),
            steps=max(outcome.steps for outcome in outcomes),
            validation_loss=float(np.average([outcome.loss for outcome in outcomes], weights=rows)),
            seconds_per_step=float(np.median(speed)),
        ),
        TrainedCell(folder).card,
    )


def fitted_posterior(experiment: Experiment, data: Path, *, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """What is believed about trained weights, from the training rows in `data`; empty where they are certain."""
    if experiment.task.kind != "regression":
        return {}
    rows = Rows.read(PreparedSplit(data).part("train"))
    card = read_card(PreparedSplit(data).card, DatasetCard)
    features, target = torch.from_numpy(rows.features), torch.from_numpy(rows.target)
    return posterior_of(experiment, card, weights, features, target)


def _fitted_spread(
    experiment: Experiment, data: Path, members: Sequence[Member], outcomes: Sequence[Outcome]
) -> dict[str, Tensor]:
    """The factor on the spread of an ensemble, from what its members state about the rows that they left out."""
    ensemble = ensemble_of(experiment.model)
    assert ensemble is not None
    assert ensemble.folds is not None
    train, valid = (Rows.read(PreparedSplit(data).part(part)) for part in PARTS[:2])
    raw = []
    for first in range(0, ensemble.members, ensemble.folds):
        cut = slice(first, first + ensemble.folds)
        rows = torch.from_numpy(np.concatenate([member.valid for member in members[cut]]))
        stated = [outcome.held_out for outcome in outcomes[cut] if outcome.held_out is not None]
        raw.append(torch.cat(stated)[rows.argsort()])
    return spread_of(experiment, raw, _target(train, valid))


def _members_of(experiment: Experiment, card: DatasetCard, *, seed: int, split: int) -> list[Member]:
    return members(
        experiment.model, seed=seed, split=split, train=card.rows["train"], valid=card.rows["valid"]
    )


def _mean_history(outcomes: Sequence[Outcome]) -> list[tuple[int, str, float]]:
    """Means over the networks of a cell at the steps that all of them reached; seconds are summed."""
    values: dict[tuple[int, str], list[float]] = defaultdict(list)
    for outcome in outcomes:
        for step, name, value in outcome.history:
            values[step, name].append(value)
    return [
        (step, name, sum(of) / (1 if name == "seconds_per_step" else len(of)))
        for (step, name), of in values.items()
        if len(of) == len(outcomes)
    ]
