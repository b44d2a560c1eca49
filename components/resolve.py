"""Component `resolve`: settings into an experiment."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def resolve(experiment: str, settings: list[str], folder: str = "") -> list[str]:
    """Merge settings into an experiment, as `--set` does.

    Args:
        experiment: An experiment as JSON or YAML.
        settings: Such as training.learning_rate=0.01.
        folder: Results folder on this machine; empty on a cluster.

    Returns:
        Output: The resolved experiment as JSON, in a list of one.
    """
    from precisionflow import verbs

    return verbs.resolve(experiment, settings=settings, folder=folder)
