"""Interrupted runs: what a test asks of the folder that a training run leaves."""

from collections.abc import Callable
from pathlib import Path

from precisionflow.config import Experiment
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import HISTORY
from precisionflow.results.layout import cell_folder, checkpoint_folder
from precisionflow.training.train import train

History = list[tuple[int, str, float]]


class Interruption(Exception):
    """Stands for whatever ends a run."""


def stop_at(step: int) -> Callable[..., None]:
    """A report that ends the run when the validation of `step` is done."""

    def report(_seed: int, _split: int, reported: int, _measured: dict[str, float]) -> None:
        if reported == step:
            raise Interruption

    return report


def interrupt(experiment: Experiment, data: Path, out: Path, *, step: int) -> None:
    """Train until the validation of `step`."""
    try:
        train(experiment, data=data, out=out, report=stop_at(step))
    except Interruption:
        return
    raise AssertionError(f"the run never came to step {step}")


def finish(experiment: Experiment, data: Path, out: Path) -> list[int]:
    """Train to the end; the steps that were reported."""
    reported: list[int] = []
    train(experiment, data=data, out=out, report=lambda _seed, _split, step, _measured: reported.append(step))
    return reported


def history(out: Path) -> History:
    """The history of seed 0, split 0 but for the times."""
    rows = read_parquet(cell_folder(out, 0, 0) / "history.parquet", HISTORY).to_pylist()
    return [tuple(row.values()) for row in rows if row["metric"] != "seconds_per_step"]


def result(out: Path) -> tuple[bytes, History]:
    """All that must not depend on interruptions: weights and history, bit for bit."""
    return (cell_folder(out, 0, 0) / "model.safetensors").read_bytes(), history(out)


def checkpoints(out: Path) -> list[int]:
    """Steps of the whole checkpoints of seed 0, split 0."""
    folder = checkpoint_folder(cell_folder(out, 0, 0))
    return sorted(int(path.name.removeprefix("step-")) for path in folder.glob("step-*") if not path.suffix)
