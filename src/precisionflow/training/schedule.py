"""Schedules: steps that follow the rows, the learning rate of a step, the steps of validations and checkpoints."""

import math
from typing import assert_never

from precisionflow.config.training import Training

ONE_CYCLE_RISE = 0.1
"""Share of the steps in which the one-cycle schedule rises."""


def of_rows(training: Training, rows: int) -> Training:
    """The settings for so many training rows: `epochs` as `steps` and `batch_size`.

    w = epochs * rows are to be seen. The batch becomes the smallest multiple b of batch_size with steps * b >= w, at
    most `largest_batch`; the steps become w / b, at least `steps` and at most `most_steps`.
    """
    if training.epochs is None:
        return training
    wanted, size = training.epochs * rows, training.batch_size
    multiple = min(math.ceil(wanted / (training.steps * size)), (training.largest_batch or size) // size)
    size *= max(1, multiple)
    needed = max(training.steps, math.ceil(wanted / min(size, rows)))
    fixed = {
        "steps": min(needed, training.most_steps or needed),
        "batch_size": size,
        "epochs": None,
        "most_steps": None,
        "largest_batch": None,
    }
    return Training.model_validate(training.model_dump() | fixed)


def share_of_peak(step: int, training: Training) -> float:
    """Learning rate of a step over the one that is configured.

    Linear warm-up from 0, then constant, or a cosine to a tenth at the last step, or constant and then linear to 0 over
    the last steps (warmup_stable_decay). one_cycle: f = step / steps; f / 0.1 up to f = 0.1, then
    (1 + cos(pi (f - 0.1) / 0.9)) / 2.
    """
    steps, warmup = training.steps, training.warmup_steps
    if training.schedule == "one_cycle":
        share = step / steps
        rising = share < ONE_CYCLE_RISE
        fallen = 0.5 * (1 + math.cos(math.pi * (share - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE)))
        return share / ONE_CYCLE_RISE if rising else fallen
    if step < warmup:
        return (step + 1) / warmup
    match training.schedule:
        case "constant":
            return 1.0
        case "cosine":
            done = (step - warmup) / max(1, steps - warmup - 1)
            return 0.55 + 0.45 * math.cos(math.pi * min(1.0, done))
        case "warmup_stable_decay":
            return min(1.0, (steps - step) / (training.decay_share * steps))
        case _:
            assert_never(training.schedule)


def share_of_average(step: int, decay: float) -> float:
    """Share of the weights after step `step` in their running mean: quick at the start, then 1 - decay."""
    return 1 - min(decay, (step + 1) / (step + 10))


def validation_due(step: int, training: Training) -> bool:
    """After every `validate_every` steps, and after the last."""
    return step % training.validate_every == 0 or step == training.steps


def last_validation(step: int, training: Training) -> int:
    """The step of the last validation that is due up to `step`; 0: none."""
    return step if step == training.steps else step - step % training.validate_every


def monitor_due(step: int, training: Training) -> bool:
    """After every `monitor_every` steps, and after the last; never without it."""
    every = training.monitor_every
    return every is not None and (step % every == 0 or step == training.steps)


def checkpoint_due(step: int, training: Training) -> bool:
    """After every `checkpoint_every` steps, by default a tenth of them, but not after the last."""
    return step % _checkpoint_every(training) == 0 and step < training.steps


def next_stop(step: int, training: Training) -> int:
    """The first step after `step` at which a validation, a record of settling or a checkpoint is due."""
    every = (
        training.validate_every,
        training.monitor_every or training.steps,
        _checkpoint_every(training),
    )
    return min(training.steps, *((step // interval + 1) * interval for interval in every))


def _checkpoint_every(training: Training) -> int:
    return training.checkpoint_every or math.ceil(training.steps / 10)
