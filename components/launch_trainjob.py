"""Component `launch_trainjob`: data to weights, on several nodes."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def launch_trainjob(  # type: ignore[no-untyped-def]
    experiment: str, image: str, data: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model]
):
    """Train every seed and split of one resolved experiment as a TrainJob; needs the workspace's volume.

    Args:
        experiment: A resolved experiment as JSON or YAML, whose engine asks for more than one node.
        image: Image of the training pods.
        data: Output of prepare.
        model: One folder for each seed and split.
    """
    from precisionflow import entrypoints

    model.metadata["data"] = data.uri
    entrypoints.launch_trainjob(experiment, image=image, data=data.path, model=model.path)
