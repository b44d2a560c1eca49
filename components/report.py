"""Component `report`: everything to one HTML page."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def report(  # type: ignore[no-untyped-def]
    experiments: list[str],
    models: dsl.Input[list[dsl.Model]],
    evaluations: dsl.Input[list[dsl.Artifact]],
    table: dsl.Input[dsl.Dataset],
    page: dsl.Output[dsl.HTML],
    results: dsl.Output[dsl.Artifact],
    folder: str = "",
):
    """Write the report, and track it.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML.
        models: Outputs of train, one for each variant.
        evaluations: Outputs of evaluate, one for each variant.
        table: Output of aggregate.
        page: The page.
        results: The page with the record of its making, and where every result of the run lies.
        folder: Results folder on this machine; empty on a cluster.
    """
    from precisionflow import verbs

    made = verbs.place(results.path + "/report", folder, "report")
    verbs.report(
        experiments,
        models=[m.path for m in models],
        evaluations=[e.path for e in evaluations],
        aggregate=table.path,
        out=made,
    )
    page.path = verbs.publish(made + "/report.html", page.path, folder)
    verbs.list_contents([*models, *evaluations, table], out=results.path)
    verbs.track_report(experiments, aggregate=table.path, report=made, folder=folder)
