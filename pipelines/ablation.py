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
    variants: Any,
    *,
    destination: Any,
    training: Callable[..., dsl.PipelineTask],
    files: Any,
    equip: Equip = unchanged,
    parallelism: int = 2,
) -> None:
    """The tasks and what flows between them; the same here and on a cluster.

    `training` makes the task with output `model` from `experiment` and `data`; `files` are the digests of raw files,
    none where a place does not ask for them; `parallelism` variants are in work at once.
    """
    of_all = {"experiments": experiments, "destination": destination}
    prepared = equip(prepare(variants=variants, files=files, destination=destination))
    with dsl.ParallelFor(variants, parallelism=parallelism) as variant:
        trained = equip(training(experiment=variant, data=prepared.outputs["data"]))
        given = {"data": prepared.outputs["data"], "model": trained.outputs["model"]}
        evaluated = equip(evaluate(experiment=variant, **given, **of_all))
    models, evaluations = trained.outputs["model"], evaluated.outputs["evaluation"]
    table = equip(aggregate(evaluations=dsl.Collected(evaluations), **of_all))
    page = equip(
        report(
            data=prepared.outputs["data"],
            models=dsl.Collected(models),
            evaluations=dsl.Collected(evaluations),
            table=table.outputs["table"],
            **of_all,
        )
    )
    gate = register(evaluations=dsl.Collected(evaluations), **of_all)
    equip(gate).after(page)


@dsl.pipeline(
    name="ablation",
    description="prepare > (train > evaluate) for every variant > aggregate > report > register",
)
def ablation(experiments: list[str], variants: list[str], destination: str):  # type: ignore[no-untyped-def]
    """Run an ablation.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML.
        variants: All their variants, resolved (`precisionflow expand NAME` prints them).
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    training = partial(train, destination=destination)
    wire(experiments, variants, destination=destination, training=training, files={})
