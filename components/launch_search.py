"""Component `launch_search`: a study to its best settings."""

from typing import NamedTuple

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def launch_search(
    study: str, images: dict[str, str], run: str, trials: dsl.Output[dsl.Dataset], destination: str
) -> NamedTuple("Best", settings=list[str], value=float, trial=str, best=str):  # type: ignore[valid-type]
    """Run a study to its end: on Katib, or, with a results folder, on this machine.

    Args:
        study: A Katib Experiment as YAML.
        images: Images of the trials' pods by name: core, train.
        run: Id of the pipeline run, by which the Katib experiment is found.
        trials: Every trial, and the best.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.

    Returns:
        settings: The best trial's settings, such as training.learning_rate=0.01.
        value: Its objective.
        trial: Its name.
        best: All of these with the study's name, as JSON.
    """
    from precisionflow import entrypoints

    best, trials.path = entrypoints.launch_search(
        study, images=images, run=run, trials=trials.path, destination=destination
    )
    return best
