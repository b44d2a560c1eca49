"""Component `launch_trainjob`: data to weights, on several nodes."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def launch_trainjob(  # type: ignore[no-untyped-def]
    group: str,
    image: str,
    cluster: str,
    design: dsl.Input[dsl.Artifact],
    data: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
):
    """Train every seed and split of a group of variants, each as a TrainJob; needs the workspace's volume.

    Args:
        group: Which of the variants the task takes.
        image: Image of the training pods.
        cluster: What the experiments ask of a cluster, as JSON; empty where they say it themselves.
        design: Every variant, from prepare; engines ask for more than one node.
        data: Output of prepare.
        model: One folder for each variant, seed and split.
    """
    from precisionflow import entrypoints

    model.metadata["data"] = data.uri
    paths = {"design": design.path, "data": data.path, "model": model.path}
    entrypoints.launch_trainjob(group, image=image, cluster=cluster, **paths)
