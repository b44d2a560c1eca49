"""Component `register`: the gate, and what passes it into MLflow's registry."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def register(
    experiments: list[str], evaluations: dsl.Input[list[dsl.Artifact]], folder: str = ""
) -> list[str]:
    """Hold every variant against its experiment's gate; the best that passes becomes champion.

    On this machine the report's task has filled MLflow already, the registry included.

    Args:
        experiments: Experiments with their ablations, as JSON or YAML.
        evaluations: Outputs of evaluate, one for each variant.
        folder: Results folder on this machine; empty on a cluster.

    Returns:
        Output: What the gate says, a line for each variant; empty where no experiment has one.
    """
    from precisionflow import verbs

    return verbs.register(experiments, evaluations=[e.path for e in evaluations], folder=folder)
