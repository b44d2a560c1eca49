"""Component `prepare`: raw data to Parquet."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def prepare(  # type: ignore[no-untyped-def]
    experiments: list[str],
    files: dict[str, str],
    data: dsl.Output[dsl.Dataset],
    design: dsl.Output[dsl.Artifact],
    destination: str,
):
    """Prepare every task and split of all variants.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML.
        files: Raw files and the sha256 that they have, by which KFP finds what it has prepared; none here.
        data: One folder for each task and split.
        design: Every variant of the experiments, resolved, a line each: a loop's tasks read theirs there.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    from precisionflow import entrypoints

    data.path = entrypoints.prepare(
        experiments, files=files, data=data.path, design=design.path, destination=destination
    )
