"""Component `identify`: raw files to the digests of their content."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def identify(experiments: list[str]) -> dict[str, str]:
    """Read the raw files of all variants, so that what follows is cached by their content.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML.

    Returns:
        Output: Name of each file or folder, as the sources say it, and its sha256.
    """
    from precisionflow import entrypoints

    return entrypoints.identify(experiments)
