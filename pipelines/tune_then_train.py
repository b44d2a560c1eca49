"""Pipeline of an experiment with tuned axes: a study for each combination of their levels, then the ablation."""

from collections.abc import Collection, Mapping

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent
from precisionflow.components.launch_search import launch_search
from precisionflow.components.merge import merge
from precisionflow.pipelines.on_cluster import Equipment, in_workspace, needs, training_on_cluster

from precisionflow.arguments import as_argument, experiment_argument
from precisionflow.cluster.access import names
from precisionflow.cluster.katib.spec import equipped
from precisionflow.config import Experiment
from precisionflow.destination import ClusterArtifacts
from precisionflow.search.tuning import studies_of

STUDIES_AT_ONCE = 2


def tune_then_train_on_cluster(
    experiment: Experiment, *, images: Mapping[str, str], mlflow: Collection[str] = names.MLFLOW_ALL
) -> GraphComponent:
    """The pipeline equipped for a cluster; studies and experiment stand in it as its default arguments.

    Katib runs the studies. Their best settings are merged into the experiment, whose variants are trained with them.
    """
    experiment = in_workspace(experiment)
    wanted, place = needs(experiment), str(ClusterArtifacts())
    equip = Equipment(experiment.cluster, images, wanted, tuple(mlflow))
    training = training_on_cluster(wanted, images=images, equip=equip)
    claim = experiment.cluster.workspace
    threads = experiment.cluster.train.threads(wanted.ranks)
    contents = [
        equipped(study.content, experiment.cluster, claim=claim, threads=threads)
        for study in studies_of(experiment)
    ]
    given, whole = [as_argument(content) for content in contents], experiment_argument(experiment)
    grouped = list(wanted.groups)

    @dsl.pipeline(
        name=f"{experiment.name}-tune",
        description="launch-search > merge > (train > evaluate) > aggregate > report > register",
        pipeline_config=dsl.PipelineConfig(ttl_seconds_after_finished=experiment.cluster.keep_seconds),
    )
    def pipeline(  # type: ignore[no-untyped-def]
        studies: list[str] = given, experiment: str = whole, groups: list[str] = grouped
    ):
        run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
        with dsl.ParallelFor(studies, parallelism=STUDIES_AT_ONCE) as study:
            best = equip(launch_search(study=study, images=dict(images), run=run, destination=place))
        tuned = equip(merge(experiment=experiment, bests=dsl.Collected(best.outputs["best"])))
        training(experiments=tuned.output, groups=groups)

    return pipeline
