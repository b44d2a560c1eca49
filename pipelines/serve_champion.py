"""Pipeline `serve-champion`: a served model follows the gate; run it after an ablation, or as a recurring run."""

from kfp import dsl
from precisionflow.components.serve_champion import serve_champion as roll_out
from precisionflow.pipelines.on_cluster import tracked

from precisionflow.cluster.access import names


@dsl.pipeline(name="serve-champion", description="serve-champion")
def serve_champion(model: str, deployment: str, namespace: str = "precisionflow"):  # type: ignore[no-untyped-def]
    """Serve what the gate made champion.

    Args:
        model: Name of the registered model in MLflow.
        deployment: Deployment that serves it, such as serve-perception.
        namespace: Namespace of the Deployment.
    """
    task = roll_out(model=model, deployment=deployment, namespace=namespace)
    task.set_caching_options(enable_caching=False)
    tracked(task, names.MLFLOW_VARIABLES)
