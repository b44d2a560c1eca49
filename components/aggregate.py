"""Component `aggregate`: metrics of all variants to a table with intervals."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def aggregate(  # type: ignore[no-untyped-def]
    design: dsl.Input[dsl.Artifact],
    evaluations: dsl.Input[list[dsl.Artifact]],
    table: dsl.Output[dsl.Dataset],
    summary: dsl.Output[dsl.Markdown],
    destination: str,
):
    """Aggregate the metrics of every variant.

    Args:
        design: Every variant, from prepare.
        evaluations: Outputs of evaluate, one for each group of variants.
        table: Table and contrasts.
        summary: The question, the answer and the headline tables, for KFP's pages.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    from precisionflow import entrypoints

    paths = [evaluation.path for evaluation in evaluations]
    table.path = entrypoints.aggregate(
        design.path, evaluations=paths, table=table.path, destination=destination
    )
    entrypoints.summarise(design.path, table=table.path, summary=summary.path)
