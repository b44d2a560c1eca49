"""Where everything of a results folder lies."""

from pathlib import Path

from precisionflow.config import Experiment, digest

MARKER = "stage.json"


def checkpoint_folder(out: Path) -> Path:
    """Where an unfinished training run keeps its checkpoints: beside its output, so that they outlive a kill."""
    return out.with_name(f".{out.name}.checkpoint")


def data_folder(data: Path, experiment: Experiment, split: int) -> Path:
    """The prepared data of one split inside the `data` folder of a run: shared by all variants with the same task."""
    return data / f"{experiment.dataset}-{digest(experiment.task.model_dump(mode='json'))}" / f"split-{split}"


def cell_folder(root: Path, seed: int, split: int) -> Path:
    """The folder of one (seed, split) inside a variant's `model` or `evaluation` folder."""
    return root / f"seed-{seed}-split-{split}"
