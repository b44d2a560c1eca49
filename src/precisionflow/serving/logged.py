"""A model that MLflow keeps, loaded for predictions in this process."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.serving import connection

if TYPE_CHECKING:
    from precisionflow.serving.model import ServedModel


def logged_model(uri: str, *, store: Path | None) -> "ServedModel":
    """An MLflow model such as models:/NAME@champion, from MLFLOW_TRACKING_URI or a results folder.

    ValueError where there is no store, no such model, or a model that precisionflow did not log.
    """
    address = connection.tracking_uri(store)
    if address is None:
        raise ValueError(f"{uri}: set MLFLOW_TRACKING_URI or give --store, the results folder with mlflow.db")
    if store and not os.environ.get("MLFLOW_TRACKING_URI") and not (store / "mlflow.db").exists():
        raise ValueError(f"{store}: holds no mlflow.db; give the results folder of a tracked run as --store")
    with connection.quiet():
        loaded = _load(uri, address)
    model = getattr(loaded, "model", None)
    if model is None:
        raise ValueError(f"{uri}: is no model that precisionflow logged; give one of its models")
    return model  # type: ignore[no-any-return]


def _load(uri: str, address: str) -> object:
    import mlflow
    from mlflow import MlflowException, pyfunc

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(address)
    try:
        connection.connected(address)
        return pyfunc.load_model(uri).unwrap_python_model()
    except (MlflowException, ValueError, OSError, ImportError) as error:
        raise ValueError(
            f"{uri}: cannot be loaded from {connection.without_password(address)} ({connection.reason(error)})"
        ) from None
    finally:
        mlflow.set_tracking_uri(before)
