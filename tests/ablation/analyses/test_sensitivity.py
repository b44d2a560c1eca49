"""Sensitivity from cells to tables: known effects, the range that holds, missing cells, directions of metrics."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from precisionflow.ablation.analyses.sensitivity import sensitivity_of
from precisionflow.ablation.design import Variant, expand
from precisionflow.config import Experiment
from tests.analysed import analysed, measured_by, sensitivity, tables
from tests.synthetic import Measure, plausible, regression

RATE, BETA, HIDDEN = "training.learning_rate", "objective.beta", "model.hidden"
SWEEP = sensitivity("one_at_a_time", levels=4)
MORRIS = sensitivity("morris", trajectories=12)
SOBOL = sensitivity("sobol", samples=32)
WIDE = {"metrics": ["nll"], "margins": {"nll": {"absolute": 100}}}
Rows = list[dict[str, Any]]


def known(variant: Variant, seed: int, _split: int) -> dict[str, float]:
    """nll = 2 (place of the rate - 2/3)² + 0.3 beta + what the seed adds to all runs alike + little noise."""
    noise = np.random.default_rng([seed, *variant.name.encode()]).standard_normal()
    place = math.log10(variant.experiment.training.learning_rate / 1e-4) / 2
    nll = 2 * (place - 2 / 3) ** 2 + 0.3 * variant.experiment.objective.beta
    return {"nll": 1 + nll + seed + 1e-3 * noise, "crps": 1.0, "rmse": 1.0}


def rows(
    experiment: Experiment, measure: Measure = known, *, without: tuple[int, int] | None = None
) -> tuple[Rows, Rows]:
    """Rows of both tables; `without` is the cell (variant, seed) that failed."""
    variants = list(expand(experiment))
    measured = measured_by(experiment, measure)
    if without:
        (lost,) = (c for c in measured if (c.variant, c.seed) == (variants[without[0]].name, without[1]))
        del measured[lost]
    return sensitivity_of(experiment, variants, measured)


@cache
def measured(kind: str) -> tuple[Rows, Rows]:
    analysis = {"sweep": SWEEP, "morris": MORRIS, "sobol": SOBOL}[kind]
    margins = {"metrics": ["nll"], "margins": {"nll": {"absolute": 0.12}}}
    return rows(analysed(analysis, ablation=margins))


def of(table: Rows, **wanted: object) -> Rows:
    return [row for row in table if all(row[key] == value for key, value in wanted.items())]


@pytest.mark.parametrize(
    ("kind", "measure", "rate", "beta", "tolerance"),
    [
        ("sweep", "swing", 8 / 9, 0.3, 0.005),
        (
            "morris",
            "mu_star",
            2 / 3,
            0.3,
            0.25,
        ),  # half of the moves from 0 to 2/3, which change by 8/9, half by 0
        ("sobol", "total", 0.8877, 0.1123, 0.08),  # variances 0.05926 and 0.0075
        ("sobol", "first_order", 0.8877, 0.1123, 0.15),
    ],
)
def test_known_effects_are_found(kind: str, measure: str, rate: float, beta: float, tolerance: float) -> None:
    found = {row["parameter"]: row for row in of(measured(kind)[0], measure=measure)}
    assert found[RATE]["value"] == pytest.approx(rate, abs=tolerance)
    assert found[BETA]["value"] == pytest.approx(beta, abs=min(tolerance, 0.05))
    assert found[RATE]["low"] <= rate <= found[RATE]["high"]
    assert found[HIDDEN]["value"] < 0.02 < 0.05 < found[BETA]["value"]
    assert found[HIDDEN]["chance"] < 0.05
    for row in found.values():
        assert (row["experiment"], row["dataset"], row["metric"], row["failed"]) == (
            "noise",
            "diabetes",
            "nll",
            0,
        )


@pytest.mark.parametrize(("kind", "far"), [("sweep", 0.3), ("morris", 0.3), ("sobol", 0.225)])
def test_the_range_that_holds_and_the_value_to_recommend(kind: str, far: float) -> None:
    """The margin is 0.12: of beta up to 0.4, of the rate places from 2/3 - 0.24 on; its own place is 1/2."""
    rate, beta, hidden = (of(measured(kind)[1], parameter=key) for key in (RATE, BETA, HIDDEN))
    assert [row["value"] for row in rate if row["behind"] == 0] == [
        "0.001 to 0.003162" if kind == "sobol" else "0.002154"
    ]
    assert not rate[0]["robust"]
    assert beta[-1]["behind"] == pytest.approx(far, abs=0.05)
    assert beta[-1]["behind_low"] < far < beta[-1]["behind_high"] or kind == "sobol"
    assert beta[0]["robust"]
    assert beta[0]["recommended"]
    assert not beta[-1]["robust"]
    assert [(row["own"], row["recommended"]) for row in hidden] == [
        (True, True),
        (False, False),
        (False, False),
    ]
    assert all(row["robust"] for row in hidden) or kind == "sobol"


def test_the_own_value_goes_where_it_is_shown_to_be_worse() -> None:
    training = analysed(SWEEP).training.model_dump(mode="json") | {"learning_rate": 1e-4}
    _, found = rows(analysed(SWEEP, training=training))
    assert [(row["value"], row["own"], row["recommended"]) for row in of(found, parameter=RATE)] == [
        ("0.0001", True, False),
        ("0.0004642", False, False),
        ("0.002154", False, True),
        ("0.01", False, False),
    ]


@pytest.mark.parametrize("metric", ["rmse", "coverage_90"])
def test_the_best_level_is_where_the_metric_is_good(metric: str) -> None:
    """Lowest of an error; of a coverage where it is nearest to its level."""

    def measure(variant: Variant, seed: int, _split: int) -> dict[str, float]:
        away = variant.experiment.objective.beta - 0.5
        return {metric: (0.9 + 0.2 * away if metric == "coverage_90" else away**2) + 0.001 * seed}

    ablation = {"metrics": [metric]}
    _, found = rows(analysed(sensitivity("one_at_a_time", levels=3), ablation=ablation), measure)
    assert [row["robust"] for row in of(found, parameter=BETA)] == [False, True, False]
    assert [row["recommended"] for row in of(found, parameter=BETA)] == [False, True, False]
    assert all(row["low"] <= row["mean"] <= row["high"] for row in found)


def test_one_seed_shows_no_noise_and_recommends_nothing() -> None:
    moved, levels = rows(analysed(SWEEP, seeds=[0]))
    assert all(math.isnan(row["chance"]) and math.isnan(row["low"]) for row in moved)
    assert not any(row["robust"] or row["recommended"] for row in levels)


@pytest.mark.parametrize("missing", ["refuse", "drop_pair", "worst_rank"])
@pytest.mark.parametrize(
    "analysis", [SWEEP, MORRIS, sensitivity("sobol", samples=16)], ids=["sweep", "morris", "sobol"]
)
def test_a_failed_cell_is_taken_by_the_rule(missing: str, analysis: dict[str, Any]) -> None:
    experiment = analysed(analysis, ablation={"metrics": ["nll"], "missing": missing})
    moved, levels = rows(experiment, without=(1, 2))
    assert {row["failed"] for row in moved} == {1} or analysis is not SWEEP
    if missing == "refuse":
        assert all(math.isnan(row["value"]) for row in moved)
        assert all(math.isnan(row["mean"]) for row in levels)
        assert not any(row["recommended"] for row in levels)
    else:
        assert not any(math.isnan(row["value"]) for row in moved)
        (beta,) = (
            row for row in of(moved, parameter=BETA) if row["measure"] in ("swing", "mu_star", "total")
        )
        assert beta["value"] > beta["chance"] or missing == "worst_rank"
    if missing == "worst_rank" and analysis is SWEEP:
        experiment = analysed(analysis, ablation=WIDE | {"missing": missing})
        robust = [sum(row["robust"] for row in rows(experiment, without=out)[1]) for out in (None, (1, 2))]
        assert robust[1] == robust[0] - 1


def test_the_tables_are_written_and_read(tmp_path: Path) -> None:
    experiment = analysed(sensitivity("morris", trajectories=3))
    written = tables(experiment, tmp_path, known)
    moved, levels = rows(experiment)
    assert len(written.sensitivity) == len(moved) == 3 * 3
    assert str(written.sensitivity.to_pylist()) == str(moved)
    assert [row["mean"] for row in written.response.to_pylist()] == [row["mean"] for row in levels]
    assert written.contrasts.num_rows == 0


def test_an_ablation_has_no_rows() -> None:
    experiment = regression()
    assert sensitivity_of(experiment, list(expand(experiment)), measured_by(experiment, plausible)) == (
        [],
        [],
    )
