"""The cells of a variant: what determines each of them, and whether they are all there; free of torch."""

from pathlib import Path
from typing import Any

from precisionflow.config import Experiment
from precisionflow.stage import cell_folder, data_folder, finished_key, input_key, stage_key

Inputs = dict[str, Any]


def training_identity(experiment: Experiment) -> Inputs:
    """What determines a cell's weights: not the other seeds, the evaluation, the names, the device, the ranks."""
    used = {"task", "model", "objective", "learning", "training", "engine"}
    irrelevant = {"training": {"checkpoint_every"}, "engine": {"ranks", "nodes", "device"}}
    return experiment.model_dump(mode="json", include=used, exclude=irrelevant)


def training_inputs(experiment: Experiment, *, data: Path, seed: int, split: int) -> Inputs:
    """Inputs of `stage.once` for a trained cell; `data` is the folder of all prepared data."""
    prepared = input_key(data_folder(data, experiment, split))
    return {"experiment": training_identity(experiment), "data": prepared, "seed": seed, "split": split}


def evaluation_inputs(experiment: Experiment, *, data: Path, model: Path, seed: int, split: int) -> Inputs:
    """Inputs of `stage.once` for an evaluated cell; `model` is the variant's folder."""
    return {
        "data": input_key(data_folder(data, experiment, split)),
        "model": input_key(cell_folder(model, seed, split)),
        "evaluation": experiment.evaluation.model_dump(mode="json"),
        "cell": [experiment.name, experiment.variant, experiment.dataset, seed, split],
    }


def all_trained(experiment: Experiment, *, data: Path, out: Path) -> bool:
    """Whether every cell in `out` is finished; ValueError when its data is not prepared."""
    return all(
        finished_key(cell_folder(out, seed, split))
        == stage_key("train", training_inputs(experiment, data=data, seed=seed, split=split))
        for split in experiment.splits
        for seed in experiment.seeds
    )


def all_evaluated(experiment: Experiment, *, data: Path, model: Path, out: Path) -> bool:
    """Whether every cell in `out` is finished; ValueError when its data or its model is not."""
    return all(
        finished_key(cell_folder(out, seed, split))
        == stage_key(
            "evaluate", evaluation_inputs(experiment, data=data, model=model, seed=seed, split=split)
        )
        for split in experiment.splits
        for seed in experiment.seeds
    )
