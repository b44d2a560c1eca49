"""Paths of raw files: relative to the file that names them, whatever the current folder; by name on a cluster."""

from pathlib import Path

import pytest

from precisionflow.ablation.design import expand
from precisionflow.config import ConfigError, load, parse, to_yaml
from precisionflow.config.places import by_name

OWN = """
name: own
task: {kind: regression, source: {kind: table_file, path: %s, target: y}}
model: {kind: mlp}
objective: {kind: gaussian_nll}
ablation:
  datasets:
    one: {task.source.path: sets/one.csv}
    two: {task.source: {path: ../study/sets/two.csv}, task.validation_fraction: 0.2}
    far: {task.source.path: far/away.csv}
  axes:
    table: {own: {task.source.target: y}, other: {task: {source: {target: z}}}}
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment's file with tables around it; the current folder has a table of the same name."""
    for name in (
        "study/t.csv",
        "study/sets/one.csv",
        "study/sets/two.csv",
        "elsewhere/t.csv",
        "elsewhere/u.csv",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x,y\n")
    (tmp_path / "study/own.yaml").write_text(OWN % "t.csv")
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "study"


def test_a_path_is_relative_to_the_file_that_holds_it(study, monkeypatch) -> None:
    experiment = load(str(study / "own.yaml"))
    assert experiment.task.source.path == str(study / "t.csv")
    monkeypatch.chdir(study)
    assert load("own.yaml") == load("./own.yaml") == experiment
    assert parse(to_yaml(experiment)) == experiment
    paths = {variant.dataset: variant.experiment.task.source.path for variant in expand(experiment)}
    assert paths == {
        "one": str(study / "sets/one.csv"),
        "two": str(study / "sets/two.csv"),
        "away": "far/away.csv",
    }


@pytest.mark.parametrize(
    "setting",
    ["task.source.path=u.csv", "task.source={path: u.csv}", "task={source: {path: ../elsewhere/u.csv}}"],
)
def test_the_path_of_a_setting_is_relative_to_the_current_folder(study, setting) -> None:
    assert load(str(study / "own.yaml"), [setting]).task.source.path == str(study.parent / "elsewhere/u.csv")
    levels = load(
        str(study / "own.yaml"), ["ablation.datasets={u: {task.source.path: u.csv}}"]
    ).ablation.datasets
    assert levels == {"u": {"task.source.path": str(study.parent / "elsewhere/u.csv")}}


def test_a_file_of_predictions_is_found_the_same_way(study) -> None:
    levels = "\n    model: {theirs: {model.kind: predictions, model.path: sets/one.csv}, other: {model: {path: t.csv}}}"
    (study / "own.yaml").write_text(OWN % "t.csv" + levels)
    experiment = load(str(study / "own.yaml"), ["model={kind: predictions, path: u.csv}"])
    assert experiment.model.path == str(study.parent / "elsewhere/u.csv")
    theirs, other = experiment.ablation.axes["model"].values()
    assert theirs["model.path"] == str(study / "sets/one.csv")
    assert other == {"model": {"path": str(study / "t.csv")}}


def test_what_is_not_there_stays_for_the_folder_of_raw_data(study, monkeypatch) -> None:
    for path in ("uci/yacht/t.csv", str(study.parent / "no.csv"), "sub/../t2.csv"):
        (study / "own.yaml").write_text(OWN % path)
        assert load(str(study / "own.yaml")).task.source.path == path
    assert load("uci").task.source.path == "uci/yacht"
    monkeypatch.setenv("HOME", str(study))
    (study / "own.yaml").write_text(OWN % "~/sets/one.csv")
    assert load(str(study / "own.yaml")).task.source.path == str(study / "sets/one.csv")


@pytest.mark.parametrize("path", ["..", "sets/..", "/", "''"])
def test_a_folder_without_a_name_is_refused_as_it_is_written(study, path) -> None:
    (study / "own.yaml").write_text(OWN % path)
    with pytest.raises(ConfigError, match="should end in the name of a file or folder"):
        load(str(study / "own.yaml"))


def test_a_mapping_that_holds_itself_is_refused(study) -> None:
    (study / "own.yaml").write_text(
        "name: own\ntask: &a {kind: regression, source: *a}\nablation: &b {axes: *b}\n"
    )
    with pytest.raises(ConfigError):
        load(str(study / "own.yaml"))


def test_a_cluster_finds_a_file_by_its_name(study) -> None:
    experiment = load(str(study / "own.yaml"), [f"task.source.path={study}/t.csv"])
    named = by_name(experiment.model_dump(mode="json"), workspace="/workspace")
    assert named["task"]["source"]["path"] == "t.csv"
    assert named["ablation"]["datasets"] == {
        "one": {"task.source.path": "one.csv"},
        "two": {"task.source": {"path": "two.csv"}, "task.validation_fraction": 0.2},
        "far": {"task.source.path": "far/away.csv"},
    }
    inside = {"task": {"source": {"path": "/workspace/data/t.csv"}}}
    assert by_name(inside, workspace="/workspace") == inside
    twice = {
        "task": {"source": {"path": "/a/t.csv"}},
        "ablation": {"datasets": {"b": {"task.source.path": "/b/t.csv"}}},
    }
    with pytest.raises(ConfigError, match=r"^/a/t.csv and /b/t.csv: have one name, .* rename one of them$"):
        by_name(twice, workspace="/workspace")
