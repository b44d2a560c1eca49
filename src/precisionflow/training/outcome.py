"""Outcome of a cell's training as files: weights and posterior, history, model card."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.config.networks import ensemble_of, posterior_of
from precisionflow.config.posteriors import Ensemble, LaplaceApproximation, MonteCarloDropout
from precisionflow.config.tasks import SequenceClassification, Tagging
from precisionflow.config.training import Training
from precisionflow.data.batches import Rows
from precisionflow.data.streams import Stream, Use
from precisionflow.models.posteriors import dropout
from precisionflow.models.posteriors.build import fitted_laplace, fitted_last_layer, fitted_spread
from precisionflow.models.posteriors.last_layer import Taught
from precisionflow.models.posteriors.weights import Weights
from precisionflow.records.cards import DatasetCard, ModelCard, Vocabulary
from precisionflow.records.files import read_card, write_card, write_parquet
from precisionflow.records.schemas import ATTENTION_HISTORY, HISTORY, SETTLING
from precisionflow.results.code import code_version
from precisionflow.results.layout import PreparedSplit, TrainedCell
from precisionflow.training.batches import part_batches
from precisionflow.training.files import save_weights
from precisionflow.training.phases import PREFIX
from precisionflow.training.population import (
    CellOf,
    count_parameters,
    members_of,
    pooled_target,
    pooled_weight,
)
from precisionflow.training.standing import Entry, Outcome, numbered, table


@dataclass(frozen=True)
class Trained:
    """The networks of one cell."""

    cell: CellOf
    training: Training
    """Steps and batch size for its rows."""
    outcomes: Sequence[Outcome]
    weights: Sequence[dict[str, Tensor]]
    """Weights of each network, as its file holds them."""
    validation_rows: Sequence[int]
    out_of_fold: Sequence[Float[Tensor, "valid outputs"]]
    """Raw outputs of each network for its own validation rows; empty where the posterior needs none."""


def write_cell(experiment: Experiment, data: PreparedSplit, folder: Path, trained: Trained) -> None:
    """Write the cell's files into `folder`."""
    place, outcomes = TrainedCell(folder), trained.outcomes
    card = read_card(data.card, DatasetCard)
    save_weights(_weights(experiment, data, trained).tensors, place.weights)
    history = mean_history(outcomes)
    write_parquet(table(history, HISTORY), place.history, HISTORY)
    settling = [outcome.settling for outcome in outcomes]
    if any(settling):
        write_parquet(numbered(settling, SETTLING), place.settling, SETTLING)
    if any(outcome.attention for outcome in outcomes):
        write_parquet(_attention(outcomes, card.known), place.attention, ATTENTION_HISTORY)
    speed = [value for _, name, value in history if name == "seconds_per_step"]
    write_card(
        ModelCard(
            experiment=experiment,
            experiment_hash=experiment.hash,
            code_version=code_version("train"),
            source_sha256=card.source_sha256,
            seed=trained.cell.seed,
            split=trained.cell.split,
            parameters=count_parameters(experiment, card) * len(outcomes),
            steps=max(outcome.steps for outcome in outcomes),
            planned_steps=trained.training.steps,
            batch_size=trained.training.batch_size,
            validation_loss=float(
                np.average([outcome.loss for outcome in outcomes], weights=trained.validation_rows)
            ),
            seconds_per_step=float(np.median(speed)),
            profile={
                name.removeprefix(PREFIX): value for _, name, value in history if name.startswith(PREFIX)
            },
        ),
        place.card,
    )


def _attention(outcomes: Sequence[Outcome], known: Vocabulary) -> pa.Table:
    """A records.schemas.ATTENTION_HISTORY; an id that pieces of words share is named by its number."""
    name = dict(enumerate(known.tokens))
    named = [
        [(*row[:3], name.get(row.symbol, f"#{row.symbol}"), *row[4:]) for row in of.attention]
        for of in outcomes
    ]
    return numbered(named, ATTENTION_HISTORY)


def _weights(experiment: Experiment, data: PreparedSplit, trained: Trained) -> Weights:
    """Weights of the cell; those of an ensemble have a leading axis of members."""
    ensemble = ensemble_of(experiment.model)
    if ensemble is None:
        (network,) = trained.weights
        return Weights(network, _posterior(experiment, data, network, trained.cell))
    names = trained.weights[0]
    network = {name: torch.stack([one[name] for one in trained.weights]) for name in names}
    if ensemble.spread == "fitted":
        return Weights(network, _spread(experiment, ensemble, data, trained))
    return Weights(network)


def _posterior(
    experiment: Experiment, data: PreparedSplit, network: dict[str, Tensor], cell: CellOf
) -> dict[str, Tensor]:
    """What is believed beside trained weights; empty where they are taken as certain."""
    posterior = posterior_of(experiment.model)
    if isinstance(posterior, MonteCarloDropout):
        return dropout.as_tensor(Stream(*cell).number(Use.PREDICTION))
    if not isinstance(posterior, LaplaceApproximation):
        return {}
    card = read_card(data.card, DatasetCard)
    if isinstance(experiment.task, SequenceClassification | Tagging):
        batches = part_batches(experiment, data.part("train"))
        taught = (
            Taught(of.inputs, of.mask, of.target, None if of.counts is None else of.counts > 0)
            for of in batches
        )
        return fitted_last_layer(experiment, card, network, taught)
    rows = Rows.read(data.part("train"))
    features, target = torch.from_numpy(rows.features), torch.from_numpy(rows.target)
    return fitted_laplace(experiment, card, network, features, target, scope=posterior.weights)


def _spread(
    experiment: Experiment, ensemble: Ensemble, data: PreparedSplit, trained: Trained
) -> dict[str, Tensor]:
    """Factor on the spread of an ensemble, fitted on its members' outputs for their out-of-fold rows."""
    assert ensemble.folds is not None
    card = read_card(data.card, DatasetCard)
    members = members_of(experiment, card, trained.cell)
    raw = []
    for first in range(0, ensemble.members, ensemble.folds):
        cut = slice(first, first + ensemble.folds)
        rows = torch.from_numpy(np.concatenate([member.valid for member in members[cut]]))
        raw.append(torch.cat(list(trained.out_of_fold[cut]))[rows.argsort()])
    parts, used = (Rows.read(data.part("train")), Rows.read(data.part("valid"))), len(raw[0])
    target, weight = pooled_target(*parts)[:used], pooled_weight(*parts)[:used]
    return fitted_spread(experiment, raw, target, weight=weight, members=ensemble.members)


def mean_history(outcomes: Sequence[Outcome]) -> list[Entry]:
    """Means over the networks of a cell at every step that one of them reached; seconds are summed.

    A network that has stopped counts with its last value, and with no seconds.
    """
    last: list[dict[str, float]] = [{} for _ in outcomes]
    at: dict[int, list[tuple[int, str, float]]] = defaultdict(list)
    for network, outcome in enumerate(outcomes):
        for step, name, value in outcome.history:
            at[step].append((network, name, value))
    history: list[Entry] = []
    for step in sorted(at):
        for values in last:
            values["seconds_per_step"] = 0.0
        for network, name, value in at[step]:
            last[network][name] = value
        names = dict.fromkeys(name for _, name, _ in at[step])
        history += [(step, name, pooled(name, [values[name] for values in last])) for name in names]
    return history


def pooled(name: str, values: Sequence[float]) -> float:
    """Mean over the networks of a cell; of seconds the sum."""
    return sum(values) / (1 if name == "seconds_per_step" else len(values))
