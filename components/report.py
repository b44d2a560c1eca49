"""Component `report`: everything to one HTML page."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def report(  # type: ignore[no-untyped-def]
    cluster: str,
    design: dsl.Input[dsl.Artifact],
    data: dsl.Input[dsl.Dataset],
    models: dsl.Input[list[dsl.Model]],
    evaluations: dsl.Input[list[dsl.Artifact]],
    table: dsl.Input[dsl.Dataset],
    page: dsl.Output[dsl.HTML],
    results: dsl.Output[dsl.Artifact],
    destination: str,
):
    """Write the report, and track it.

    Args:
        cluster: What the experiments ask of a cluster, as JSON; empty where they say it themselves.
        design: Every variant, from prepare.
        data: Output of prepare.
        models: Outputs of train, one for each group of variants.
        evaluations: Outputs of evaluate, one for each group of variants.
        table: Output of aggregate.
        page: The page.
        results: The page with the record of its making, and where every result of the run lies.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.
    """
    from precisionflow import entrypoints

    page.path = entrypoints.report(
        design.path,
        cluster=cluster,
        data=data.path,
        models=[model.path for model in models],
        evaluations=[evaluation.path for evaluation in evaluations],
        table=table.path,
        page=page.path,
        results=results.path,
        destination=destination,
    )
    entrypoints.list_contents([*models, *evaluations, table], results=results.path)
