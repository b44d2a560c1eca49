"""Figures of calibration: what their bands count."""

import numpy as np

from precisionflow.report.figures.calibration import confidence_diagram
from precisionflow.report.predictions import ClassPredictions


def test_band_of_the_confidence_diagram_counts_independent_rows() -> None:
    """The same tokens from four seeds: pooled counts are four times as large, the band stays."""
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.3, 0.99, 200)
    correct = generator.random(200) < confidence
    once = ClassPredictions(confidence, correct, 200)
    repeated = ClassPredictions(np.tile(confidence, 4), np.tile(correct, 4), 200)
    settings = {"bins": 5, "confidence": 0.95, "name": "f"}
    both = [confidence_diagram("v", of, 0, **settings).svg for of in (once, repeated)]
    assert both[0] == both[1]
