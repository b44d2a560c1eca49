"""Bands of scores that depend on what is predicted: a calibrated model lies inside, a wrong one outside."""

from pathlib import Path

import numpy as np
import pytest

from precisionflow.ablation.design import expand
from precisionflow.config import load
from precisionflow.evaluation.calibration.scale import expected_normalised_calibration_error
from precisionflow.evaluation.distribution import gaussian
from precisionflow.evaluation.predictions import predictions_table
from precisionflow.records.files import write_parquet
from precisionflow.records.schemas import PREDICTIONS
from precisionflow.report.tasks.arm import of_task

ROWS, CELLS = 31, 20


def written(folder: Path, *, truth: float, homoscedastic: bool) -> tuple[list[Path], float]:
    """Cells of independent rows whose targets have `truth` times the stated std, and their mean ENCE."""
    folders, values = [], []
    for cell in range(CELLS):
        random = np.random.default_rng(cell)
        mean = random.normal(size=ROWS)
        std = np.ones(ROWS) if homoscedastic else np.exp(random.normal(size=ROWS))
        target = mean + truth * std * random.normal(size=ROWS)
        place = folder / str(cell)
        place.mkdir(parents=True)
        row = np.arange(cell * ROWS, (cell + 1) * ROWS)
        table = predictions_table(gaussian(mean, std), row=row, target=target)
        write_parquet(table, place / "predictions.parquet", PREDICTIONS)
        folders.append(place)
        values.append(expected_normalised_calibration_error(target, mean, std))
    return folders, float(np.mean(values))


@pytest.mark.parametrize("homoscedastic", [False, True])
def test_the_ence_of_a_calibrated_model_lies_in_its_band(homoscedastic: bool, tmp_path: Path) -> None:
    experiment = load("quickstart-regression", ["seeds=[0]", f"splits={list(range(CELLS))}"])
    variant = expand(experiment)[0]
    for truth, inside in ((1.0, True), (2.0, False)):
        folders, value = written(tmp_path / str(truth), truth=truth, homoscedastic=homoscedastic)
        report = of_task(experiment, variants=[variant], folders={variant.name: folders})
        low, high = report.own_chance[variant.name, "ence"]
        assert 0 < low < high
        assert (low <= value <= high) == inside
