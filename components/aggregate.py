"""Component `aggregate`: metrics of all variants to a table with intervals."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def aggregate(  # type: ignore[no-untyped-def]
    experiments: list[str],
    evaluations: dsl.Input[list[dsl.Artifact]],
    table: dsl.Output[dsl.Dataset],
    folder: str = "",
):
    """Aggregate the metrics of every variant.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML.
        evaluations: Outputs of evaluate, one for each variant.
        table: Table and contrasts.
        folder: Results folder on this machine; empty on a cluster.
    """
    from precisionflow import verbs

    table.path = verbs.place(table.path, folder, "aggregate")
    verbs.aggregate(experiments, evaluations=[e.path for e in evaluations], out=table.path)
