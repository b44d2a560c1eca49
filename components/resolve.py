"""Component `resolve`: settings into an experiment."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def resolve(experiment: str, settings: list[str], destination: str) -> list[str]:
    """Merge settings into an experiment, as `--set` does.

    Args:
        experiment: An experiment as JSON or YAML.
        settings: Such as training.learning_rate=0.01.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.

    Returns:
        Output: The resolved experiment as JSON, in a list of one.
    """
    from precisionflow import entrypoints

    return entrypoints.resolve(experiment, settings=settings, destination=destination)
