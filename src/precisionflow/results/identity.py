"""Identity of a result: the key of a stage."""

from typing import Any

from precisionflow import __version__
from precisionflow.config import Experiment, digest


def stage_key(verb: str, inputs: object) -> str:
    """Identity of a stage's result."""
    return digest({"verb": verb, "version": __version__, "inputs": inputs})


Inputs = dict[str, Any]


def training_identity(experiment: Experiment) -> Inputs:
    """What determines a cell's weights: not the other seeds, the evaluation, the names, the device, the ranks."""
    used = {"task", "model", "objective", "learning", "training", "engine"}
    irrelevant = {"training": {"checkpoint_every"}, "engine": {"ranks", "nodes", "device"}}
    return experiment.model_dump(mode="json", include=used, exclude=irrelevant)
