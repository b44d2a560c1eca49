"""Pipeline `experiment`: one resolved experiment, without comparison."""

from kfp import dsl
from precisionflow.components.evaluate import evaluate
from precisionflow.components.prepare import prepare
from precisionflow.components.train import train


@dsl.pipeline(name="experiment", description="prepare > train > evaluate")
def experiment(variants: list[str], variant: str, destination: str):  # type: ignore[no-untyped-def]
    """Prepare, train and evaluate one variant.

    Args:
        variants: The resolved experiment in a list of one: what prepare takes.
        variant: The resolved experiment as JSON or YAML.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    prepared = prepare(variants=variants, files={}, destination=destination)
    trained = train(experiment=variant, data=prepared.outputs["data"], destination=destination)
    evaluate(
        experiments=variants,
        experiment=variant,
        data=prepared.outputs["data"],
        model=trained.outputs["model"],
        destination=destination,
    )
