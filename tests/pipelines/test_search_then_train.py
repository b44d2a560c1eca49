"""Search, then train: the best settings reach the training, which is judged and registered; on this machine."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import MessageToJson
from precisionflow.components.images import CORE
from precisionflow.components.resolve import resolve
from precisionflow.pipelines.search_then_train import search_then_train_on_cluster

from precisionflow import stages
from precisionflow.cluster.katib.spec import equipped
from precisionflow.config import load, parse
from precisionflow.records.files import read_card
from precisionflow.records.search import Best
from precisionflow.search.study import parse_study
from tests.command_line import AXES, TINY, Line

GATED = TINY + "seeds: [0, 1]\ngate: {nll: {high: 1000}, rmse: {high: 1}}\n"


def study(experiment: Path) -> dict[str, Any]:
    """Three trials of a learning rate."""
    command = [
        "precisionflow",
        "trial",
        str(experiment),
        "--set",
        "training.learning_rate=${trialParameters.rate}",
    ]
    container = {"name": "training", "image": CORE, "command": command}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": "rates"},
        "spec": {
            "objective": {"type": "minimize", "objectiveMetricName": "validation_loss"},
            "algorithm": {"algorithmName": "grid"},
            "parallelTrialCount": 2,
            "maxTrialCount": 2,
            "maxFailedTrialCount": 1,
            "parameters": [
                {"name": "lr", "parameterType": "discrete", "feasibleSpace": {"list": ["0.001", "0.5"]}}
            ],
            "trialTemplate": {
                "primaryContainerName": "training",
                "trialParameters": [{"name": "rate", "reference": "lr", "description": ""}],
                "trialSpec": {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "spec": {"backoffLimit": 0, "template": {"spec": pod}},
                },
            },
        },
    }


def test_what_was_found_is_trained_judged_and_registered(line: Line, tmp_path: Path) -> None:
    Path("tiny.yaml").write_text(GATED)
    Path("rates.yaml").write_text(yaml.safe_dump(study(tmp_path / "tiny.yaml")))
    assert line("search", "rates.yaml").code == 0
    found = read_card(Path("runs", "search", "rates", "best.json"), Best)
    code, out, err = line(
        "search", "rates.yaml", "--train", "tiny.yaml", "--set", "seeds=[3, 4]", "--out", "out"
    )
    assert (code, err) == (0, "")
    best = read_card(Path("out", "search", "best.json"), Best)
    assert best == found
    assert best.trials == 2
    assert "search rates: the trials in runs/search/rates are used" in out
    assert not list(Path("out", "search", "trials").glob("*/results"))
    (setting,) = best.settings
    assert setting in ("training.learning_rate=0.001", "training.learning_rate=0.5")
    trained = load("out/experiments/tiny.yaml")
    assert trained.training.learning_rate == float(setting.partition("=")[2])
    assert trained.seeds == (3, 4)
    assert sum(row.startswith("evaluate tiny linnerud default seed ") for row in out.splitlines()) == 2
    assert "gate tiny linnerud default missed on test rows: rmse " in out
    with sqlite3.connect(Path("out", "mlflow.db")) as store:
        said = store.execute(
            "select value from model_version_tags where key = 'precisionflow.gate'"
        ).fetchall()
        champions = store.execute("select count(*) from registered_model_aliases").fetchone()
    store.close()
    assert [reason.partition(" ")[0] for (reason,) in said] == ["missed"]
    assert champions == (0,)


def test_a_cluster_that_is_not_known_is_one_line(line: Line, tmp_path: Path) -> None:
    Path("tiny.yaml").write_text(TINY)
    Path("rates.yaml").write_text(yaml.safe_dump(study(tmp_path / "tiny.yaml")))
    Path("images.json").write_text(
        json.dumps(dict.fromkeys(("core", "train"), "registry.example/a@sha256:" + "0" * 64))
    )
    words = ("search", "rates.yaml", "--train", "tiny.yaml", "--cluster", "--context", "none-such")
    words += ("--images", "images.json")
    code, out, err = line(*words)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "with --context" in err


def test_settings_win_over_the_experiment_and_its_axes_stay() -> None:
    (text,) = resolve.python_func(
        experiment=TINY + AXES, settings=["model.hidden=[5]", "training.steps=7"], destination="kfp"
    )
    assert parse(text).model.hidden == (5,)
    variants = stages.expand([parse(text)])
    assert [variant.variant for variant in variants] == ["one", "other"]
    assert {variant.training.steps for variant in variants} == {7}


def test_a_setting_that_fits_no_experiment_ends_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        resolve.python_func(experiment=TINY, settings=["training.stepps=7"], destination="kfp")
    assert caught.value.code == 2
    assert "training.stepps" in capsys.readouterr().err


def compiled(tmp_path: Path, experiment: str) -> dict[str, Any]:
    (tmp_path / "tiny.yaml").write_text(TINY)
    given = parse_study(study(tmp_path / "tiny.yaml"))
    images = {"core": "here/python-core:1", "train": "here/python-train:1"}
    return search_then_train_on_cluster(given, parse(experiment), images=images)


def dags(pipeline: Any) -> dict[str, dict[str, Any]]:
    """Tasks of every part of a compiled pipeline, by the part's name."""
    found = json.loads(MessageToJson(pipeline.pipeline_spec))
    parts = {"root": found["root"], **found["components"]}
    return {name: part["dag"]["tasks"] for name, part in parts.items() if "dag" in part}


