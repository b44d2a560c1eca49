"""Component `register`: the gate, and what passes it into MLflow's registry."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def register(
    cluster: str,
    design: dsl.Input[dsl.Artifact],
    evaluations: dsl.Input[list[dsl.Artifact]],
    destination: str,
) -> list[str]:
    """Hold every variant against its experiment's gate; the best that passes becomes champion.

    Args:
        cluster: What the experiments ask of a cluster, as JSON; empty where they say it themselves.
        design: Every variant, from prepare.
        evaluations: Outputs of evaluate, one for each group of variants.
        destination: Where the run goes: `kfp`, or `folder:/path` for a results folder on this machine.

    Returns:
        Output: What the gate says, a line for each variant; empty where no experiment has one.
    """
    from precisionflow import entrypoints

    paths = [evaluation.path for evaluation in evaluations]
    return entrypoints.register(design.path, cluster=cluster, evaluations=paths, destination=destination)
