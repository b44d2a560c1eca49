"""Component `prepare`: raw data to Parquet."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def prepare(  # type: ignore[no-untyped-def]
    variants: list[str], files: dict[str, str], data: dsl.Output[dsl.Dataset], destination: str
):
    """Prepare every task and split of the resolved experiments `variants`.

    Args:
        variants: Resolved experiments as JSON or YAML.
        files: Raw files and the sha256 that they have, by which KFP finds what it has prepared; none here.
        data: One folder for each task and split.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    from precisionflow import entrypoints

    data.path = entrypoints.prepare(variants, files=files, data=data.path, destination=destination)
