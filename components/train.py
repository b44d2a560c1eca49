"""Component `train`: data to weights."""

from kfp import dsl
from precisionflow.components.images import TRAIN


@dsl.component(base_image=TRAIN, install_kfp_package=False)
def train(experiment: str, data: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model], folder: str = ""):  # type: ignore[no-untyped-def]
    """Train every seed and split of one resolved experiment.

    Args:
        experiment: A resolved experiment as JSON or YAML.
        data: Output of prepare.
        model: One folder for each seed and split.
        folder: Results folder on this machine; empty on a cluster.
    """
    from precisionflow import verbs

    model.path = verbs.place(model.path, folder, "model", *verbs.variant_parts(experiment))
    model.metadata["data"] = data.uri
    verbs.train(experiment, data=data.path, out=model.path, folder=folder)
