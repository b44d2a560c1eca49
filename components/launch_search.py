"""Component `launch_search`: a study to its best settings."""

from typing import NamedTuple

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def launch_search(
    study: str, images: dict[str, str], trials: dsl.Output[dsl.Dataset], run: str = "", folder: str = ""
) -> NamedTuple("Best", settings=list[str], value=float, trial=str):  # type: ignore[valid-type]
    """Run a study to its end: on Katib, or, with a results folder, on this machine.

    Args:
        study: A Katib Experiment as YAML.
        trials: Every trial, and the best.
        images: Images of the trials' pods by name: core, train.
        run: Id of the pipeline run, by which the Katib experiment is found.
        folder: Results folder on this machine; empty on a cluster.

    Returns:
        settings: The best trial's settings, such as training.learning_rate=0.01.
        value: Its objective.
        trial: Its name.
    """
    from precisionflow import verbs

    trials.path = verbs.place(trials.path, folder, "search")
    return verbs.launch_search(study, out=trials.path, images=images, run=run, folder=folder)
