"""A loss that is not finite: where it was met, in which layer, and the checkpoint that is left."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from precisionflow.config.training import Training
from precisionflow.training.checkpoint import Checkpoints
from precisionflow.training.engines.engine import Engine
from precisionflow.training.engines.not_finite import told
from precisionflow.training.ranks import Ranks
from precisionflow.training.schedule import last_validation
from precisionflow.training.standing import Standing

MOST_AGAIN = 100
"""Most steps that are taken again to find a layer."""
BEFORE_ANY = "no step was taken before it: change settings of the model or what it learns from"
"""Remedy of a first loss."""


class DivergedError(ValueError):
    """A loss that is not finite: every rank meets it at the same step."""

    def __init__(self, loss: str, *, network: int, step: int | None, found: str, left: str) -> None:
        """`loss` says which, where, and what to do; `found` what is not finite; `left` which checkpoint is.

        `step`: steps of the network before the one whose loss it is; none: the loss of a validation.
        """
        super().__init__(f"{loss} ({found}; {left})")
        self.loss, self.network, self.step, self.left = loss, network, step, left


def check_training(standing: Standing, ranks: Ranks, training: Training) -> tuple[int, int] | None:
    """Place of the network whose training loss was first not finite, and the steps before it; none: all are finite."""
    interval = standing.interval
    going, finite = standing.going(training.patience).tolist(), interval.finite_steps(ranks)
    broken = [(steps, place) for place, steps in enumerate(finite) if going[place] and steps < interval.steps]
    if not broken:
        return None
    steps, place = min(broken)
    return place, standing.step - interval.steps + steps


def diverged(
    engine: Engine,
    standing: Standing,
    *,
    place: int,
    step: int | None,
    loss: str,
    training: Training,
    checkpoints: Checkpoints,
    names: Sequence[str],
    remedy: str,
) -> DivergedError:
    """The error of the network at `place`, by what its weights are by now.

    Checkpoints that are newer than the last finite validation are dropped, so that the same training never goes on from
    them.
    """
    network, stop = standing.networks[place], standing.step
    found = told(engine.not_finite(place, step=None), step=stop)
    at = stop if step is None else step + 1
    return DivergedError(
        f"{loss} at step {at} of {names[network]}; {BEFORE_ANY if step == 0 else remedy}",
        network=network,
        step=step,
        found=found,
        left=left_of(last_validation(stop - 1, training), checkpoints),
    )


def left_of(validated: int, checkpoints: Checkpoints) -> str:
    """ "last finite validation: step 20; a checkpoint of step 20 is in ...", once all newer ones are dropped.

    `validated`: the step of that validation; 0: none.
    """
    kept = checkpoints.keep_good(validated)
    left = f"a checkpoint of step {kept[0]} is in {kept[1]}" if kept else "no checkpoint"
    return f"last finite validation: {f'step {validated}' if validated else 'none'}; {left}"


def seen_again(
    error: DivergedError, opened: Callable[[Path | None], Engine], checkpoints: Checkpoints
) -> DivergedError:
    """The error by the weights of the step whose loss it is, where these are at most MOST_AGAIN steps away.

    They are trained again by an engine that is `opened`, from the checkpoint that is left or from the start.
    """
    if error.step is None:
        return error
    resume = checkpoints.latest()
    standing = Standing.read(resume) if resume else None
    first = standing.step if standing else 0
    if error.step - first > MOST_AGAIN:
        return error
    with contextlib.closing(opened(resume and resume / "engine")) as engine:
        standing = standing or Standing.start(engine.count, measures=len(engine.measures))
        if error.step > first:
            engine.advance(first, error.step, standing.interval)
        layer = engine.not_finite(standing.networks.index(error.network), step=error.step)
    found = told(layer, step=error.step)
    return DivergedError(error.loss, network=error.network, step=error.step, found=found, left=error.left)
