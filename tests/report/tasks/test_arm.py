"""The arm for the task: what the report shows of each, and that nothing is read before it is needed."""

from dataclasses import replace
from pathlib import Path

import pytest

from precisionflow.ablation.design import expand
from precisionflow.report import cells
from precisionflow.report.tasks.arm import of_task
from precisionflow.report.tasks.base import TaskReport
from precisionflow.report.tasks.classes import Classes, ClassWords
from precisionflow.report.tasks.numbers import Numbers
from tests.report.conftest import Results

METRICS = (
    "nll",
    "ece",
    "ece_equal_mass",
    "aurc",
    "coverage_90",
    "width_90",
    "interval_score_90",
    "sharpness",
)


@pytest.fixture(scope="module")
def reports(results: Results) -> list[TaskReport]:
    """Of the language experiment and of the regression."""
    evaluated = cells.evaluated_cells(results.evaluations).folders
    made = []
    for experiment in results.experiments:
        variants = expand(experiment)
        folders = {v.name: cells.of_variant(evaluated, v, experiment) for v in variants}
        made.append(of_task(experiment, variants=variants, folders=folders))
    return made


def test_each_task_has_its_figures_and_finer_tables(reports: list[TaskReport]) -> None:
    language, regression = reports
    assert isinstance(language, Classes)
    assert isinstance(regression, Numbers)
    (classes,) = language.finer(METRICS, dataset="d")
    assert classes.metrics == ("ece_equal_mass", "aurc")
    intervals = regression.finer(METRICS, dataset="d")
    assert [of.metrics for of in intervals] == [("coverage_90",), ("width_90",), ("interval_score_90",)]
    assert intervals[2].title == "Interval score of central intervals on d, by level in per cent"
    assert len(language.calibration(name="f").pictures) == 4
    assert len(regression.calibration(name="f").pictures) == 3 + 2 * 2


def test_predictions_are_read_once_and_only_where_they_are_shown(reports: list[TaskReport]) -> None:
    for report in reports:
        missing = replace(report, folders={"v": [Path("nowhere")]})
        missing.finer(METRICS, dataset="d")
        with pytest.raises(ValueError, match="nowhere"):
            missing.calibration(name="f")
        assert report.pooled is report.pooled


def test_another_task_with_classes_has_the_same_figures_in_its_own_words(reports: list[TaskReport]) -> None:
    characters = reports[0]
    texts = replace(characters, words=ClassWords(rows="texts", answer="label", dependence=""))
    ours, theirs = texts.calibration(name="f"), characters.calibration(name="f")
    assert [p.drawn.svg for p in ours.pictures] == [p.drawn.svg for p in theirs.pictures]
    assert ours.note.startswith(
        "Band for 80 independent texts. Below the diagonal the most probable label is"
    )
    assert ours.pictures[0].caption.endswith("bars: share of texts.")
    assert "character" in theirs.note
    assert "character" not in ours.note + "".join(p.caption for p in ours.pictures)
