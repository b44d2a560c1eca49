"""Pipeline `experiment`: one resolved experiment, without comparison."""

from kfp import dsl
from precisionflow.components.evaluate import evaluate
from precisionflow.components.prepare import prepare
from precisionflow.components.train import train


@dsl.pipeline(name="experiment", description="prepare > train > evaluate")
def experiment(experiments: list[str], group: str, destination: str):  # type: ignore[no-untyped-def]
    """Prepare, train and evaluate one variant.

    Args:
        experiments: The resolved experiment as JSON or YAML, in a list of one.
        group: The variant: `0:1 NAME`.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    prepared = prepare(experiments=experiments, files={}, destination=destination)
    given = {"design": prepared.outputs["design"], "data": prepared.outputs["data"]}
    trained = train(group=group, **given, destination=destination)
    evaluate(group=group, cluster="", **given, model=trained.outputs["model"], destination=destination)
