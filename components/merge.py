"""Component `merge`: what the studies of tuned axes found, into the experiment."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def merge(experiment: str, bests: list[str]) -> list[str]:
    """Merge the best settings of several studies into the experiment whose tuned axes they are of.

    Args:
        experiment: An experiment as JSON or YAML.
        bests: The best trial of each study, as JSON.

    Returns:
        Output: The experiment as JSON, in a list of one.
    """
    from precisionflow import entrypoints

    return entrypoints.merge(experiment, bests=bests)
