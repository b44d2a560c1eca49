"""Component `evaluate`: weights to predictions and metrics."""

from kfp import dsl
from precisionflow.components.images import TRAIN


@dsl.component(base_image=TRAIN, install_kfp_package=False)
def evaluate(  # type: ignore[no-untyped-def]
    experiments: list[str],
    experiment: str,
    data: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    destination: str,
):
    """Evaluate every seed and split of one resolved experiment on test rows.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML: whose MLflow runs the results belong to.
        experiment: A resolved experiment as JSON or YAML.
        data: Output of prepare.
        model: Output of train.
        evaluation: One folder for each seed and split.
        metrics: Means of the headline metrics, which KFP's pages compare.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    from precisionflow import entrypoints

    evaluation.path = entrypoints.evaluate(
        experiments,
        experiment,
        data=data.path,
        model=model.path,
        evaluation=evaluation.path,
        destination=destination,
    )
    for name, value in entrypoints.headline(experiment, evaluation=evaluation.path).items():
        metrics.log_metric(name, value)
