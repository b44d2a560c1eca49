"""Progress of training: a bar in a terminal, plain lines elsewhere."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from precisionflow.config import Experiment


def say(line: str) -> None:
    """One line of progress on standard output, at once."""
    print(f"precisionflow: {line}", flush=True)


def title(experiment: Experiment) -> str:
    """What progress lines call a variant."""
    return f"{experiment.name} {experiment.dataset} {experiment.variant}"


@contextlib.contextmanager
def training_progress(experiment: Experiment) -> Iterator[Callable[[int, int, int, dict[str, float]], None]]:
    """A function that is called with (seed, split, step, measured values) at every validation."""
    steps = experiment.training.steps
    if not sys.stdout.isatty():
        yield (
            lambda seed, split, step, measured: (
                say(
                    f"train {title(experiment)} seed {seed} split {split}: step {step}/{steps}, {_measured(measured)}"
                )
                if step == steps or _tenth(step, experiment)
                else None
            )
        )
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} {task.fields[measured]}"),
    )
    with Progress(*columns, TimeRemainingColumn()) as bars:
        tasks: dict[tuple[int, int], object] = {}

        def update(seed: int, split: int, step: int, measured: dict[str, float]) -> None:
            key = (seed, split)
            if key not in tasks:
                tasks[key] = bars.add_task(
                    f"{title(experiment)} seed {seed} split {split}", total=steps, measured=""
                )
            bars.update(tasks[key], completed=step, measured=_measured(measured))  # type: ignore[arg-type]

        yield update


def _measured(measured: dict[str, float]) -> str:
    return f"train loss {measured['train_loss']:.3f}, validation loss {measured['validation_loss']:.3f}"


def _tenth(step: int, experiment: Experiment) -> bool:
    """Whether a plain line is due: at most ten a run."""
    every = experiment.training.validate_every
    validations = max(1, experiment.training.steps // every)
    return (step // every) % max(1, validations // 4) == 0
