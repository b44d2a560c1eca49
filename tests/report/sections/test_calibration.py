"""Calibration: what a recalibration was fitted on is said as the experiment asked."""

from dataclasses import replace

import pytest

from precisionflow.config import Experiment
from precisionflow.report.page import templates
from precisionflow.report.sections import calibration
from precisionflow.report.tables import Entry, Table
from tests.report.conftest import Results
from tests.report.test_article import material


def asking(experiment: Experiment, held_out: str) -> Experiment:
    """Unchecked: these rows are of one split."""
    asked = experiment.evaluation.model_copy(update={"held_out": held_out})
    return experiment.model_copy(update={"evaluation": asked})


@pytest.mark.parametrize(("held_out", "said"), [("split", False), ("all_splits", True)])
def test_rows_of_other_splits_are_told(
    results: Results, monkeypatch: pytest.MonkeyPatch, held_out: str, said: bool
) -> None:
    table = Table("Before and after", (Entry("ece"),), ((Entry("0.1"),),))
    monkeypatch.setattr("precisionflow.report.tables.recalibration_table", lambda *_, **__: table)
    read = material(results, 0)
    section = calibration.section(replace(read, experiment=asking(read.experiment, held_out)))
    page = templates().get_template(section.template).render(section.context, title=section.title)
    text = " ".join(page.split())
    assert "each method was fitted on held-out rows" in text
    assert ("of all splits, each as predicted by the network of its split," in text) == said
