"""Component `finish`: how the pipeline ended, into MLflow; runs last whatever happened."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def finish(experiments: list[str], groups: list[str], cluster: str, run: str):  # type: ignore[no-untyped-def]
    """Record the final state of a run.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML.
        groups: Groups of their variants, by which the loop's tasks are named.
        cluster: What the experiments ask of a cluster, as JSON; empty where they say it themselves.
        run: Id of the pipeline run.
    """
    from precisionflow import entrypoints

    entrypoints.finish(experiments, groups=groups, cluster=cluster, run=run)
