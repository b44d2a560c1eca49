"""Component `train`: data to weights."""

from kfp import dsl
from precisionflow.components.images import TRAIN


@dsl.component(base_image=TRAIN, install_kfp_package=False)
def train(  # type: ignore[no-untyped-def]
    group: str,
    design: dsl.Input[dsl.Artifact],
    data: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    destination: str,
):
    """Train every seed and split of a group of variants.

    Args:
        group: Which of the variants the task takes.
        design: Every variant, from prepare.
        data: Output of prepare.
        model: One folder for each variant, seed and split.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    from precisionflow import entrypoints

    model.metadata["data"] = data.uri
    model.path = entrypoints.train(
        group, design=design.path, data=data.path, model=model.path, destination=destination
    )
