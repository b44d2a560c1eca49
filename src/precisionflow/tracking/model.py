"""The weights of a cell as an MLflow model: code from a file, weights as safetensors, no pickle."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow import serving
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card, write_card
from precisionflow.records.marker import MARKER, StageCard, check_written, read_marker, sha256_of
from precisionflow.results.layout import EvaluatedCell, PreparedSplit, TrainedCell
from precisionflow.serving.answers.of_task import contract_of
from precisionflow.tracking.content import PREFIX, CellContent

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def logged_model(client: "MlflowClient", run: "Run", cell: CellContent) -> str:
    """Id of the model of `cell`, logged as an output of `run` unless it is there; a half one is removed."""
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
    return model_id


def _upload(client: "MlflowClient", cell: CellContent, *, run_id: str, experiment_id: str) -> str:
    name = cell.run.tags[f"{PREFIX}variant"].replace(".", "-")
    model_id = client.create_logged_model(
        experiment_id,
        name=name,
        source_run_id=run_id,
        tags=cell.run.tags,
        params=cell.run.params,
        model_type="precisionflow",
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

    kept = EvaluatedCell(cell.evaluation).recalibration
    experiment = read_card(TrainedCell(cell.model).card, ModelCard).experiment
    files = {
        "weights": TrainedCell(cell.model).weights,
        "model": TrainedCell(cell.model).card,
        "dataset": PreparedSplit(cell.data).card,
    } | ({"recalibration": kept} if kept.is_file() else {})
    with tempfile.TemporaryDirectory() as beside:
        marker = Path(beside) / MARKER
        write_card(_marker(cell, files.values()), marker)
        with _requirements_unchecked():
            pyfunc.save_model(
                str(folder),
                python_model=str(Path(serving.__file__).with_name("predictor.py")),
                artifacts={name: str(file) for name, file in (files | {"marker": marker}).items()},
                signature=contract_of(experiment, cell.dataset).signature(),
                pip_requirements=[
                    f"{name}=={version(name)}" for name in ("precisionflow", "mlflow", "torch")
                ],
                mlflow_model=Model(run_id=run_id, model_uuid=model_id, model_id=model_id),
            )


@contextlib.contextmanager
def _requirements_unchecked() -> Iterator[None]:
    """Inside the block MLflow compares no requirements with what is installed: ours are what is installed, and to find
    that out it reads the lists of all installed files, which takes longer than saving eight models.
    """
    from mlflow.utils import environment

    check = environment.warn_dependency_requirement_mismatches
    environment.warn_dependency_requirement_mismatches = lambda _: None
    try:
        yield
    finally:
        environment.warn_dependency_requirement_mismatches = check


def _marker(cell: CellContent, files: Iterable[Path]) -> StageCard:
    """The marker of the trained cell, with the digests of the model's files: who loads the model checks them."""
    trained = read_marker(cell.model)
    if trained is None:
        raise ValueError(f"{cell.model}: is not a finished stage; run the stage that writes it first")
    for file in files:
        check_written(file)
    digests = {file.name: sha256_of(file) for file in files}
    return trained.model_copy(update={"verb": "track", "files": digests})
