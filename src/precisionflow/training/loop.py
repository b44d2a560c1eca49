"""The training loop of every engine: steps, validation, early stopping, checkpoints, progress."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from precisionflow.config.training import Training
from precisionflow.inference.predictive_coding.settle import Unsettled
from precisionflow.training.checkpoint import Checkpoints
from precisionflow.training.divergence import DivergedError, check_training, diverged, left_of
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

    `names` are those of the networks in messages. DivergedError with the `remedy` for a loss that is not finite,
    Unsettled for an energy that settling raised; both name the checkpoint that is left.
    """
    stated = functools.partial(
        diverged, engine, standing, training=training, checkpoints=checkpoints, names=names, remedy=remedy
    )
    try:
        _steps(
            engine, standing, stated, training=training, ranks=ranks, checkpoints=checkpoints, report=report
        )
    except Unsettled as error:
        raise Unsettled(f"{error} ({left_of(standing.validated, checkpoints)})") from None
    if standing.networks:
        _leave(engine, standing, torch.ones(len(standing.networks), dtype=torch.bool), training=training)
    return standing


def _steps(
    engine: Engine,
    standing: Standing,
    stated: Callable[..., DivergedError],
    *,
    training: Training,
    ranks: Ranks,
    checkpoints: Checkpoints,
    report: Report,
) -> None:
    """Steps, validations and checkpoints up to the last step, or until all networks have stopped."""
    while standing.networks and standing.step < training.steps:
        stop = next_stop(standing.step, training)
        engine.advance(standing.step, stop, standing.interval)
        standing.step = stop
        if broken := check_training(standing, ranks, training):
            place, step = broken
            raise stated(place=place, step=step, loss="training loss is not finite")
        for network, found in zip(standing.networks, engine.profiled(), strict=False):
            standing.outcomes[network].history += [(stop, *entry) for entry in found.items()]
        if monitor_due(stop, training):
            _monitor(engine, standing)
        if validation_due(stop, training):
            measured = _validate(engine, standing, training=training, ranks=ranks)
            going = standing.going(training.patience).tolist()
            for place, loss in enumerate(measured["validation_loss"].tolist()):
                if going[place] and not math.isfinite(loss):
                    raise stated(place=place, step=None, loss=f"validation loss is {loss}")
            engine.keep(standing.judge(measured["validation_loss"], patience=training.patience))
            if ranks.first:
                report(stop, standing.networks, measured)
            _let_go(engine, standing, training=training)
        if checkpoint_due(stop, training) and standing.networks:
            checkpoints.save(standing, engine.save, validated=last_validation(stop, training))


def _validate(engine: Engine, standing: Standing, *, training: Training, ranks: Ranks) -> Measured:
    """Measure every network and extend its history."""
    means, seconds = standing.interval.means(ranks)
    going = standing.going(training.patience)
    losses = engine.validate(going)
    measured = dict(zip(engine.measures, means.unbind(dim=1), strict=True))
    measured["seconds_per_step"] = torch.full_like(losses, seconds)
    measured["validation_loss"] = losses
    _record(standing, measured, going.tolist())
    standing.interval = Interval.empty(len(standing.networks), len(engine.measures))
    return measured


def _monitor(engine: Engine, standing: Standing) -> None:
    """Extend every network's history by what is seen of the batch that comes next."""
    for network, seen in zip(standing.networks, engine.monitored(standing.step), strict=False):
        standing.outcomes[network].history += seen.entries(standing.step)
        standing.outcomes[network].settling += seen.layers
    for network, rows in zip(standing.networks, engine.attended(standing.step), strict=False):
        standing.outcomes[network].attention += rows


def _record(standing: Standing, measured: Measured, going: Sequence[bool]) -> None:
    """What a network that has stopped would measure is none of its outcome, and may be no number."""
    for place, network in itertools.compress(enumerate(standing.networks), going):
        entries = [(standing.step, name, float(values[place])) for name, values in measured.items()]
        standing.outcomes[network].history += entries


def _let_go(engine: Engine, standing: Standing, *, training: Training) -> None:
    """Take out the stopped networks, once they are so many that the others gain by it."""
    stopped = ~standing.going(training.patience)
    if stopped.sum() > (1 - STILL_RUNNING) * len(stopped) or stopped.all():
        _leave(engine, standing, stopped, training=training)


def _leave(engine: Engine, standing: Standing, gone: Tensor, *, training: Training) -> None:
    engine.leave(gone)
    standing.leave(gone, patience=training.patience, validate_every=training.validate_every)
