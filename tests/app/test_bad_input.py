"""What is wrong with a study is one line that names it, before anything is written."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from precisionflow.ablation.design import expand
from precisionflow.results.layout import EvaluatedCell, cell_folder
from tests.command_line import Line
from tests.finished_cells import fill
from tests.synthetic import REGRESSION, evaluations, mark_again, plausible, regression

AXES = """ablation:
  axes:
    noise:
      homoscedastic: {objective.kind: homoscedastic}
      heteroscedastic: {objective.kind: gaussian_nll}
"""
CONFIGURATIONS = {
    "a metric that nobody measures": (
        ("ablation:\n", "ablation:\n  metrics: [nlll]\n"),
        "ablation.metrics: task.kind 'regression' has no metric 'nlll'; allowed: ",
    ),
    "an axis that changes nothing": (
        ("heteroscedastic: {objective.kind: gaussian_nll}", "again: {objective.kind: homoscedastic}"),
        "ablation.axes.noise: changes nothing between 'homoscedastic' and 'again'; change or leave out one of them",
    ),
    "a design without a cell": (
        (AXES, "ablation: {design: {kind: zip}}\n"),
        "ablation.design: zip has no combination, so no cell; give ablation.axes",
    ),
    "no seed": (("seeds: [0, 1]", "seeds: []"), "seeds: given []; should have at least 1"),
    "no split": (
        ("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: []"),
        "splits: given []; should have at least 1",
    ),
    "an axis without a level": ((AXES, "ablation: {axes: {noise: {}}}"), "ablation.axes.noise: has no level"),
    "a margin of zero": (
        ("  axes:\n", "  margins: {nll: {absolute: 0}}\n  axes:\n"),
        "ablation.margins.nll.absolute: given 0; should be greater than 0",
    ),
    "a margin that is a share of nothing": (
        ("  axes:\n", "  margins: {nll: {relative: 0.01}}\n  axes:\n"),
        "ablation.margins.nll.relative: nll has no zero that a share could be of; give an absolute margin",
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("verb", ["run", "plan", "expand"])
def test_a_study_that_means_nothing(name: str, verb: str, line: Line, tmp_path: Path) -> None:
    (old, new), message = CONFIGURATIONS[name]
    assert old in REGRESSION
    (tmp_path / "study.yaml").write_text(REGRESSION.replace(old, new))
    assert line.fails(verb, "study.yaml").startswith(message)
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_one_file_that_is_broken_among_many_is_named(line: Line, tmp_path: Path) -> None:
    """Of a cell that is finished: in the bytes, and without them."""
    results = fill(regression(), tmp_path)
    variant = expand(regression())[1].experiment
    cell = cell_folder(results.evaluation(variant), 1, 4)
    file = EvaluatedCell(cell).metrics
    whole = file.read_bytes()
    file.write_bytes(whole[:100] + b"?" + whole[101:])
    message = f"{file}: does not hold what evaluate wrote, its sha256 is another; delete {cell} and run evaluate again"
    words = ["aggregate", results.experiment("noise")]
    given = [w for v in expand(regression()) for w in ("--evaluation", results.evaluation(v.experiment))]
    assert line.fails(*words, *given, "--out", tmp_path / "out") == f"aggregate: {message}"
    file.write_bytes(b"PAR1")
    mark_again(cell)
    told = line.fails(*words, *given, "--out", tmp_path / "out")
    assert told.startswith(f"aggregate: {file}: is no readable Parquet file (")
    file.unlink()
    assert f"{file}: does not exist, although evaluate wrote it" in line.fails(
        *words, *given, "--out", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()


def test_what_is_broken_is_named_by_all_who_read_it(line: Line, tmp_path: Path) -> None:
    results = fill(regression(), tmp_path)
    file = EvaluatedCell(cell_folder(results.evaluation(expand(regression())[0].experiment), 0, 2)).metrics
    file.write_bytes(file.read_bytes()[:-3])
    for verb in ("table", "report"):
        assert "metrics.parquet: does not hold what evaluate wrote" in line.fails(verb, tmp_path)
    assert "metrics.parquet: does not hold what evaluate wrote" in line.fails(
        "compare", tmp_path, fill(regression(), tmp_path / "other").folder
    )


def refused(line: Line, folders: list[Path], tmp_path: Path) -> str:
    (tmp_path / "study.yaml").write_text(regression().model_dump_json())
    given = [word for folder in folders for word in ("--evaluation", folder)]
    return line.fails("aggregate", "study.yaml", *given, "--out", "out").removeprefix("aggregate: ")


def evaluated(folder: Path, **given) -> list[Path]:
    return evaluations(regression(), folder, given.pop("measure", plausible), **given)


def test_two_files_that_claim_one_cell_with_other_values(line: Line, tmp_path: Path) -> None:
    folders = evaluated(tmp_path / "a")
    other = evaluated(tmp_path / "b", measure=lambda *cell: plausible(*cell) | {"nll": 0.0})
    message = refused(line, [*folders, other[0]], tmp_path)
    assert message.startswith(
        f"{tmp_path}/b/evaluate/noise/diabetes/homoscedastic/seed-0-split-0: experiment 'noise'"
    )
    assert "has nll 0.0, another folder says 2.1" in message


@pytest.mark.parametrize(
    ("other_data", "told"),
    [
        ({"rows_learned": 300}, "44 rows after 300 learned, and on 44 rows after 398 learned"),
        ({"test": "1" * 64}, "test rows with the sha256 111111111111, and on others with 0"),
    ],
    ids=["other training rows", "other test rows, as many"],
)
def test_a_cell_that_is_measured_on_two_data_sets(
    other_data: dict[str, Any], told: str, line: Line, tmp_path: Path
) -> None:
    """The same values."""
    folders, other = evaluated(tmp_path / "a"), evaluated(tmp_path / "b", **other_data)
    message = refused(line, [*folders, other[1]], tmp_path)
    assert message.startswith(
        f"{tmp_path}/b/evaluate/noise/diabetes/heteroscedastic/seed-0-split-0: experiment"
    )
    assert message.endswith(f"is measured on {told}; keep the results on one data set")


def test_variants_that_are_measured_on_other_rows(line: Line, tmp_path: Path) -> None:
    first, _ = evaluated(tmp_path / "a")
    _, second = evaluated(tmp_path / "b", test="1" * 64)
    message = refused(line, [first, second], tmp_path)
    assert (
        "variant 'heteroscedastic', seed 0, split 0 is measured on test rows with the sha256 1111" in message
    )
    assert message.endswith("on others with 0; prepare the data once and evaluate again")


def test_a_metric_that_this_version_does_not_know(line: Line, tmp_path: Path) -> None:
    folders = evaluated(tmp_path, measure=lambda *cell: plausible(*cell) | {"nlll": 1.0})
    message = refused(line, folders, tmp_path)
    assert "seed-0-split-0/metrics.parquet: unknown metric 'nlll'; allowed: nll, " in message


def test_one_unit_has_no_interval_and_no_verdict(line: Line, tmp_path: Path) -> None:
    single = regression(("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0]"), ("seeds: [0, 1]", "seeds: [0]"))
    fill(single, tmp_path)
    told = line("table", tmp_path, "--format", "markdown")
    assert told.code == 0
    scores, contrasts = told.out.split("3 contrasts")
    assert " ± " not in scores.split("\n", 1)[1]
    assert "[" not in contrasts
    assert contrasts.count("too few seeds: 1 of 6") == 4


def test_a_folder_that_is_gone_is_named(line: Line, tmp_path: Path) -> None:
    results = fill(regression(), tmp_path / "there")
    shutil.rmtree(results.data)
    assert "none of 28 cells is done by this configuration and code" in line.fails(
        "table", tmp_path / "there"
    )
