"""Pipeline `ablation`: every variant of one or more experiments, compared in one table and one page."""

from collections.abc import Callable
from functools import partial
from typing import Any

from kfp import dsl
from precisionflow.components.aggregate import aggregate
from precisionflow.components.evaluate import evaluate
from precisionflow.components.prepare import prepare
from precisionflow.components.register import register
from precisionflow.components.report import report
from precisionflow.components.train import train

Equip = Callable[[dsl.PipelineTask], dsl.PipelineTask]
"""Gives a task what the place where it runs asks for: image, resources, retries."""


def unchanged(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """On this machine a task needs nothing more."""
    return task


def wire(
    experiments: Any,
    groups: Any,
    *,
    destination: Any,
    training: Callable[..., dsl.PipelineTask],
    files: Any,
    cluster: Any = "",
    equip: Equip = unchanged,
    parallelism: int = 2,
) -> None:
    """The tasks and what flows between them; the same here and on a cluster.

    The variants go from task to task as a file; the loop's items are short names of `groups` of them. `training` makes
    the task with output `model` from `group`, `design` and `data`; `cluster` is what the experiments ask of a cluster,
    where they do not say it themselves; `files` are the digests of raw files, none where a place does not ask for
    them; `parallelism` groups are in work at once on a cluster; here as many as the machine takes.
    """
    place, tracked = {"destination": destination}, {"destination": destination, "cluster": cluster}
    prepared = equip(prepare(experiments=experiments, files=files, **place))
    data, design = {"data": prepared.outputs["data"]}, {"design": prepared.outputs["design"]}
    with dsl.ParallelFor(groups, parallelism=parallelism) as group:
        trained = equip(training(group=group, **design, **data))
        model = trained.outputs["model"]
        evaluated = equip(evaluate(group=group, model=model, **design, **data, **tracked))
    evaluations = evaluated.outputs["evaluation"]
    table = equip(aggregate(evaluations=dsl.Collected(evaluations), **design, **place))
    page = equip(
        report(
            models=dsl.Collected(model),
            evaluations=dsl.Collected(evaluations),
            table=table.outputs["table"],
            **design,
            **data,
            **tracked,
        )
    )
    equip(register(evaluations=dsl.Collected(evaluations), **design, **tracked)).after(page)


@dsl.pipeline(
    name="ablation",
    description="prepare > (train > evaluate) for every group of variants > aggregate > report > register",
)
def ablation(experiments: list[str], groups: list[str], destination: str):  # type: ignore[no-untyped-def]
    """Run an ablation.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML.
        groups: Groups of all their variants, in the order of the design: `0:1 NAME` for the first alone.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    training = partial(train, destination=destination)
    wire(experiments, groups, destination=destination, training=training, files={})
