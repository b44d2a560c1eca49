"""Identity of a result: the key of a stage."""

from typing import Any

from precisionflow.config import Experiment, digest
from precisionflow.config.external import PredictionFile
from precisionflow.config.networks import Model
from precisionflow.config.places import FILES
from precisionflow.config.sources import SUFFIXES, table_suffix
from precisionflow.records.raw import raw_sha256
from precisionflow.results.code import Verb, code_digest


def stage_key(verb: Verb, inputs: object) -> str:
    """Identity of a stage's result: its verb, its inputs and its code."""
    return digest({"verb": verb, "inputs": inputs, "code": code_digest(verb)})


def inputs_digest(verb: Verb, inputs: object) -> str:
    """Identity of what a stage is asked for, whatever code does it."""
    return digest({"verb": verb, "inputs": inputs})


Inputs = dict[str, Any]


def training_identity(experiment: Experiment) -> Inputs:
    """What determines what a cell learned: not the other seeds, the evaluation, the names, the device, the ranks."""
    used = {"task", "model", "objective", "learning", "training", "engine"}
    irrelevant = {"training": {"checkpoint_every"}, "engine": {"ranks", "nodes", "device"}}
    fields = experiment.model_dump(mode="json", include=used, exclude=irrelevant)
    held = experiment.holds_out_validation
    said = {"task": task_identity(experiment), "model": model_identity(experiment.model)}
    return fields | said | {"holds_out_validation": held}


def model_identity(model: Model) -> Inputs:
    """The model; of a file of predictions its bytes in place of its path, and the suffix, which says its form."""
    said: Inputs = model.model_dump(mode="json")
    if isinstance(model, PredictionFile):
        said["path"] = f"{raw_sha256(model.path)}{table_suffix(model.path)}"
    return said


def task_identity(experiment: Experiment) -> Inputs:
    """The task without the places of its files: the key of the data holds their bytes, suffixes say their form."""
    task: Inputs = experiment.task.model_dump(mode="json")
    for name in FILES:
        if task["source"].get(name) is not None:
            suffix = table_suffix(task["source"][name])
            task["source"][name] = suffix if suffix in SUFFIXES else ""
    return task
