"""The page of a results folder: of a study that is not finished what stands, of a finished one its own page."""

from pathlib import Path

import pytest

from precisionflow.results.failures import write_failure
from precisionflow.results.layout import Reported, cell_folder
from precisionflow.results.stage import once
from tests.command_line import Line
from tests.finished_cells import fill, tabulate
from tests.synthetic import expand, language, regression

SECOND = "heteroscedastic"
OPEN = [(SECOND, 1, 3), *((SECOND, seed, split) for seed in (0, 1) for split in (4, 5, 6))]


def shown(folder: Path) -> str:
    return Reported(folder).page.read_text(encoding="utf-8")


def test_the_page_of_an_unfinished_study_says_so_first(line: Line, tmp_path: Path) -> None:
    results = fill(regression(("ablation:", "gate: {nll: {high: 9}}\nablation:")), tmp_path, without=OPEN)
    done = line("report", tmp_path)
    assert (done.code, done.err) == (0, "")
    assert f"report {results.partial}/report.html" in done.out
    page = shown(results.partial)
    first = page[page.index('<article id="x0"') : page.index("<h2")]
    assert "21 of 28 cells done, 7 open: means and contrasts are of the units that are complete" in first
    assert "too few splits: 3 of 6" in page
    assert "<h3>Gate</h3>" not in page
    assert not results.report.exists()


def test_a_variant_without_a_cell_and_one_without_a_pair_hide_nothing(line: Line, tmp_path: Path) -> None:
    """Of four variants one has no cell, one none of the seeds of the others."""
    names = [variant.name for variant in expand(language())]
    without = [(names[1], seed, 0) for seed in (0, 1, 2)] + [(names[3], seed, 0) for seed in (0, 1)]
    fill(language(), tmp_path, without=[*without, (names[0], 2, 0), (names[2], 2, 0)])
    assert line("report", tmp_path).code == 0
    page = shown(tmp_path / "partial")
    assert "5 of 12 cells done" in page
    assert page.count("predictive_coding vs backprop") >= 1
    fill(language(), tmp_path / "one", without=[(name, s, 0) for name in names[1:] for s in (0, 1, 2)])
    assert line("report", tmp_path / "one").code == 0
    assert "No contrast has a unit that is complete on both sides." in shown(tmp_path / "one" / "partial")


def test_a_finished_study_has_the_page_of_its_run(line: Line, tmp_path: Path) -> None:
    results = fill(regression(), tmp_path)
    tabulate(regression(), results)
    assert line("report", tmp_path).code == 0
    page = shown(results.report)
    assert '<p class="unfinished">' not in page
    assert not results.partial.exists()
    before = Reported(results.report).page.stat().st_mtime_ns
    done = line("report", tmp_path, "--export", tmp_path / "files")
    assert Reported(results.report).page.stat().st_mtime_ns == before
    assert f"export {tmp_path}/files: " in done.out
    assert len(list((tmp_path / "files" / "figures" / "noise").glob("*.svg"))) == page.count("<figure>")


def test_failed_cells_alone_are_told_as_that(line: Line, tmp_path: Path) -> None:
    experiment = regression()
    every = [(v.name, s, k) for v in expand(experiment) for s in (0, 1) for k in range(7)]
    results = fill(experiment, tmp_path, without=every)
    fail(results, experiment, seed=0, split=0)
    message = line.fails("report", tmp_path)
    assert message.startswith(
        f"{tmp_path}: every cell that is done has failed, so there is no page; `precisionflow st"
    )
    assert "1 failed cell" in line("status", tmp_path).out


def fail(results, experiment, *, seed: int, split: int) -> None:
    """The first variant's cell as one whose training failed."""
    from precisionflow.results.cells import evaluation_inputs, training_inputs

    variant = expand(experiment)[0].experiment
    where, data, model = {"seed": seed, "split": split}, results.data, results.model(variant)
    given = {"stage": "train", "error": ValueError("validation loss is nan at step 30")}
    for verb, root, inputs in (
        ("train", model, lambda: training_inputs(variant, data=data, **where)),
        (
            "evaluate",
            results.evaluation(variant),
            lambda: evaluation_inputs(variant, data=data, model=model, **where),
        ),
    ):
        once(
            cell_folder(root, seed, split),
            verb=verb,
            inputs=inputs(),
            work=lambda out: write_failure(out, variant, **where, **given),
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["quickstart-regression"],
            "report quickstart-regression: give a results folder alone, or an experiment",
        ),
        (
            ["quickstart-regression", "--export", "x"],
            "report quickstart-regression: give a results folder alone",
        ),
        (["nowhere"], "unknown experiment 'nowhere'"),
    ],
)
def test_neither_a_folder_nor_all_parts(words: list[str], message: str, line: Line) -> None:
    assert line.fails("report", *words).startswith(message)


def test_a_study_without_a_cell_has_no_page(line: Line, tmp_path: Path) -> None:
    every = [(v.name, s, k) for v in expand(regression()) for s in (0, 1) for k in range(7)]
    fill(regression(), tmp_path, without=every)
    assert line.fails("report", tmp_path).startswith(
        f"{tmp_path}: none of 28 cells is done by this configuration"
    )
    assert line.fails("table", tmp_path).startswith(
        f"{tmp_path}: none of 28 cells is done by this configuration"
    )
