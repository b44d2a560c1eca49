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
    folder: str = "",
):
    """Evaluate every seed and split of one resolved experiment on test rows.

    On a cluster the results are tracked at once; on this machine the report's task tracks all of them in one process.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML: whose MLflow runs the results belong to.
        experiment: A resolved experiment as JSON or YAML.
        data: Output of prepare.
        model: Output of train.
        evaluation: One folder for each seed and split.
        folder: Results folder on this machine; empty on a cluster.
    """
    from precisionflow import verbs

    evaluation.path = verbs.place(evaluation.path, folder, "evaluation", *verbs.variant_parts(experiment))
    verbs.evaluate(experiment, data=data.path, model=model.path, out=evaluation.path)
    if not folder:
        paths = {"data": data.path, "model": model.path, "evaluation": evaluation.path}
        verbs.track_cells(experiments, experiment, **paths)
