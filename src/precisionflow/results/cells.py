"""Cells of a variant, one for each seed and split: inputs of their stages, whether they are finished."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from precisionflow.config import Experiment, digest
from precisionflow.results.identity import Inputs, stage_key, task_identity, training_identity
from precisionflow.results.layout import cell_folder, data_folder
from precisionflow.results.stage import finished, input_key


def preparation_inputs(experiment: Experiment, *, source_sha256: str, split: int) -> Inputs:
    """Inputs of `stage.once` for the data of one split, whose source has these bytes."""
    return {"task": task_identity(experiment), "source_sha256": source_sha256, "split": split}


def training_inputs(experiment: Experiment, *, data: Path, seed: int, split: int) -> Inputs:
    """Inputs of `stage.once` for a trained cell; `data` is the folder of all prepared data."""
    prepared = input_key(data_folder(data, experiment, split))
    taught = digest(training_identity(experiment))
    return training_inputs_of(taught, prepared=prepared, seed=seed, split=split)


def training_inputs_of(taught: str, *, prepared: str, seed: int, split: int) -> Inputs:
    """Inputs of a trained cell, from the digest of what determines its weights and the key of its data."""
    return {"experiment": taught, "data": prepared, "seed": seed, "split": split}


def training_keys(experiment: Experiment, prepared: Mapping[int, str | None]) -> dict[tuple[int, int], str]:
    """(seed, split) -> key of the trained cell, of splits whose data have a key."""
    taught = digest(training_identity(experiment))
    return {
        (seed, split): stage_key("train", training_inputs_of(taught, prepared=key, seed=seed, split=split))
        for split, key in prepared.items()
        if key is not None
        for seed in experiment.seeds
    }


def splits_beside(experiment: Experiment, split: int) -> tuple[int, ...]:
    """Other splits whose networks predict rows that the recalibrations of a split's cells are fitted on."""
    if experiment.evaluation.held_out == "split":
        return ()
    return tuple(other for other in experiment.splits if other != split)


def evaluation_inputs(experiment: Experiment, *, data: Path, model: Path, seed: int, split: int) -> Inputs:
    """Inputs of `stage.once` for an evaluated cell; `model` is the variant's folder."""
    return evaluation_inputs_of(
        experiment,
        prepared=input_key(data_folder(data, experiment, split)),
        trained=input_key(cell_folder(model, seed, split)),
        beside=[input_key(cell_folder(model, seed, other)) for other in splits_beside(experiment, split)],
        seed=seed,
        split=split,
    )


def evaluation_inputs_of(
    experiment: Experiment, *, prepared: str, trained: str, beside: Sequence[str], seed: int, split: int
) -> Inputs:
    """Inputs of an evaluated cell, from the keys of its data, its model and the models of `splits_beside`."""
    others = {"beside": [*beside]} if beside else {}
    return others | {
        "data": prepared,
        "model": trained,
        "evaluation": experiment.evaluation.model_dump(mode="json"),
        "cell": [experiment.name, experiment.variant, experiment.dataset, seed, split],
    }


def all_trained(experiment: Experiment, *, data: Path, out: Path) -> bool:
    """Whether every cell in `out` is finished; ValueError when its data is not prepared."""
    return all(
        finished(
            cell_folder(out, seed, split),
            verb="train",
            inputs=training_inputs(experiment, data=data, seed=seed, split=split),
        )
        for split in experiment.splits
        for seed in experiment.seeds
    )


def all_evaluated(experiment: Experiment, *, data: Path, model: Path, out: Path) -> bool:
    """Whether every cell in `out` is finished; ValueError when its data or its model is not."""
    return all(
        finished(
            cell_folder(out, seed, split),
            verb="evaluate",
            inputs=evaluation_inputs(experiment, data=data, model=model, seed=seed, split=split),
        )
        for split in experiment.splits
        for seed in experiment.seeds
    )


class Cell(NamedTuple):
    """One training run: which variant on which data, with which seed and split."""

    experiment: str
    dataset: str
    variant: str
    seed: int
    split: int

    def __str__(self) -> str:
        return (
            f"experiment {self.experiment!r}, dataset {self.dataset!r}, variant {self.variant!r}, "
            f"seed {self.seed}, split {self.split}"
        )
