"""Forests of contrasts: what they say without intervals."""

import numpy as np

from precisionflow.records.metrics import metric_named
from precisionflow.report.figures.contrasts import forest


def test_a_figure_of_contrasts_without_intervals_can_be_drawn() -> None:
    row = {
        "level": "b",
        "baseline": "a",
        "effect": 0.1,
        "low": np.nan,
        "high": np.nan,
        "verdict": "one seed: no interval",
    }
    text = forest([row], [""], metric_named("nll"), name="f")
    assert "better to the left" in text
    assert "better to the right" in forest([row], [""], metric_named("accuracy"), name="f")
