"""Output for the user: lines of progress, a bar while training in a terminal, one line for a mistake."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from precisionflow.config import Experiment

ERROR = "precisionflow: error: "
"""Beginning of the line that says why a process ends."""


def say(line: str) -> None:
    """One line of progress on standard output, at once."""
    print(f"precisionflow: {line}", flush=True)


def fail(message: str, *, code: int = 2) -> NoReturn:
    """End the process with one line on standard error; exit code 2: the user's mistake, 3: the cluster's."""
    print(f"{ERROR}{' '.join(message.split())}", file=sys.stderr, flush=True)
    sys.exit(code)


def explain(error: ValueError | OSError | MemoryError) -> str:
    """A user's mistake, a full disk or too little memory: what, where, what to do."""
    match error:
        case ValueError():
            return str(error)
        case MemoryError():
            return f"not enough memory ({error}); make training.batch_size or the model smaller"
        case _:
            where = f"{error.filename}: " if error.filename else ""
            return f"{where}{error.strerror or error}; mend that and run again, finished stages are kept"


def title(experiment: "Experiment") -> str:
    """What progress lines call a variant."""
    return f"{experiment.name} {experiment.dataset} {experiment.variant}"


@contextlib.contextmanager
def training_progress(
    experiment: "Experiment",
) -> Iterator[Callable[[int, int, int, dict[str, float]], None]]:
    """A function that is called with (seed, split, step, measured values) at every validation."""
    steps = experiment.training.known_steps
    of_all = "" if steps is None else f"/{steps}"
    if (
        not sys.stdout.isatty() or "OMPI_COMM_WORLD_RANK" in os.environ
    ):  # mpirun's ranks have a terminal nobody sees
        yield (
            lambda seed, split, step, measured: (
                say(
                    f"train {title(experiment)} seed {seed} split {split}: step {step}{of_all}, {_measured(measured)}"
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
        TextColumn(f"{{task.completed}}{of_all} {{task.fields[measured]}}"),
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
    return f"train loss {measured['train_loss']:.4g}, validation loss {measured['validation_loss']:.4g}"


def _tenth(step: int, experiment: "Experiment") -> bool:
    """Whether a plain line is due: at most ten a run."""
    every = experiment.training.validate_every
    validations = max(1, experiment.training.steps // every)
    return (step // every) % max(1, validations // 4) == 0
