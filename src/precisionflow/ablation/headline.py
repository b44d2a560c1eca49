"""Headline of one variant: means of the metrics that its experiment's contrasts are about."""

import math
from pathlib import Path

import numpy as np

from precisionflow.ablation.contrasts import contrasted
from precisionflow.config import Experiment
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import METRICS
from precisionflow.results.failures import failure_of
from precisionflow.results.layout import EvaluatedCell, cell_folders


def headline_means(variant: Experiment, *, evaluation: Path) -> dict[str, float]:
    """Metric -> its mean over the variant's cells that did not fail; without a metric that is no finite number.

    Each seed and split weighs alike, without an interval: the table has that.
    """
    cells = [folder for folder in cell_folders([evaluation]) if failure_of(folder) is None]
    rows = [row for cell in cells for row in read_parquet(EvaluatedCell(cell).metrics, METRICS).to_pylist()]
    means: dict[str, float] = {}
    for metric in contrasted(variant):
        values = [row["value"] for row in rows if row["metric"] == metric.name]
        if values and math.isfinite(mean := float(np.mean(values))):
            means[metric.name] = mean
    return means
