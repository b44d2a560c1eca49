"""The training loop: steps, validation, early stopping, checkpoints, progress."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from precisionflow.config.training import Training
from precisionflow.training.batches import Batch
from precisionflow.training.checkpoint import Checkpoints, Interval, Progress
from precisionflow.training.engine import Engine
from precisionflow.training.ranks import Ranks

Report = Callable[[int, dict[str, float]], None]
"""(step, measured values): called on the first rank at every validation."""


ONE_CYCLE_RISE = 0.1
"""Share of the steps in which the one-cycle schedule rises."""


class Fitted(NamedTuple):
    """A finished run."""

    weights: dict[str, Tensor]
    """On the first rank."""
    progress: Progress
    seconds_per_step: float
    """Median over validation intervals."""


def learning_rate(step: int, training: Training) -> float:
    """Linear warm-up from 0, then constant, or a cosine to a tenth of the peak at the last step.

    one_cycle: f = step / steps; f / 0.1 of the peak up to f = 0.1, then (1 + cos(pi (f - 0.1) / 0.9)) / 2 of it.
    """
    if training.schedule == "one_cycle":
        share = step / training.steps
        rising = share < ONE_CYCLE_RISE
        fallen = 0.5 * (1 + math.cos(math.pi * (share - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE)))
        return training.learning_rate * (share / ONE_CYCLE_RISE if rising else fallen)
    if step < training.warmup_steps:
        return training.learning_rate * (step + 1) / training.warmup_steps
    if training.schedule == "constant":
        return training.learning_rate
    done = (step - training.warmup_steps) / max(1, training.steps - training.warmup_steps - 1)
    return training.learning_rate * (0.55 + 0.45 * math.cos(math.pi * min(1.0, done)))


def fit(
    engine: Engine,
    *,
    training: Training,
    batch: Callable[[int], Batch],
    valid: Sequence[Batch],
    ranks: Ranks,
    checkpoints: Checkpoints,
    progress: Progress,
    report: Report,
) -> Fitted:
    """Train from `progress.step` to the end; the same result whether or not the run was interrupted."""
    checkpoint_every = training.checkpoint_every or math.ceil(training.steps / 10)
    while progress.step < training.steps and not _stopped(progress, training):
        start = time.perf_counter()
        taught = engine.step(batch(progress.step), learning_rate(progress.step, training))
        progress.step += 1
        progress.interval.add(taught.loss, taught.energy, time.perf_counter() - start)
        if progress.step % training.validate_every == 0 or progress.step == training.steps:
            measured = _close(progress.interval, ranks)
            measured["validation_loss"] = validation_loss(engine, valid, ranks=ranks)
            _record(progress, measured, engine, keep_best=training.patience is not None)
            if ranks.first:
                report(progress.step, measured)
        if progress.step % checkpoint_every == 0 and progress.step < training.steps:
            checkpoints.save(progress, engine.save)
    weights = progress.best if training.patience is not None else engine.weights()
    seconds = [value for _, name, value in progress.history if name == "seconds_per_step"]
    return Fitted(weights, progress, statistics.median(seconds))


def validation_loss(engine: Engine, valid: Sequence[Batch], *, ranks: Ranks) -> float:
    """Mean loss over all validation samples, in nats; ranks take batches in turn, all of them the same number."""
    total = torch.zeros(2, dtype=torch.float64, device=ranks.device)
    for first in range(0, len(valid), ranks.count):
        index = first + ranks.index
        losses = engine.losses(valid[min(index, len(valid) - 1)].to(ranks.device)).double()
        if index < len(valid):
            total += torch.stack(
                [losses.sum(), torch.tensor(float(losses.numel()), device=ranks.device).double()]
            )
    loss, count = ranks.sum(total).tolist()
    return float(loss / count)


def _stopped(progress: Progress, training: Training) -> bool:
    return training.patience is not None and progress.stale >= training.patience


def _record(progress: Progress, measured: dict[str, float], engine: Engine, *, keep_best: bool) -> None:
    progress.history += [(progress.step, name, value) for name, value in measured.items()]
    progress.interval = Interval()
    loss = measured["validation_loss"]
    if not math.isfinite(loss):
        raise ValueError(
            f"validation loss is {loss} at step {progress.step}; "
            "lower training.learning_rate or training.gradient_clip"
        )
    if loss < progress.best_loss:
        progress.best_loss, progress.best_step, progress.stale = loss, progress.step, 0
        if keep_best:
            progress.best = engine.weights()
    else:
        progress.stale += 1


def _close(interval: Interval, ranks: Ranks) -> dict[str, float]:
    """Means over the interval's steps and over ranks."""
    start = time.perf_counter()
    loss, energy = interval.sums.tolist()
    seconds = interval.seconds + time.perf_counter() - start
    sums = ranks.sum(torch.tensor([loss, energy, seconds], dtype=torch.float64, device=ranks.device))
    names = ("train_loss", "energy", "seconds_per_step")
    return dict(zip(names, (sums / (ranks.count * interval.steps)).tolist(), strict=True))
