"""The weights of a cell as an MLflow model: code from a file, weights as safetensors, no pickle."""

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from precisionflow import serving
from precisionflow.config.tasks import Characters, Regression, Task
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import PreparedSplit, TrainedCell
from precisionflow.tracking.content import PREFIX, CellContent

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.models import ModelSignature


def logged_model(client: "MlflowClient", run: "Run", cell: CellContent) -> None:
    """Log the model of `cell` as an output of `run`, unless it is there; a half one is removed."""
    from mlflow.entities import LoggedModelOutput

    run_id, experiment_id = run.info.run_id, run.info.experiment_id
    ready = None
    for model in client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'"):
        if str(model.status) == "READY":
            ready = model.model_id
        else:
            client.delete_logged_model(model.model_id)
    model_id = ready or _upload(client, cell, run_id=run_id, experiment_id=experiment_id)
    if model_id not in [output.model_id for output in client.get_run(run_id).outputs.model_outputs]:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])


def _upload(client: "MlflowClient", cell: CellContent, *, run_id: str, experiment_id: str) -> str:
    name = cell.run.tags[f"{PREFIX}variant"].replace(".", "-")
    model_id = client.create_logged_model(
        experiment_id, name=name, source_run_id=run_id, tags=cell.run.tags, model_type="precisionflow"
    ).model_id
    with tempfile.TemporaryDirectory() as folder:
        save_model(cell, Path(folder) / "model", run_id=run_id, model_id=model_id)
        client.log_model_artifacts(model_id, f"{folder}/model")
    client.finalize_logged_model(model_id, "READY")
    return str(model_id)


def save_model(cell: CellContent, folder: Path, *, run_id: str, model_id: str) -> None:
    """The folder that `mlflow.pyfunc.load_model` reads."""
    from mlflow import pyfunc
    from mlflow.models import Model

    task = read_card(TrainedCell(cell.model).card, ModelCard).experiment.task
    pyfunc.save_model(
        str(folder),
        python_model=str(Path(serving.__file__).with_name("predictor.py")),
        artifacts={
            "weights": str(TrainedCell(cell.model).weights),
            "model": str(TrainedCell(cell.model).card),
            "dataset": str(PreparedSplit(cell.data).card),
        },
        signature=signature(task, cell.dataset),
        pip_requirements=[f"{name}=={version(name)}" for name in ("precisionflow", "mlflow", "torch")],
        mlflow_model=Model(run_id=run_id, model_uuid=model_id, model_id=model_id),
    )


def signature(task: Task, card: DatasetCard) -> "ModelSignature":
    """Of a table: its features -> mean, std, aleatoric, epistemic, lower, upper, with the interval's `level` as
    parameter; of a text: text -> its scores, next_character.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    match task:
        case Regression():
            columns = ("mean", "std", "aleatoric", "epistemic", "lower", "upper")
            return ModelSignature(
                Schema([ColSpec("double", name) for name in card.feature_names]),
                Schema([ColSpec("double", name) for name in columns]),
                ParamSchema([ParamSpec("level", "double", 0.95)]),
            )
        case Characters():
            scores = [
                ColSpec("double", "nll"),
                ColSpec("double", "bits_per_character"),
                ColSpec("string", "next_character"),
            ]
            return ModelSignature(Schema([ColSpec("string", "text")]), Schema(scores))
        case _:
            assert_never(task)
