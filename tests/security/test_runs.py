"""A run writes no secret anywhere, and nothing that a user writes is run."""

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from precisionflow.components.resolve import resolve

from precisionflow.cluster.access import names
from precisionflow.config import ConfigError, Experiment, load, parse
from tests.command_line import TINY, Line
from tests.hostile import CANARY, SECRETS, TEXTS, WHOLE
from tests.whole_run import Run


@pytest.fixture(scope="module")
def finished(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of a whole run, of tracking and of compiling, and with all that they printed."""
    folder = tmp_path_factory.mktemp("secrets")
    shutil.copytree(tiny_run.folder, folder / "results")
    (folder / "printed-run").write_text(tiny_run.done.stdout + tiny_run.done.stderr)
    away = f"http://user:{SECRETS['MLFLOW_TRACKING_PASSWORD']}@127.0.0.1:9"
    _command(folder, "track", "results", code=3, MLFLOW_TRACKING_URI=away)
    _command(folder, "compile", "--out", "compiled")
    return folder


def _command(folder: Path, *words: str, code: int = 0, **variables: str) -> None:
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PRECISIONFLOW_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "precisionflow", *words],
        cwd=folder,
        env={**inherited, **SECRETS, **variables, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    (folder / f"printed-{words[0]}").write_text(done.stdout + done.stderr)
    assert done.returncode == code, done.stderr


def test_a_run_writes_no_secret(finished: Path) -> None:
    looked: list[str] = []
    found = []
    for path in sorted(file for file in finished.rglob("*") if file.is_file()):
        content = _content(path)
        looked.append(path.name)
        found += [
            f"{path.relative_to(finished)}: {name}" for name, value in SECRETS.items() if value in content
        ]
    assert not found
    expected = {
        "mlflow.db",
        "pipeline.log",
        "report.html",
        "model.json",
        "metrics.parquet",
        "tiny.yaml",
        "ablation.yaml",
    }
    assert expected <= set(looked)
    assert "tiny" in _content(finished / "results" / "mlflow.db")


def _content(path: Path) -> str:
    """Everything that a file says, unpacked."""
    if path.suffix == ".parquet":
        return str(pq.read_table(path).to_pylist())
    if path.suffix == ".db":
        connection = sqlite3.connect(path)
        try:
            return "\n".join(connection.iterdump())
        finally:
            connection.close()
    return path.read_bytes().decode("utf-8", errors="replace")


def test_a_run_takes_a_hostile_text_as_it_is(finished: Path, tiny_run: Run) -> None:
    for folder in (finished, tiny_run.experiment.parent):
        assert not list(folder.rglob(CANARY))
    written = parse((finished / "results" / "experiments" / "tiny.yaml").read_text(encoding="utf-8"))
    assert written.question == WHOLE
    page = (finished / "results" / "report" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "$(touch " in page


# What users write


@pytest.mark.parametrize("text", TEXTS)
def test_names_and_labels_are_refused_in_one_line(text: str, line: Line) -> None:
    for key in ("name", "variant", "cluster.workspace", "cluster.priority_class", "cluster.train.memory"):
        message = line.fails("show", "quickstart-regression", "--set", f"{key}={_quoted(text)}")
        assert message.startswith(f"{key}: given ")
    for overlay in (
        f"ablation.axes={{{_quoted(text)}: {{a: {{objective.kind: homoscedastic}}}}}}",
        f"ablation.axes={{axis: {{{_quoted(text)}: {{objective.kind: homoscedastic}}}}}}",
        f"ablation.datasets={{{_quoted(text)}: {{task.source.name: linnerud}}}}",
        f"cluster.train.node_selector={{{_quoted(text)}: a}}",
        f"cluster.train.node_selector={{a: {_quoted(text)}}}",
        f"cluster.train.tolerations=[{{key: {_quoted(text)}}}]",
        f"ablation.metrics=[{_quoted(text)}]",
        f"gate={{{_quoted(text)}: {{low: 0}}}}",
        f"training.steps={_quoted(text)}",
        f"{text}=1",
    ):
        key = overlay.partition("=")[0]
        message = line.fails("show", "quickstart-regression", "--set", overlay)
        assert overlay == f"{text}=1" or message.startswith(key), message
    assert not any(Path.cwd().iterdir()), "a text was run"


def _quoted(text: str) -> str:
    """A text as a scalar of YAML in one line."""
    return yaml.safe_dump(text, default_style='"', width=10**6, allow_unicode=False).strip()


@pytest.mark.parametrize("text", TEXTS)
def test_a_setting_makes_nothing_but_data(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unquoted, a text is what YAML says or refused; quoted, it arrives as it is."""
    monkeypatch.chdir(tmp_path)
    assert load("quickstart-regression", [f"question={_quoted(text)}"]).question == text
    with contextlib.suppress(ConfigError):
        load("quickstart-regression", [f"question={text}"])
    assert not list(tmp_path.iterdir())


IMAGES = {"core": "registry.example/core:1", "train": "registry.example/train:1"}


def _compiled(experiment: Experiment, folder: Path) -> list[dict[str, Any]]:
    """The documents of the pipeline as it would be submitted."""
    from precisionflow.pipelines.compiled import compile_experiment

    compile_experiment(experiment, images=IMAGES, mlflow=names.MLFLOW_ALL, folder=folder)
    return list(yaml.safe_load_all((folder / "tiny.yaml").read_text(encoding="utf-8")))


def test_what_is_submitted_differs_in_data_alone(tmp_path: Path) -> None:
    """A hostile text changes default arguments and the description: no command, image, variable, platform setting."""
    plain, hostile = parse(TINY), parse(TINY).model_copy(update={"question": WHOLE})
    compiled = {name: _compiled(e, tmp_path / name) for name, e in (("plain", plain), ("hostile", hostile))}
    for spec, *_ in compiled.values():
        spec["pipelineInfo"].pop("description", None)
    arguments = {
        name: spec["root"].pop("inputDefinitions")["parameters"] for name, (spec, *_) in compiled.items()
    }
    assert compiled["hostile"] == compiled["plain"]
    given, same = (
        {key: value["defaultValue"] for key, value in arguments[name].items()}
        for name in ("hostile", "plain")
    )
    assert [parse(text) for text in given.pop("experiments")] == [hostile]
    assert [parse(text) for text in same.pop("experiments")] == [plain]
    assert given == same


def test_what_is_submitted_holds_no_placeholder_of_the_user(tmp_path: Path) -> None:
    """KFP and Argo replace what stands in two braces, wherever it stands."""
    documents = _compiled(parse(TINY).model_copy(update={"question": WHOLE}), tmp_path)
    assert max(str(documents)) <= "\uffff"  # KFP's database takes no more
    text = (tmp_path / "tiny.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"\{\{[^}]*", text)) <= {"{{$", "{{$.pipeline_job_uuid"} | set(
        _placeholders(tmp_path)
    )


def test_no_argument_of_a_task_names_a_variable_of_its_pod(tmp_path: Path) -> None:
    """The kubelet replaces $(NAME) in arguments, also by a secret's value; tasks hand on what they were given."""
    hostile = parse(TINY).model_copy(update={"question": WHOLE})
    spec, *_ = _compiled(hostile, tmp_path)
    given = spec["root"]["inputDefinitions"]["parameters"]["experiments"]["defaultValue"]
    handed_on = resolve.python_func(
        experiment=hostile.model_dump_json(), settings=["training.steps=3"], destination="kfp"
    )
    texts = [*given, *handed_on]
    assert len(texts) == 2
    for text in texts:
        assert "$" not in text
        assert "{{" not in text
        assert parse(text).question == WHOLE


def _placeholders(folder: Path) -> list[str]:
    """Those of the pipeline itself."""
    _compiled(parse(TINY), folder / "plain")
    return re.findall(r"\{\{[^}]*", (folder / "plain" / "tiny.yaml").read_text(encoding="utf-8"))


def test_a_path_is_data(tmp_path: Path) -> None:
    """The name of a file reaches the pod as it is."""
    path = "folder/" + "\n".join(text for text in TEXTS if "/" not in text)
    content = parse(TINY).model_dump(mode="json")
    content["task"]["source"] = {"kind": "uci_folder", "path": path}
    spec, *_ = _compiled(Experiment.model_validate(content), tmp_path)
    given = spec["root"]["inputDefinitions"]["parameters"]["experiments"]["defaultValue"]
    assert parse(given[0]).task.source.path == path  # type: ignore[union-attr]
    assert "touch" not in str(spec["deploymentSpec"])
