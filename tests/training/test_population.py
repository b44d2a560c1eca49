"""Which cells train at once: one by one, or as many networks as fit into memory."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from precisionflow.config import Experiment, overlay, resolve
from precisionflow.data.prepare import prepare
from precisionflow.data.streams import Use
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import cell_folder
from precisionflow.training import population
from precisionflow.training.population import (
    CellOf,
    SideBySide,
    Single,
    Stacked,
    count_parameters,
    groups,
)
from precisionflow.training.ranks import Ranks
from precisionflow.training.train import train

TREE: dict[str, Any] = {
    "name": "cells",
    "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "linnerud"}},
    "model": {"kind": "mlp", "hidden": [3]},
    "objective": {"kind": "gaussian_nll"},
    "splits": [0, 1],
    "seeds": [0, 1],
}
CELLS = [CellOf(seed, split) for split in (0, 1) for seed in (0, 1)]
PARAMETERS = 3 * 3 + 3 + 3 * 2 + 2
"""Three features, three hidden units, mean and log precision."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    prepare([resolve(TREE)], out=folder)
    return folder


def experiment(engine: str, **changes: Any) -> Experiment:
    engine_of = {"kind": engine, "device": "cpu"}
    return resolve(overlay(TREE, {"engine": engine_of} | changes))


ENSEMBLE = {"model.posterior": {"kind": "ensemble", "members": 5}}


@pytest.mark.parametrize(
    ("changes", "room", "sizes"),
    [
        ({}, 4 * PARAMETERS, [4]),
        ({}, 4 * PARAMETERS - 1, [3, 1]),
        ({}, 2 * PARAMETERS, [2, 2]),
        ({}, 1, [1, 1, 1, 1]),
        (ENSEMBLE, 10 * PARAMETERS, [2, 2]),
        (ENSEMBLE, 10 * PARAMETERS - 1, [1, 1, 1, 1]),
    ],
)
def test_batched_cells_are_as_many_as_there_is_room_for(changes, room, sizes, data, monkeypatch):
    monkeypatch.setattr(population, "MOST_NUMBERS", room)
    found = groups(experiment("batched", **changes), data, CELLS)
    assert [len(group) for group in found] == sizes
    assert [cell for group in found for cell in group] == CELLS


def test_single_networks_train_one_by_one_without_a_look_at_the_data(tmp_path):
    for engine in ("torch", "deepspeed"):
        assert groups(experiment(engine), tmp_path, CELLS) == [[cell] for cell in CELLS]


@pytest.mark.parametrize(
    ("engine", "model", "samples"),
    [
        ("torch", {"kind": "mlp"}, 16),
        ("batched", {"kind": "mlp"}, 16),
        ("batched", {"kind": "mlp", "posterior": {"kind": "ensemble", "members": 4, "folds": 4}}, 14),
    ],
)
def test_the_length_follows_the_rows_that_a_network_learns_from(engine, model, samples, data, tmp_path):
    """18 rows are no test rows, 2 of them validate; with four folds a member leaves out 4 or 5."""
    training = {"steps": 2, "epochs": 3, "batch_size": 5, "validate_every": 1, "learning_rate": 1e-3}
    whole = experiment(engine, model=model, training=training, splits=[0], seeds=[0])
    planned = math.ceil(3 * samples / 5)
    assert population.population(whole, data, [CellOf(0, 0)]).training.steps == planned
    train(whole, data=data, out=tmp_path)
    card = read_card(cell_folder(tmp_path, 0, 0) / "model.json", ModelCard)
    assert (card.steps, card.planned_steps, card.batch_size) == (planned, planned, 5)
    assert card.experiment.training.epochs == 3


def test_cells_of_unlike_many_steps_train_apart(data, monkeypatch):
    by_split = {0: 10, 1: 20}
    monkeypatch.setattr(population, "learned_from", lambda _experiment, card: by_split[card.split])
    found = groups(experiment("batched", training={"steps": 1, "epochs": 2, "batch_size": 1}), data, CELLS)
    assert found == [CELLS[:2], CELLS[2:]]


def test_members_side_by_side_are_those_of_the_batched_engine(data):
    """Each with the initial weights and the order of batches of (seed, split, member)."""
    torch_of_all, batched = (
        population.population(experiment(engine, **ENSEMBLE), data, CELLS[-1:])
        for engine in ("torch", "batched")
    )
    assert isinstance(torch_of_all, SideBySide)
    assert torch_of_all.cells == batched.cells == CELLS[-1:] * 5
    assert torch_of_all.validation_rows == [1] * 5
    assert torch_of_all.training == batched.training
    first = batched.open(Ranks(), None).program.weights["layers.0.0.weight"]
    opened = torch_of_all.open(Ranks(), None)
    assert opened.count == 5
    for member, engine in enumerate(opened.engines):
        assert torch.equal(engine.learner.model.layers[0][0].weight, first[member])
    assert [member.stream for member in torch_of_all.members] == [member.stream for member in batched.members]


@pytest.mark.parametrize("engine", ["torch", "batched"])
def test_no_cell_is_no_group(engine, tmp_path):
    assert groups(experiment(engine), tmp_path, []) == []


def test_every_network_starts_with_weights_and_batches_of_its_own(data):
    """Those of (seed, split, member), whatever the engine and the other networks."""
    ensembles = population.population(experiment("batched", **ENSEMBLE), data, CELLS)
    first = ensembles.open(Ranks(), None).program.weights["layers.0.0.weight"]
    assert len({tuple(network.flatten().tolist()) for network in first}) == 5 * len(CELLS)
    for index, cell in enumerate(CELLS):
        alone = Single(experiment("torch"), data, cell).open(Ranks(), None)
        assert torch.equal(alone.learner.model.layers[0][0].weight, first[5 * index])
    assert len({member.stream.number(Use.BATCHES) for member in ensembles.members}) == 5 * len(CELLS)


def test_networks_of_a_cell_stand_one_after_the_other(data):
    many = population.population(experiment("batched", **ENSEMBLE), data, CELLS)
    assert isinstance(many, Stacked)
    assert many.cells == [cell for cell in CELLS for _ in range(5)]
    assert len(many.validation_rows) == len(many.cells)
    one = population.population(experiment("torch"), data, CELLS[:1])
    assert isinstance(one, Single)
    assert one.cells == CELLS[:1]
    assert count_parameters(experiment("torch"), many._card(0)) == PARAMETERS
