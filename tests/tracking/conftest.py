"""Results folders for the tests of tracking, and MLflow without settings from outside."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file

from precisionflow.ablation.aggregate import aggregate
from precisionflow.ablation.design import Variant, expand
from precisionflow.config import Experiment, to_yaml
from precisionflow.data.prepare import prepare
from precisionflow.models.networks.build import build
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, write_parquet, write_text
from precisionflow.records.schemas import HISTORY
from precisionflow.results.layout import cell_folder, data_folder
from precisionflow.tracking import store
from precisionflow.tracking.track import track_folder
from tests import synthetic
from tests.tracking.results_folder import NOISE, TWINS, client_in, place, variants

OF_MLFLOW = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning",
    "ignore:.*Any type hint is inferred as AnyType:UserWarning",
)
"""Warnings of MLflow's own code and classes."""


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(OF_MLFLOW)


SETTINGS = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID")


@pytest.fixture(scope="session", autouse=True)
def _no_settings() -> Iterator[None]:
    """No MLflow settings from outside."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SETTINGS:
            patch.delenv(name, raising=False)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield


@pytest.fixture(scope="session")
def finished(_no_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with two experiments, and an MLflow store that is still empty."""
    folder = tmp_path_factory.mktemp("finished")
    for experiment in (NOISE, TWINS):
        write_text(to_yaml(experiment), folder / "experiments" / f"{experiment.name}.yaml")
        synthetic.models(experiment, folder)
        synthetic.evaluations(experiment, folder, _measure)
        prepare([variant.experiment for variant in expand(experiment)], out=folder / "data")
    (folder / "train").rename(folder / "model")
    (folder / "evaluate").rename(folder / "evaluation")
    evaluations = [place(folder / "evaluation", v) for e in (NOISE, TWINS) for v in variants(e)]
    aggregate([NOISE, TWINS], evaluations=evaluations, out=folder / "aggregate")
    write_text("<!doctype html><p>A page.</p>", folder / "report" / "report.html")
    for variant in (*variants(NOISE), *variants(TWINS)):
        _write_weights(folder, variant)
    _write_long_history(cell_folder(place(folder / "model", variants(NOISE)[0]), 1, 0))
    client_in(folder).search_experiments()
    return folder


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy of `finished` that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "results"))


@pytest.fixture(scope="session")
def tracked(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `finished` after one `track_folder`, to be looked at only."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("tracked") / "results"))
    assert track_folder(folder)
    return folder


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning of an earlier test does not silence this one's."""
    monkeypatch.setattr(store, "_warnings", [])


def _measure(variant: Variant, seed: int, split: int) -> dict[str, float]:
    """What evaluate writes: scores on test rows, and the model's own validation loss."""
    return synthetic.plausible(variant, seed, split) | {"validation_loss": 2.0}


def _write_weights(folder: Path, variant: Experiment) -> None:
    torch.manual_seed(0)
    card = read_card(data_folder(folder / "data", variant, 0) / "dataset.json", DatasetCard)
    target = cell_folder(place(folder / "model", variant), 0, 0) / "model.safetensors"
    save_file(
        {name: tensor.contiguous() for name, tensor in build(variant, card).state_dict().items()}, target
    )
    synthetic.learned_from(target.parent, card)


def _write_long_history(cell: Path) -> None:
    """More points than MLflow takes in one call."""
    steps = np.arange(1, 2501)
    table = pa.table({"step": steps, "metric": ["train_loss"] * len(steps), "value": 3 / np.sqrt(steps)})
    write_parquet(table, cell / "history.parquet", HISTORY)
    synthetic.mark_again(cell)
