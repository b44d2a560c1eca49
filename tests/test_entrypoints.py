"""What KFP's tasks call: every text parsed once, one line and an exit code for an error, what comes out."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from precisionflow import entrypoints, stages
from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.config import Experiment, load, parse
from precisionflow.entrypoints import one_line_errors
from precisionflow.results.failures import write_failure
from precisionflow.results.layout import Results
from precisionflow.results.stage import once
from tests.command_line import AXES, TINY
from tests.every_stage import through_every_stage


@pytest.fixture(autouse=True)
def _new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is parsed yet, and no MLflow is set."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    entrypoints._experiment.cache_clear()
    yield
    entrypoints._experiment.cache_clear()


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the experiments that were validated, one for each call of the validator."""
    validate, names = Experiment.model_validate, list[str]()

    def counting(content: Any, **rest: Any) -> Experiment:
        names.append(content["name"])
        return validate(content, **rest)

    monkeypatch.setattr(Experiment, "model_validate", counting)
    return names


def trained(folder: Path) -> tuple[Experiment, dict[str, str]]:
    """A variant and where its data, its model and its evaluation are to be."""
    (variant, _) = stages.expand([parse(TINY + AXES)])
    paths = {name: folder / name for name in ("data", "model", "evaluation")}
    stages.prepare([variant], out=paths["data"])
    stages.train(variant, data=paths["data"], out=paths["model"])
    return variant, {name: str(path) for name, path in paths.items()}


@pytest.mark.parametrize("destination", ["kfp", "folder:{}"])
def test_every_experiment_is_parsed_once(destination: str, tmp_path: Path, validated: list[str]) -> None:
    variant, paths = trained(tmp_path)
    given = [TINY + AXES, TINY.replace("name: tiny", "name: other")]
    validated.clear()
    made = entrypoints.evaluate(
        given, variant.model_dump_json(), **paths, destination=destination.format(tmp_path / "results")
    )
    assert Path(made, "seed-0-split-0", "metrics.parquet").exists()
    assert sorted(validated) == ["other", "tiny", "tiny"]


def test_a_text_in_two_arguments_is_one_experiment(tmp_path: Path, validated: list[str]) -> None:
    variant, paths = trained(tmp_path)
    text = variant.model_dump_json()
    validated.clear()
    entrypoints.evaluate([text], text, **paths, destination="kfp")
    assert validated == ["tiny"]


def test_kfps_pages_get_numbers_to_compare_and_the_answer(tmp_path: Path) -> None:
    whole = parse(TINY + "seeds: [0, 1]\n" + AXES)
    results = Results(tmp_path)
    one, other = through_every_stage(whole, results)
    text, texts = one.model_dump_json(), [TINY + "seeds: [0, 1]\n" + AXES]
    found = entrypoints.headline(text, evaluation=str(results.evaluation(one)))
    rows = read_aggregate(results.aggregate).table.to_pylist()
    expected = {
        row["metric"]: row["mean"]
        for row in rows
        if row["variant"] == one.variant and row["metric"] in one.task.headline
    }
    assert found == pytest.approx(expected)
    assert set(found) == set(one.task.headline)
    entrypoints.summarise(texts, table=str(results.aggregate), summary=str(tmp_path / "summary"))
    page = (tmp_path / "summary").read_text()
    assert page.startswith("# tiny\n\nDoes it run?\n")
    assert f"| {other.variant} |" in page
    shutil.rmtree(results.evaluation(one) / "seed-0-split-0")
    once(
        results.evaluation(one) / "seed-0-split-0",
        verb="evaluate",
        inputs=1,
        work=lambda folder: write_failure(
            folder, one, seed=0, split=0, stage="evaluate", error=ValueError("no")
        ),
    )
    kept = entrypoints.headline(text, evaluation=str(results.evaluation(one)))
    assert set(kept) == set(found)
    assert kept != found


def test_a_task_says_where_its_output_is(tmp_path: Path) -> None:
    for destination, place in {"kfp": tmp_path / "given", f"folder:{tmp_path}": tmp_path / "data"}.items():
        made = entrypoints.prepare([TINY], files={}, data=str(tmp_path / "given"), destination=destination)
        assert made == str(place)
        assert len(list(place.glob("linnerud-*/split-0/dataset.json"))) == 1


def test_variants_go_on_as_text() -> None:
    variants = [parse(text) for text in entrypoints.expand([TINY + AXES])]
    assert variants == stages.expand([parse(TINY + AXES)])


@pytest.mark.parametrize("kept", [True, False])
def test_what_a_search_found_becomes_the_experiment_of_a_results_folder(kept: bool, tmp_path: Path) -> None:
    destination = f"folder:{tmp_path}" if kept else "kfp"
    (text,) = entrypoints.resolve(TINY + AXES, settings=["training.steps=7"], destination=destination)
    assert parse(text) == parse(TINY.replace("steps: 2", "steps: 7") + AXES)
    files = list(tmp_path.rglob("*.yaml"))
    assert files == ([tmp_path / "experiments" / "tiny.yaml"] if kept else [])
    assert all(load(str(file)) == parse(text) for file in files)


ERRORS: dict[str, tuple[Exception, int]] = {
    "what was given": (ValueError("what was\ngiven"), 2),
    "a/b: No space left on device; mend that": (OSError(28, "No space left on device", "a/b"), 2),
    "not enough memory (1 GiB); make": (MemoryError("1 GiB"), 2),
    "no such run": (ClusterError("no such run"), 3),
}


@pytest.mark.parametrize("line", ERRORS)
@pytest.mark.parametrize(("verb", "begun"), [("train", "train: "), (None, "")])
def test_an_error_is_one_line_and_an_exit_code(
    verb: str | None, begun: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error, code = ERRORS[line]
    with pytest.raises(SystemExit) as caught, one_line_errors(verb):
        raise error
    assert caught.value.code == code
    said = capsys.readouterr().err
    assert said.startswith(f"precisionflow: error: {begun}{line}")
    assert said.count("\n") == 1


def test_a_mistake_in_a_task_without_torch_is_its_line() -> None:
    program = (
        "import sys; sys.modules['torch'] = None; from precisionflow.entrypoints import one_line_errors\n"
        "with one_line_errors('prepare'): raise ValueError('row 1')"
    )
    environment = {**os.environ, "KFP_POD_NAME": "a"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "precisionflow: error: prepare: row 1\n")


def test_a_defect_is_no_line() -> None:
    with pytest.raises(KeyError), one_line_errors("train"):
        raise KeyError("x")


BAD = {
    "prepare: experiment: not valid YAML": lambda: entrypoints.prepare(
        ["name: ["], files={}, data="x", destination="kfp"
    ),
    "prepare: destination '': should be kfp, ": lambda: entrypoints.prepare(
        [TINY], files={}, data="x", destination=""
    ),
    "expand: training.stepz: unknown key": lambda: entrypoints.expand(
        [TINY.replace("steps", "stepz")]
    ),
    "launch_search: study: is a str; it should be": lambda: entrypoints.launch_search(
        "study", images={}, run="1", trials="x", destination="kfp"
    ),
}  # fmt: skip


@pytest.mark.parametrize("line", BAD)
def test_a_bad_argument_ends_the_task(
    line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        BAD[line]()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"precisionflow: error: {line}")
    assert list(tmp_path.iterdir()) == []
