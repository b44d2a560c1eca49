"""The training loop of every engine: steps, validation, early stopping, checkpoints, progress."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from precisionflow.config.training import Training
from precisionflow.training.checkpoint import Checkpoints
from precisionflow.training.engines.engine import Engine
from precisionflow.training.ranks import Ranks
from precisionflow.training.schedule import (
    checkpoint_due,
    last_validation,
    monitor_due,
    next_stop,
    validation_due,
)
from precisionflow.training.standing import Interval, Standing

STILL_RUNNING = 0.8
"""Share of the networks: when fewer are still training, the others are taken out."""

Measured = dict[str, Tensor]
"""Metric -> value of each network, float64."""
Report = Callable[[int, Sequence[int], Measured], None]
"""(step, indices of the networks, what was measured of each): called on the first rank at every validation."""


class DivergedError(ValueError):
    """A loss that is not finite: every rank meets it at the same step."""


def train(
    engine: Engine,
    standing: Standing,
    *,
    training: Training,
    ranks: Ranks,
    checkpoints: Checkpoints,
    report: Report,
    names: Sequence[str],
    remedy: str,
) -> Standing:
    """Train from `standing.step` to the end; the same result whether or not the training was interrupted.

    `names` are those of the networks in messages. DivergedError with the `remedy` for a loss that is not finite.
    """
    while standing.networks and standing.step < training.steps:
        stop = next_stop(standing.step, training)
        engine.advance(standing.step, stop, standing.interval)
        standing.step = stop
        for network, found in zip(standing.networks, engine.profiled(), strict=False):
            standing.outcomes[network].history += [(stop, *entry) for entry in found.items()]
        if monitor_due(stop, training):
            _monitor(engine, standing)
        if validation_due(stop, training):
            measured = _validate(engine, standing, training=training, ranks=ranks)
            for place, loss in enumerate(measured["validation_loss"].tolist()):
                if not math.isfinite(loss):
                    where = f"validation loss is {loss} at step {stop} of {names[standing.networks[place]]}"
                    good = last_validation(stop - 1, training)
                    raise DivergedError(
                        f"{where}; {remedy} ({_found(engine, checkpoints, place, good=good)})"
                    )
            engine.keep(standing.judge(measured["validation_loss"], patience=training.patience))
            if ranks.first:
                report(stop, standing.networks, measured)
            _let_go(engine, standing, training=training)
        if checkpoint_due(stop, training) and standing.networks:
            checkpoints.save(standing, engine.save, validated=last_validation(stop, training))
    if standing.networks:
        _leave(engine, standing, torch.ones(len(standing.networks), dtype=torch.bool), training=training)
    return standing


def _validate(engine: Engine, standing: Standing, *, training: Training, ranks: Ranks) -> Measured:
    """Measure every network and extend its history."""
    means, seconds = standing.interval.means(ranks)
    going = standing.stale < (training.patience or math.inf)
    losses = engine.validate(going)
    measured = dict(zip(engine.measures, means.unbind(dim=1), strict=True))
    measured["seconds_per_step"] = torch.full_like(losses, seconds)
    measured["validation_loss"] = losses
    _record(standing, measured)
    standing.interval = Interval.empty(len(standing.networks), len(engine.measures))
    return measured


def _monitor(engine: Engine, standing: Standing) -> None:
    """Extend every network's history by what is seen of the batch that comes next."""
    for network, seen in zip(standing.networks, engine.monitored(standing.step), strict=False):
        standing.outcomes[network].history += seen.entries(standing.step)
        standing.outcomes[network].settling += seen.layers
    for network, rows in zip(standing.networks, engine.attended(standing.step), strict=False):
        standing.outcomes[network].attention += rows


def _record(standing: Standing, measured: Measured) -> None:
    for place, network in enumerate(standing.networks):
        entries = [(standing.step, name, float(values[place])) for name, values in measured.items()]
        standing.outcomes[network].history += entries


def _found(engine: Engine, checkpoints: Checkpoints, place: int, *, good: int) -> str:
    """Which layer of a network first gave what is not finite, and which checkpoint is left from `good` or before.

    All others are dropped, so that the same training never goes on from a later one. `good` is the step of the last
    finite validation.
    """
    layer = engine.not_finite(place)
    left = checkpoints.keep_good(good)
    kept = f"a checkpoint of step {left[0]} is in {left[1]}" if left else "no checkpoint"
    last = f"step {good}" if good else "none"
    return f"first output that is not finite: {layer or 'the loss'}; last finite validation: {last}; {kept}"


def _let_go(engine: Engine, standing: Standing, *, training: Training) -> None:
    """Take out the stopped networks, once they are so many that the others gain by it."""
    stopped = standing.stale >= (training.patience or math.inf)
    if stopped.sum() > (1 - STILL_RUNNING) * len(stopped) or stopped.all():
        _leave(engine, standing, stopped, training=training)


def _leave(engine: Engine, standing: Standing, gone: Tensor, *, training: Training) -> None:
    engine.leave(gone)
    standing.leave(gone, patience=training.patience, validate_every=training.validate_every)
