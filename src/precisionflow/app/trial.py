"""One trial of a search: prepare and train a variant, print its validation metrics for Katib's collector."""

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from precisionflow import stages
from precisionflow.cluster.access.connection import inside
from precisionflow.cluster.access.names import WORKSPACE
from precisionflow.cluster.workspace.trainings import Training
from precisionflow.config import Experiment
from precisionflow.entrypoints import one_line_errors
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import HISTORY
from precisionflow.results.layout import TrainedCell, cell_folder
from precisionflow.search.metric_lines import print_metrics
from precisionflow.training.launch import launched


def run_trial(experiment: Experiment, *, out: Path | None, workspace: Path = Path(WORKSPACE)) -> None:
    """Train every (seed, split) of a variant; `metric=value` on a line of its own for each validation.

    A variant of one cell prints while it trains. With several cells, the means over them follow when all have trained,
    for the steps that every cell reached: a search must not mistake one cell for all. No test row is scored. In a pod
    that mounts the `workspace` a trial goes on where an earlier pod stopped, and prints what that had measured too.
    """
    if inside():
        signal.signal(signal.SIGTERM, _end_late)
    cells = [(seed, split) for split in experiment.splits for seed in experiment.seeds]
    with _results(out) as folder:
        data, artifact = folder / "data", folder / "model"
        with one_line_errors("prepare"):
            stages.prepare([experiment], out=data)
        with one_line_errors("train"), _kept(experiment, data, artifact, workspace) as model:
            begun_before = model.is_dir() and any(model.iterdir())
            stages.train(experiment, data=data, out=model, metrics=len(cells) == 1)
        if len(cells) == 1 and not begun_before:
            return
        if os.environ.get("PET_NODE_RANK", "0") == "0":
            histories = [TrainedCell(cell_folder(artifact, seed, split)).history for seed, split in cells]
            for measured in mean_curves(histories).values():
                print_metrics(measured, experiment)


def _kept(
    experiment: Experiment, data: Path, artifact: Path, workspace: Path
) -> contextlib.AbstractContextManager[Path]:
    """Where the trial trains; ranks that a TrainJob started have no place that outlives them."""
    if launched():
        return contextlib.nullcontext(artifact)
    return Training(experiment, data, workspace).in_this_pod(artifact)


COLLECTED_SECONDS = 3.0
"""Time that Katib's collector needs to report a trial that it stops; it ends when the trial does."""


def _end_late(number: int, _frame: object) -> None:
    time.sleep(COLLECTED_SECONDS)
    sys.exit(128 + number)


def mean_curves(histories: list[Path]) -> dict[int, dict[str, float]]:
    """Step -> metric -> mean over the histories, at the steps that all of them have."""
    values: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
    for file in histories:
        for row in read_parquet(file, HISTORY).to_pylist():
            values[row["step"], row["metric"]].append(row["value"])
    means: defaultdict[int, dict[str, float]] = defaultdict(dict)
    for (step, name), found in sorted(values.items()):
        if len(found) == len(histories):
            means[step][name] = sum(found) / len(found)
    return dict(means)


@contextlib.contextmanager
def _results(out: Path | None) -> Iterator[Path]:
    """`out`, where an interrupted trial goes on, or a folder that is removed."""
    if out:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="precisionflow-trial-") as folder:
        yield Path(folder)
