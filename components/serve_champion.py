"""Component `serve_champion`: what the gate made champion is what is served."""

from kfp import dsl
from precisionflow.components.images import CORE


@dsl.component(base_image=CORE, install_kfp_package=False)
def serve_champion(model: str, deployment: str, namespace: str) -> str:
    """Replace the pods of a served model where another version became champion.

    Args:
        model: Name of the registered model in MLflow.
        deployment: Deployment that serves it, such as serve-perception.
        namespace: Namespace of the Deployment.

    Returns:
        Output: The champion, as NAME/VERSION.
    """
    from precisionflow import entrypoints

    return entrypoints.serve_champion(model, deployment=deployment, namespace=namespace)
