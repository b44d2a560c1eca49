"""Component `prepare`: raw data to Parquet."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def prepare(variants: list[str], data: dsl.Output[dsl.Dataset], destination: str):  # type: ignore[no-untyped-def]
    """Prepare every task and split of the resolved experiments `variants`.

    Args:
        variants: Resolved experiments as JSON or YAML.
        data: One folder for each task and split.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    from precisionflow import entrypoints

    data.path = entrypoints.prepare(variants, data=data.path, destination=destination)
