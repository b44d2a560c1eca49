"""Studies of the tuned axes: which there are, and what each found."""

from typing import Any

from precisionflow.ablation.combinations import Levels
from precisionflow.config import Experiment, digest
from precisionflow.config.load import parse_settings

_NAME = 22
"""Characters of an experiment's name in that of its studies, which Kubernetes keeps short."""


def study_name(experiment: Experiment, dataset: str, levels: Levels) -> str:
    """Name of the study for a variant's levels of the tuned axes on a data set of the ablation."""
    assert experiment.ablation.tuned
    of = {axis: levels[axis] for axis in experiment.ablation.tuned.axes}
    return f"tune-{experiment.name[:_NAME].rstrip('-')}-{digest([dataset, of])[:8]}"


def found_for(experiment: Experiment, dataset: str, levels: Levels) -> dict[str, Any]:
    """Settings that a variant is trained with because its study found them; none before it has."""
    tuning = experiment.ablation.tuned
    found = tuning and tuning.found.get(study_name(experiment, dataset, levels))
    return parse_settings(found.settings) if found else {}