def test_on_a_cluster_a_bad_end_of_the_training_is_recorded_for_what_was_found(tmp_path: Path) -> None:
    """As in the pipeline of an experiment without a search: `finish` runs whatever the others came to."""
    parts = dags(compiled(tmp_path, GATED))
    training = parts[parts["root"]["train"]["componentRef"]["name"]]
    (handled,) = [name for name in training if name.startswith("exit-handler-")]
    assert training.keys() == {handled, "finish"}
    assert training["finish"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert training["finish"]["dependentTasks"] == [handled]
    given = training["finish"]["inputs"]["parameters"]
    assert given["experiments"] == {"componentInputParameter": "experiments"}
    inside = parts[training[handled]["componentRef"]["name"]]
    assert {"prepare", "aggregate", "report", "register"} <= inside.keys()
    tuned = parts["root"]["train"]["inputs"]["parameters"]["experiments"]["taskOutputParameter"]
    assert tuned["producerTask"] == "resolve"


@pytest.mark.parametrize(("nodes", "trained_by"), [(1, "train"), (2, "launch-trainjob")])
def test_on_a_cluster_several_nodes_train_as_a_trainjob(tmp_path: Path, nodes: int, trained_by: str) -> None:
    engine = f"engine: {{kind: deepspeed, ranks: {nodes}, nodes: {nodes}}}\n"
    pipeline = compiled(tmp_path, TINY + engine)
    loops = [tasks for name, tasks in dags(pipeline).items() if name.startswith("comp-for-loop")]
    assert [sorted(tasks) for tasks in loops] == [sorted(["evaluate", trained_by])]
    platform = json.loads(MessageToJson(pipeline.platform_spec))["platforms"]["kubernetes"]
    pods = platform["deploymentSpec"]["executors"]
    mounting = [name for name, pod in pods.items() if "pvcMount" in pod]
    assert mounting == ([f"exec-{trained_by}"])


def test_on_a_cluster_study_and_experiment_are_the_arguments_and_tasks_are_equipped(tmp_path: Path) -> None:
    images = {"core": "here/python-core:1", "train": "here/python-train:1"}
    (tmp_path / "tiny.yaml").write_text(TINY)
    given = study(tmp_path / "tiny.yaml")
    pipeline = search_then_train_on_cluster(parse_study(given), parse(GATED), images=images)
    content = pipeline.pipeline_spec
    parameters = content.root.input_definitions.parameters
    assert parse(parameters["experiment"].default_value.string_value) == parse(GATED)
    cluster = parse(GATED).cluster
    assert json.loads(parameters["study"].default_value.string_value) == equipped(
        given, cluster, claim=cluster.workspace
    )
    assert sorted(content.root.dag.tasks) == ["launch-search", "resolve", "train"]
    used = {
        label.removeprefix("exec-"): executor["container"]["image"]
        for label, executor in content.deployment_spec["executors"].items()
    }
    assert used["launch-search"] == used["register"] == images["core"]
    assert used["train"] == used["evaluate"] == images["train"]
    searching = content.root.dag.tasks["launch-search"].inputs.parameters
    assert dict(searching["images"].runtime_value.constant.struct_value) == images
