"""MLflow's registry: what passes the gate becomes champion, once, and what misses it says why."""

import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from precisionflow.ablation.aggregate import aggregate
from precisionflow.ablation.design import Variant, expand
from precisionflow.ablation.gate import Judgement
from precisionflow.config import Experiment, load, to_yaml
from precisionflow.data.prepare import prepare
from precisionflow.models.networks.build import build
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, write_text
from precisionflow.results.layout import cell_folder, data_folder
from precisionflow.tracking import registry, store
from precisionflow.tracking.registry import register_models, serving_command
from precisionflow.tracking.track import track_cells, track_folder
from tests import synthetic
from tests.command_line import Line

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

LEVELS = {"homoscedastic": 2.0, "heteroscedastic": 1.5}
NAME = "noise-diabetes"
RIDGE = "objective={kind: gaussian_nll}"


def gated(bounds: str) -> Experiment:
    return synthetic.regression(
        ("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0]"), ("ablation:", f"gate: {{nll: {bounds}}}\nablation:")
    )


BOTH = gated("{high: 2.6}")


@pytest.fixture(scope="module")
def finished(_no_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder whose variants have the mean losses 2.5 and 2.0, tracked but for the registry."""
    folder = tmp_path_factory.mktemp("finished")
    synthetic.models(BOTH, folder)
    synthetic.evaluations(BOTH, folder, measure)
    prepare([variant.experiment for variant in expand(BOTH)], out=folder / "data")
    (folder / "train").rename(folder / "model")
    (folder / "evaluate").rename(folder / "evaluation")
    for variant in expand(BOTH):
        _write_weights(folder, variant)
    _settle(folder, BOTH)
    for variant in expand(BOTH):
        places = {
            name: folder / name / "noise" / "diabetes" / variant.name for name in ("model", "evaluation")
        }
        assert track_cells(variant.experiment, data=folder / "data", **places, store=folder, whole=BOTH)
    return folder


def measure(variant: Variant, seed: int, split: int) -> dict[str, float]:
    return synthetic.plausible(variant, seed, split) | {"nll": LEVELS[variant.name] + seed}


def _write_weights(folder: Path, variant: Variant) -> None:
    torch.manual_seed(0)
    data = data_folder(folder / "data", variant.experiment, 0)
    card = read_card(data / "dataset.json", DatasetCard)
    weights = build(variant.experiment, card).state_dict()
    cell = cell_folder(folder / "model" / "noise" / "diabetes" / variant.name, 0, 0)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, cell / "model.safetensors")
    synthetic.learned_from(cell, card)


def _settle(folder: Path, whole: Experiment) -> None:
    """The folder as if `whole` had been run in it."""
    write_text(to_yaml(whole), folder / "experiments" / "noise.yaml")
    aggregate([whole], evaluations=evaluations(folder), out=folder / "aggregate")
    write_text("<!doctype html><p>A page.</p>", folder / "report" / "report.html")


def evaluations(folder: Path) -> list[Path]:
    return [folder / "evaluation" / "noise" / "diabetes" / name for name in LEVELS]


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy of `finished` that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "results"))


def client(folder: Path) -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


def versions(folder: Path) -> dict[str, "ModelVersion"]:
    """variant -> its version, the newest of several."""
    found = client(folder).search_model_versions(f"name = '{NAME}'")
    ordered = sorted(found, key=lambda version: int(version.version))
    return {version.tags["precisionflow.variant"]: version for version in ordered}


def champion(folder: Path) -> str | None:
    number = client(folder).get_registered_model(NAME).aliases.get("champion")
    return next((variant for variant, version in versions(folder).items() if version.version == number), None)


def test_the_best_of_those_that_pass_is_champion_and_says_so(results: Path) -> None:
    import mlflow
    import pandas as pd

    assert track_folder(results)
    known = versions(results)
    assert sorted(known) == ["heteroscedastic", "homoscedastic"]
    assert champion(results) == "heteroscedastic"
    tags = known["homoscedastic"].tags
    assert tags["precisionflow.gate"] == "passed on test rows: nll 2.5 is at most 2.6"
    assert tags["precisionflow.gate.nll"] == "2.5"
    (run,) = client(results).search_runs(
        [client(results).get_experiment_by_name("noise").experiment_id],
        "tags.`precisionflow.verb` = 'report'",
    )
    assert run.data.tags["gate/diabetes/heteroscedastic"] == "passed on test rows: nll 2 is at most 2.6"
    logged = client(results).get_logged_model(known["heteroscedastic"].source.removeprefix("models:/"))
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [
        {"name": NAME, "version": int(known["heteroscedastic"].version)}
    ]
    assert {m.key: m.value for m in logged.metrics}["test.nll"] == 1.5
    assert {m.dataset_name for m in logged.metrics} == {"diabetes"}
    assert logged.params["cfg.objective.kind"] == "gaussian_nll"
    mlflow.set_tracking_uri(f"sqlite:///{results}/mlflow.db")
    try:
        model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
        assert model.metadata.run_id == known["heteroscedastic"].run_id
        answer = model.predict(
            pd.DataFrame([[0.0] * 10], columns=model.metadata.get_input_schema().input_names())
        )
        assert answer["std"].iloc[0] > 0
    finally:
        mlflow.set_tracking_uri(None)


def test_predict_takes_the_address_of_a_model(results: Path, line: Line, tmp_path: Path) -> None:
    import pandas as pd

    assert track_folder(results)
    cell = cell_folder(results / "model" / "noise" / "diabetes" / "heteroscedastic", 0, 0)
    names = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
    table = tmp_path / "rows.csv"
    pd.DataFrame(np.random.default_rng(0).normal(50, 20, (3, 10)), columns=names).to_csv(table, index=False)
    of_the_folder = line("predict", cell, table)
    assert of_the_folder.code == 0
    assert len(of_the_folder.out.splitlines()) == 4
    run = versions(results)["heteroscedastic"].run_id
    for address in (f"models:/{NAME}@champion", f"runs:/{run}/heteroscedastic"):
        assert line("predict", address, table, "--store", results) == of_the_folder
    refusal = line.fails("predict", "models:/nobody@champion", table, "--store", results, "--out", "out.csv")
    assert refusal.startswith(
        f"models:/nobody@champion: cannot be loaded from sqlite:///{results}/mlflow.db ("
    )
    refusal = line.fails("predict", f"models:/{NAME}@champion", table, "--store", tmp_path)
    assert refusal == f"{tmp_path}: holds no mlflow.db; give the results folder of a tracked run as --store"
    refusal = line.fails("predict", f"models:/{NAME}@champion", table)
    assert "set MLFLOW_TRACKING_URI or give --store" in refusal
    assert not (tmp_path / "out.csv").exists()


def test_the_champion_is_told_by_its_full_address(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert track_folder(results)
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"precisionflow: champion heteroscedastic is models:/{NAME}@champion at sqlite:///{results}/mlflow.db: "
        f"precisionflow predict models:/{NAME}@champion TABLE --store {results}"
    )
    judged = {"gate": {"coverage_97.5_after_conformal_split": {"low": 0.9}}}
    command = serving_command(BOTH.model_copy(update=judged), NAME, store=Path("my results"))
    assert shlex.split(command) == [
        *("precisionflow", "predict", f"models:/{NAME}@champion", "TABLE", "--store", "my results"),
        *("--level", "0.975", "--recalibrated", "conformal_split"),
    ]


def test_a_model_from_outside_has_nothing_to_register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its gate is judged, and keeps no network from the registry."""
    (variant,) = expand(load("quickstart-regression", ["model={kind: ridge}", "ablation.axes={}", RIDGE]))
    judgement = Judgement(variant.experiment, (), 1.0)
    monkeypatch.setattr(registry, "judge", lambda *_, **__: [judgement])
    assert judgement.passed
    assert registry.candidates(BOTH, evaluations=[]) == []


def test_what_misses_the_gate_is_registered_without_the_alias(results: Path) -> None:
    _settle(results, gated("{high: 1.9}"))
    assert track_folder(results)
    assert champion(results) is None
    assert (
        versions(results)["heteroscedastic"].tags["precisionflow.gate"]
        == "missed on test rows: nll 2 is above 1.9"
    )


def test_a_model_is_registered_once_and_keeps_its_place(results: Path) -> None:
    assert track_folder(results)
    registered = client(results)
    registered.set_registered_model_alias(NAME, "champion", versions(results)["homoscedastic"].version)
    assert track_folder(results)
    assert register_models([BOTH], evaluations=evaluations(results), store=results)
    assert len(registered.search_model_versions(f"name = '{NAME}'")) == 2
    assert champion(results) == "homoscedastic", "who chose another by hand is not overruled"


def test_a_gate_that_moves_judges_the_same_models_again(results: Path) -> None:
    assert register_models([BOTH], evaluations=evaluations(results), store=results)
    assert champion(results) == "heteroscedastic"
    for bounds, holder in {"{high: 1}": None, "{low: 2.4, high: 3}": "homoscedastic"}.items():
        moved = gated(bounds)
        _settle(results, moved)
        assert track_folder(results)
        assert champion(results) == holder
    assert len(client(results).search_model_versions(f"name = '{NAME}'")) == 2


def test_an_interrupted_registration_is_completed(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from precisionflow.tracking import registry

    def full_disk(*_arguments: object, **_keywords: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "_crown", full_disk)
        assert not register_models([BOTH], evaluations=evaluations(results), store=results)
    assert register_models([BOTH], evaluations=evaluations(results), store=results)
    assert champion(results) == "heteroscedastic"
    assert len(client(results).search_model_versions(f"name = '{NAME}'")) == 2


def test_without_a_gate_nothing_is_registered(results: Path) -> None:
    free = synthetic.regression(("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0]"))
    _settle(results, free)
    assert track_folder(results)
    assert client(results).search_registered_models() == []


def test_runs_that_are_not_there_are_a_line(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "_warnings", [])
    (results / "mlflow.db").unlink()
    assert not register_models([BOTH], evaluations=evaluations(results), store=results)
    (line,) = capsys.readouterr().err.splitlines()
    assert "mlflow.db has no run of noise diabetes homoscedastic, so nothing is registered" in line
    assert client(results).search_registered_models() == []


def test_a_server_that_does_not_answer_is_no_missing_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(
        ValueError, match=r"models:/m@champion: no answer of http://127.0.0.1:1 \(.*see that MLflow runs"
    ):
        registry.champion("m", store=None)


@pytest.mark.parametrize("name", [NAME, "other"])
def test_a_champion_that_is_not_there_is_registered_first(name: str, results: Path) -> None:
    with pytest.raises(
        ValueError, match=f"models:/{name}@champion: is not at .*; register a model that passes"
    ):
        registry.champion(name, store=results)
