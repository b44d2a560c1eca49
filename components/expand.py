"""Component `expand`: experiments to their variants."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def expand(experiments: list[str]) -> list[str]:
    """Resolve every combination of the ablations' levels.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML.

    Returns:
        Output: All their variants as JSON.
    """
    from precisionflow import entrypoints

    return entrypoints.expand(experiments)
