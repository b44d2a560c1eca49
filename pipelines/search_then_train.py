"""Pipeline `search-then-train`: the best settings of a study, trained on more seeds, judged and registered."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent
from precisionflow.components.expand import expand
from precisionflow.components.launch_search import launch_search
from precisionflow.components.resolve import resolve
from precisionflow.pipelines.ablation import Equip, ablation, argument, unchanged, wire

from precisionflow.cluster.access import names
from precisionflow.config import Experiment, as_argument
from precisionflow.search.resource import study_of


def _wire(
    study: Any, experiment: Any, *, training: Callable[..., Any], equip: Equip = unchanged, **searching: Any
) -> None:
    """The tasks and what flows between them.

    `training` is a pipeline of its own: kfp.local hands a list to a loop whole only as the input of a pipeline.
    """
    place = {name: value for name, value in searching.items() if name == "folder"}
    best = equip(launch_search(study=study, **searching))
    tuned = equip(resolve(experiment=experiment, settings=best.outputs["settings"], **place))
    variants = equip(expand(experiments=tuned.output))
    training(experiments=tuned.output, variants=variants.output, **place)


@dsl.pipeline(
    name="search-then-train",
    description="launch-search > resolve > expand > (train > evaluate) > aggregate > report > register",
)
def search_then_train(study: str, experiment: str, folder: str = ""):  # type: ignore[no-untyped-def]
    """Search, then train what was found.

    Args:
        study: A Katib Experiment as YAML.
        experiment: What the best settings are merged into, with seeds and gate, as JSON or YAML.
        folder: Results folder on this machine; empty on a cluster.
    """
    _wire(study, experiment, training=ablation, images={}, folder=folder)


def search_then_train_on_cluster(
    study: str,
    experiment: Experiment,
    *,
    images: Mapping[str, str],
    mlflow: Collection[str] = names.MLFLOW_ALL,
) -> GraphComponent:
    """The pipeline equipped for a cluster; study and experiment stand in it as its default arguments.

    Training stays on one node: which variants there are is known only after the search.
    """
    from precisionflow.pipelines.on_cluster import VARIANTS_AT_ONCE, Equipment

    equip = Equipment(experiment.cluster, images, tuple(mlflow))
    given, whole = as_argument(study_of(study)), argument(experiment)

    @dsl.pipeline(name="train")
    def training(experiments: list[str], variants: list[str]):  # type: ignore[no-untyped-def]
        wire(experiments, variants, equip=equip, parallelism=VARIANTS_AT_ONCE)

    @dsl.pipeline(
        name=f"{experiment.name}-search",
        description="launch-search > resolve > expand > (train > evaluate) > aggregate > report > register",
        pipeline_config=dsl.PipelineConfig(ttl_seconds_after_finished=experiment.cluster.keep_seconds),
    )
    def pipeline(study: str = given, experiment: str = whole):  # type: ignore[no-untyped-def]
        run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
        _wire(study, experiment, training=training, equip=equip, images=dict(images), run=run)

    return pipeline
