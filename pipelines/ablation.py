"""Pipeline `ablation`: every variant of one or more experiments, compared in one table and one page."""

from kfp import dsl
from precisionflow.components.aggregate import aggregate
from precisionflow.components.evaluate import evaluate
from precisionflow.components.prepare import prepare
from precisionflow.components.report import report
from precisionflow.components.train import train


@dsl.pipeline(
    name="ablation", description="prepare > (train > evaluate) for every variant > aggregate > report"
)
def ablation(experiments: list[str], variants: list[str], folder: str = ""):  # type: ignore[no-untyped-def]
    """Run an ablation.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML.
        variants: All their variants, resolved (`precisionflow expand NAME` prints them).
        folder: Results folder on this machine; empty on a cluster.
    """
    prepared = prepare(variants=variants, folder=folder)
    with dsl.ParallelFor(variants, parallelism=2) as variant:
        trained = train(experiment=variant, data=prepared.outputs["data"], folder=folder)
        evaluated = evaluate(
            experiments=experiments,
            experiment=variant,
            data=prepared.outputs["data"],
            model=trained.outputs["model"],
            folder=folder,
        )
    table = aggregate(
        experiments=experiments, evaluations=dsl.Collected(evaluated.outputs["evaluation"]), folder=folder
    )
    report(
        experiments=experiments,
        models=dsl.Collected(trained.outputs["model"]),
        evaluations=dsl.Collected(evaluated.outputs["evaluation"]),
        table=table.outputs["table"],
        folder=folder,
    )
