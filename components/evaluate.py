"""Component `evaluate`: weights to predictions and metrics."""

from kfp import dsl
from precisionflow.components.images import TRAIN


@dsl.component(base_image=TRAIN, install_kfp_package=False)
def evaluate(  # type: ignore[no-untyped-def]
    group: str,
    cluster: str,
    design: dsl.Input[dsl.Artifact],
    data: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    destination: str,
):
    """Evaluate every seed and split of a group of variants on test rows.

    Args:
        group: Which of the variants the task takes.
        cluster: What the experiments ask of a cluster, as JSON; empty where they say it themselves.
        design: Every variant, from prepare, and the experiments whose MLflow runs the results belong to.
        data: Output of prepare.
        model: Output of train.
        evaluation: One folder for each variant, seed and split.
        metrics: Means of the headline metrics, which KFP's pages compare.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    from precisionflow import entrypoints

    paths = {"design": design.path, "data": data.path, "model": model.path, "evaluation": evaluation.path}
    evaluation.path = entrypoints.evaluate(group, cluster=cluster, **paths, destination=destination)
    means = entrypoints.headline(group, design=design.path, evaluation=evaluation.path)
    for name, value in means.items():
        metrics.log_metric(name, value)
