"""Output for the user: lines of progress, a bar while training in a terminal, one line for a mistake."""

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from precisionflow.config import Experiment

ERROR = "precisionflow: error: "
"""Beginning of the line that says why a process ends."""


def say(line: str) -> None:
    """One line of progress on standard output, at once."""
    print(f"precisionflow: {line}", flush=True)


def note(line: str) -> None:
    """One line for the user on standard error, beside what a command prints."""
    print(f"precisionflow: {line}", file=sys.stderr, flush=True)


def fail(message: str, *, code: int = 2) -> NoReturn:
    """End the process with one line on standard error; exit code 2: the user's mistake, 3: the cluster's."""
    print(f"{ERROR}{' '.join(line.strip() for line in message.splitlines())}", file=sys.stderr, flush=True)
    sys.exit(code)


AGAIN = "mend that and run again, finished stages are kept"
"""End of the line about a file, a disk or a network: what may well hold at the next try."""


def explain(error: ValueError | OSError | MemoryError) -> str:
    """A user's mistake, a full disk or too little memory: what, where, what to do."""
    match error:
        case ValueError():
            return str(error)
        case MemoryError():
            return f"not enough memory ({error}); make training.batch_size or the model smaller"
        case _:
            where = f"{error.filename}: " if error.filename else ""
            return f"{where}{error.strerror or error}; {AGAIN}"


def title(experiment: "Experiment") -> str:
    """What progress lines call a variant."""
    return f"{experiment.name} {experiment.dataset} {experiment.variant}"


def duration(seconds: float) -> str:
    """ "48 s", "12 min", "5 h 10 min": a time in two digits or so."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


Report = Callable[[int, int, int, dict[str, float]], None]
"""Called with (seed, split, step, measured values) at every validation."""


@contextlib.contextmanager
def training_progress(experiment: "Experiment") -> Iterator[Report]:
    """A report of training: in a terminal one bar for the variant, elsewhere one line for each seed and split."""
    if (
        sys.stdout.isatty() and "OMPI_COMM_WORLD_RANK" not in os.environ
    ):  # nobody sees the terminal of mpirun's ranks
        with _bar(experiment) as report:
            yield report
        return
    lines = CellLines(experiment)
    yield lines.report
    lines.end()


class CellLines:
    """One line for each seed and split when it is done, and in between one at most every `PAUSE` seconds."""

    PAUSE = 30.0

    def __init__(self, experiment: "Experiment") -> None:
        self.experiment = experiment
        self.latest: dict[tuple[int, int], tuple[int, str]] = {}
        """Cells that train, with what was measured last."""
        self.told: dict[tuple[int, int], int] = {}
        """Cells of which a line was told, with its step."""
        self.said = time.monotonic()

    def report(self, seed: int, split: int, step: int, measured: dict[str, float]) -> None:
        """Cells that train at once reach each step together, so one that is further than a new one is done."""
        cell = seed, split
        if cell not in self.latest:
            for other in [other for other, (reached, _) in self.latest.items() if reached > step]:
                self._close(other)
                del self.latest[other]
        self.latest[cell] = step, _measured(measured)
        if step != _known_steps(self.experiment) and time.monotonic() - self.said > self.PAUSE:
            self._say(cell)

    def end(self) -> None:
        """The lines of the cells that trained last."""
        for cell in self.latest:
            self._close(cell)

    def _close(self, cell: tuple[int, int]) -> None:
        """The line of a cell, unless its last step was told."""
        if self.told.get(cell) != self.latest[cell][0]:
            self._say(cell)

    def _say(self, cell: tuple[int, int]) -> None:
        (seed, split), (step, measured) = cell, self.latest[cell]
        where = f"{title(self.experiment)} seed {seed} split {split}"
        steps = _known_steps(self.experiment)
        say(f"train {where}: step {step}{'' if steps is None else f'/{steps}'}, {measured}")
        self.told[cell], self.said = step, time.monotonic()


@contextlib.contextmanager
def _bar(experiment: "Experiment") -> Iterator[Report]:
    """Steps of all cells of a variant as one bar."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    steps, cells = _known_steps(experiment), len(experiment.seeds) * len(experiment.splits)
    total = None if steps is None else steps * cells
    of_all = "" if total is None else f"/{total}"
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn(f"{{task.completed}}{of_all} {{task.fields[measured]}}", markup=False),
    )
    with Progress(*columns, TimeRemainingColumn()) as bars:
        task = bars.add_task(title(experiment), total=total, measured="")
        reached: dict[tuple[int, int], int] = {}

        def update(seed: int, split: int, step: int, measured: dict[str, float]) -> None:
            reached[seed, split] = step
            where = f"seed {seed} split {split}: {_measured(measured)}"
            bars.update(task, completed=sum(reached.values()), measured=where)

        yield update


def _measured(measured: dict[str, float]) -> str:
    losses = {name: measured[name] for name in ("train_loss", "validation_loss") if name in measured}
    return ", ".join(f"{name.replace('_', ' ')} {loss:.4g}" for name, loss in losses.items())


def _known_steps(experiment: "Experiment") -> int | None:
    """Steps of a cell where they are known before; a model from outside takes none of the optimiser's."""
    from precisionflow.config.external import External

    return None if isinstance(experiment.model, External) else experiment.training.known_steps


def command(*words: str | Path) -> str:
    """A line for a shell that can be pasted, whatever characters names and paths have."""
    return shlex.join(["precisionflow", *map(str, words)])
