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
from precisionflow.ablation.groups import group_of, read_design, write_design
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.config import Experiment, load, parse
from precisionflow.entrypoints import one_line_errors
from precisionflow.results.failures import write_failure
from precisionflow.results.layout import Results, variant_folder
from precisionflow.results.stage import once
from tests.command_line import AXES, TINY
from tests.every_stage import through_every_stage


@pytest.fixture(autouse=True)
def _new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is parsed yet, and no MLflow is set."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for cached in (entrypoints._experiment, entrypoints._read):
        cached.cache_clear()
    yield
    for cached in (entrypoints._experiment, entrypoints._read):
        cached.cache_clear()


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the experiments that were validated, one for each call of the validator."""
    validate, names = Experiment.model_validate, list[str]()

    def counting(content: Any, **rest: Any) -> Experiment:
        names.append(content["name"])
        return validate(content, **rest)

    monkeypatch.setattr(Experiment, "model_validate", counting)
    return names


def trained(whole: Experiment, folder: Path) -> dict[str, str]:
    """Where the design of an experiment, its data, its models and its evaluations are to be."""
    paths = {name: folder / name for name in ("design", "data", "model", "evaluation")}
    variants = stages.expand([whole])
    write_design([whole], variants, paths["design"])
    stages.prepare(variants, out=paths["data"])
    for variant in variants:
        stages.train(variant, data=paths["data"], out=variant_folder(paths["model"], variant))
    return {name: str(path) for name, path in paths.items()}


@pytest.mark.parametrize("destination", ["kfp", "folder:{}"])
def test_a_task_takes_its_group_and_reads_no_other_variant(
    destination: str, tmp_path: Path, validated: list[str]
) -> None:
    paths = trained(parse(TINY + AXES), tmp_path)
    validated.clear()
    there = destination.format(tmp_path / "results")
    made = entrypoints.evaluate("1:2 other", cluster="", **paths, destination=there)
    entrypoints.headline("1:2 other", design=paths["design"], evaluation=made)
    assert [str(path.relative_to(made)) for path in Path(made).glob("*/*/*/*")] == [
        "tiny/linnerud/other/seed-0-split-0"
    ]
    assert validated == ["tiny", "tiny"], "the experiment and the variant, once each"


def test_a_group_of_several_is_taken_as_each_alone(tmp_path: Path) -> None:
    paths = trained(parse(TINY + AXES), tmp_path)
    whole, part = tmp_path / "whole", tmp_path / "part"
    given = {"design": paths["design"], "data": paths["data"]}
    entrypoints.train("0:2 one to other", **given, model=str(whole), destination="kfp")
    for group in ("0:1 one", "1:2 other"):
        entrypoints.train(group, **given, model=str(part), destination="kfp")
    weights = [
        {str(f.relative_to(room)): f.read_bytes() for f in room.rglob("model.safetensors")}
        for room in (whole, part, Path(paths["model"]))
    ]
    assert len(weights[0]) == 2
    assert weights[0] == weights[1] == weights[2]
    rooms = [str(tmp_path / name) for name in ("a", "b")]
    for group, room in zip(("0:1 one", "1:2 other"), rooms, strict=True):
        entrypoints.evaluate(group, cluster="", **paths | {"evaluation": room}, destination="kfp")
    table = entrypoints.aggregate(
        paths["design"], evaluations=rooms, table=str(tmp_path / "table"), destination="kfp"
    )
    rows = read_aggregate(Path(table)).table.to_pylist()
    assert {row["variant"] for row in rows} == {"one", "other"}


def test_what_is_asked_of_a_cluster_comes_beside_the_design(tmp_path: Path) -> None:
    whole = parse(TINY + AXES)
    write_design([whole], stages.expand([whole]), tmp_path / "design")
    design, (plain,) = (
        str(tmp_path / "design"),
        entrypoints._design(str(tmp_path / "design"), "0:1 one").variants,
    )
    asked = '{"train":{"cpu":"7"}}'
    found = entrypoints._design(design, cluster=asked)
    assert {e.cluster.train.cpu for several in found for e in several} == {"7"}
    assert plain.cluster == whole.cluster != found.variants[0].cluster
    assert found.variants[0].model_copy(update={"cluster": plain.cluster}) == plain


@pytest.mark.parametrize("group", ["", "1", "one", "2:1 one", "0:3 one to more"])
def test_a_group_that_the_design_does_not_have_is_one_line(
    group: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = parse(TINY + AXES)
    write_design([whole], stages.expand([whole]), tmp_path / "design")
    paths = {"design": str(tmp_path / "design"), "data": "x", "model": "y"}
    if not group:
        with pytest.raises(ValueError, match=r"^group '': should be FIRST:STOP TITLE, such as 0:1 dot$"):
            group_of(group)
        return
    with pytest.raises(SystemExit):
        entrypoints.train(group, **paths, destination="kfp")
    assert capsys.readouterr().err.startswith(f"precisionflow: error: train: group '{group}': ")


def test_kfps_pages_get_numbers_to_compare_and_the_answer(tmp_path: Path) -> None:
    whole = parse(TINY + "seeds: [0, 1]\n" + AXES)
    results = Results(tmp_path)
    one, other = through_every_stage(whole, results)
    write_design([whole], [one, other], tmp_path / "design")
    given = {"design": str(tmp_path / "design"), "evaluation": str(results.evaluations)}
    found = entrypoints.headline("0:1 one", **given)
    rows = read_aggregate(results.aggregate).table.to_pylist()
    expected = {
        row["metric"]: row["mean"]
        for row in rows
        if row["variant"] == one.variant and row["metric"] in one.task.headline
    }
    assert found == pytest.approx(expected)
    assert set(found) == set(one.task.headline)
    both = entrypoints.headline("0:2 one to other", **given)
    assert {name: both[f"linnerud one {name}"] for name in found} == found
    assert len(both) == 2 * len(found)
    entrypoints.summarise(given["design"], table=str(results.aggregate), summary=str(tmp_path / "summary"))
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
    kept = entrypoints.headline("0:1 one", **given)
    assert set(kept) == set(found)
    assert kept != found


def test_a_task_says_where_its_output_is(tmp_path: Path) -> None:
    for destination, place in {"kfp": tmp_path / "given", f"folder:{tmp_path}": tmp_path / "data"}.items():
        given = {"data": str(tmp_path / "given"), "design": str(tmp_path / "design")}
        made = entrypoints.prepare([TINY], files={}, **given, destination=destination)
        assert made == str(place)
        assert len(list(place.glob("linnerud-*/split-0/dataset.json"))) == 1


def test_variants_go_on_as_a_file(tmp_path: Path) -> None:
    given = {"data": str(tmp_path / "data"), "design": str(tmp_path / "design")}
    entrypoints.prepare([TINY + AXES], files={}, **given, destination="kfp")
    found = read_design(tmp_path / "design")
    assert (found.experiments, found.variants) == ([parse(TINY + AXES)], stages.expand([parse(TINY + AXES)]))


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
        ["name: ["], files={}, data="x", design="y", destination="kfp"
    ),
    "prepare: destination '': should be kfp, ": lambda: entrypoints.prepare(
        [TINY], files={}, data="x", design="y", destination=""
    ),
    "identify: training.stepz: unknown key": lambda: entrypoints.identify(
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
