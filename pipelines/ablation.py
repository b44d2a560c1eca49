"""Pipeline `ablation`: every variant of one or more experiments, compared in one table and one page."""

from collections.abc import Callable, Collection
from typing import Any

from kfp import dsl
from precisionflow.components.aggregate import aggregate
from precisionflow.components.evaluate import evaluate
from precisionflow.components.prepare import prepare
from precisionflow.components.register import register
from precisionflow.components.report import report
from precisionflow.components.train import train

from precisionflow.config import Experiment, as_argument
from precisionflow.config.base import without_defaults

Equip = Callable[[dsl.PipelineTask], dsl.PipelineTask]
"""Gives a task what the place where it runs asks for: image, resources, retries."""


def unchanged(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """On this machine a task needs nothing more."""
    return task


def argument(experiment: Experiment, *, without: Collection[str] = ()) -> str:
    """The experiment as JSON in which nothing is replaced on its way to a pod.

    Without what is at its default, because a process takes no argument above 128 KiB and a list of variants is one.
    `without` the parts that no task reads, equal work has equal arguments and is found in KFP's cache.
    """
    content = {name: value for name, value in without_defaults(experiment).items() if name not in without}
    return as_argument(content)


def wire(
    experiments: Any,
    variants: Any,
    *,
    folder: Any = "",
    training: Callable[..., dsl.PipelineTask] = train,
    equip: Equip = unchanged,
    parallelism: int = 2,
) -> None:
    """The tasks and what flows between them; the same here and on a cluster.

    `training` makes the task with output `model` from `experiment`, `data` and, on this machine, `folder`;
    `parallelism` variants are in work at once.
    """
    place = {"folder": folder} if folder else {}
    prepared = equip(prepare(variants=variants, **place))
    with dsl.ParallelFor(variants, parallelism=parallelism) as variant:
        trained = equip(training(experiment=variant, data=prepared.outputs["data"], **place))
        evaluated = equip(
            evaluate(
                experiments=experiments,
                experiment=variant,
                data=prepared.outputs["data"],
                model=trained.outputs["model"],
                **place,
            )
        )
    evaluations = evaluated.outputs["evaluation"]
    table = equip(aggregate(experiments=experiments, evaluations=dsl.Collected(evaluations), **place))
    page = equip(
        report(
            experiments=experiments,
            models=dsl.Collected(trained.outputs["model"]),
            evaluations=dsl.Collected(evaluations),
            table=table.outputs["table"],
            **place,
        )
    )
    gate = register(experiments=experiments, evaluations=dsl.Collected(evaluations), **place)
    equip(gate).after(page)


@dsl.pipeline(
    name="ablation",
    description="prepare > (train > evaluate) for every variant > aggregate > report > register",
)
def ablation(experiments: list[str], variants: list[str], folder: str = ""):  # type: ignore[no-untyped-def]
    """Run an ablation.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML.
        variants: All their variants, resolved (`precisionflow expand NAME` prints them).
        folder: Results folder on this machine; empty on a cluster.
    """
    wire(experiments, variants, folder=folder)
