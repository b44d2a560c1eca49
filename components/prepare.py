"""Component `prepare`: raw data to Parquet."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def prepare(variants: list[str], data: dsl.Output[dsl.Dataset], folder: str = ""):  # type: ignore[no-untyped-def]
    """Prepare every task and split of the resolved experiments `variants`.

    Args:
        variants: Resolved experiments as JSON or YAML.
        data: One folder for each task and split.
        folder: Results folder on this machine; empty on a cluster.
    """
    from precisionflow import verbs

    data.path = verbs.place(data.path, folder, "data")
    verbs.prepare(variants, out=data.path)
