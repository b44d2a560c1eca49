"""Pipeline `search-then-train`: the best settings of a study, trained on more seeds, judged and registered."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent
from precisionflow.components.launch_search import launch_search
from precisionflow.components.resolve import resolve
from precisionflow.pipelines.ablation import Equip, ablation, unchanged

from precisionflow.arguments import as_argument, experiment_argument
from precisionflow.cluster.access import names
from precisionflow.cluster.katib.spec import equipped
from precisionflow.config import Experiment
from precisionflow.destination import ClusterArtifacts
from precisionflow.search.study import Study


def _wire(
    study: Any,
    experiment: Any,
    groups: Any,
    *,
    images: Mapping[str, str],
    destination: Any,
    training: Callable[..., Any],
    equip: Equip = unchanged,
) -> None:
    """The tasks and what flows between them.

    `training` is a pipeline of its own: kfp.local hands a list to a loop whole only as the input of a pipeline.
    """
    run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    best = equip(launch_search(study=study, images=dict(images), run=run, destination=destination))
    settings = best.outputs["settings"]
    tuned = equip(resolve(experiment=experiment, settings=settings, destination=destination))
    training(experiments=tuned.output, groups=groups)


@dsl.pipeline(
    name="search-then-train",
    description="launch-search > resolve > (train > evaluate) > aggregate > report > register",
)
def search_then_train(study: str, experiment: str, groups: list[str], destination: str):  # type: ignore[no-untyped-def]
    """Search, then train what was found.

    Args:
        study: A Katib Experiment as YAML.
        experiment: What the best settings are merged into, with seeds and gate, as JSON or YAML.
        groups: Groups of its variants, which a study's settings do not change: `0:1 NAME` for the first alone.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    training = partial(ablation, destination=destination)
    _wire(study, experiment, groups, images={}, destination=destination, training=training)


def search_then_train_on_cluster(
    study: Study,
    experiment: Experiment,
    *,
    images: Mapping[str, str],
    mlflow: Collection[str] = names.MLFLOW_ALL,
) -> GraphComponent:
    """The pipeline equipped for a cluster; study and experiment stand in it as its default arguments.

    Trials get the queue and the pull secrets of the experiment. Where it ends badly after the search, `finish` says so
    in MLflow; before, no run of the experiment is open there. Every variant is trained as the experiment's own variants
    ask for it: which ones there are is known only after the search.
    """
    from precisionflow.pipelines.on_cluster import Equipment, in_workspace, needs, training_on_cluster

    experiment = in_workspace(experiment)
    wanted, place = needs(experiment), str(ClusterArtifacts())
    equip = Equipment(experiment.cluster, images, wanted, tuple(mlflow))
    claim = experiment.cluster.workspace
    content = equipped(study.content, experiment.cluster, claim=claim)
    given, whole = as_argument(content), experiment_argument(experiment)
    grouped = list(wanted.groups)

    training = training_on_cluster(wanted, images=images, equip=equip)

    @dsl.pipeline(
        name=f"{experiment.name}-search",
        description="launch-search > resolve > (train > evaluate) > aggregate > report > register",
        pipeline_config=dsl.PipelineConfig(ttl_seconds_after_finished=experiment.cluster.keep_seconds),
    )
    def pipeline(study: str = given, experiment: str = whole, groups: list[str] = grouped):  # type: ignore[no-untyped-def]
        _wire(study, experiment, groups, images=images, destination=place, training=training, equip=equip)

    return pipeline
