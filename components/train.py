"""Component `train`: data to weights."""

from kfp import dsl
from precisionflow.components.images import TRAIN


@dsl.component(base_image=TRAIN, install_kfp_package=False)
def train(experiment: str, data: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model], destination: str):  # type: ignore[no-untyped-def]
    """Train every seed and split of one resolved experiment.

    Args:
        experiment: A resolved experiment as JSON or YAML.
        data: Output of prepare.
        model: One folder for each seed and split.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    from precisionflow import entrypoints

    model.metadata["data"] = data.uri
    model.path = entrypoints.train(experiment, data=data.path, model=model.path, destination=destination)
