"""Scaling from cells to tables: known laws of loss and cost, the best use of a budget, what is refused."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation.aggregate import aggregate, read_aggregate
from precisionflow.ablation.analyses.compute import flops_of_step, tokens_of_step
from precisionflow.ablation.analyses.power_law import power_law
from precisionflow.ablation.analyses.scaling import Rows, _ends_above_0, scaling_of
from precisionflow.ablation.bootstrap import shares, widened
from precisionflow.ablation.design import Variant, expand
from precisionflow.ablation.measured import Measured, Scores
from precisionflow.config import ConfigError, Experiment, parse, resolve
from precisionflow.records.cards import CostCard
from precisionflow.results.cells import Cell
from tests.synthetic import LANGUAGE, evaluations, plausible, regression

WIDTHS, STEPS = [8, 16, 32, 64], [50, 100, 200, 400]
GRID = {"kind": "scaling", "design": "product", "sizes": {"model.width": WIDTHS, "training.steps": STEPS}}
ALONE = {"kind": "scaling", "sizes": {"model.width": WIDTHS, "task.context": [8, 16, 32, 64]}}


def scaled(analysis: dict[str, Any], **changes: Any) -> Experiment:
    """The language of `tests.synthetic`, width 8, context 16, with an analysis in place of its axes."""
    tree = parse(LANGUAGE).model_dump(mode="json")
    tree["training"] |= {"steps": 200, "batch_size": 10}
    return resolve(tree | {"ablation": {"metrics": ["nll"]}, "analysis": analysis} | changes)


def parameters(variant: Variant) -> int:
    return 100 * variant.experiment.model.width**2


def loss(variant: Variant, seed: int) -> float:
    """1.5 + 40 N^-0.4 + 90 D^-0.5, and what a seed adds to all."""
    of = variant.experiment
    data = of.training.steps * 10 * of.task.context
    return 1.5 + 40 * parameters(variant) ** -0.4 + 90 * data**-0.5 + 0.01 * seed


def seconds(variant: Variant, seed: int) -> float:
    """An overhead, and 1e-9 for each operation, of seeds that are 1 % slower each."""
    of = variant.experiment
    flops = flops_of_step(of, parameters=parameters(variant), batch_size=10)
    return 0.004 * (of.model.width < 32) + 1e-9 * flops * (1 + 0.01 * seed)


def measured(experiment: Experiment) -> Measured:
    return {
        Cell(experiment.name, variant.dataset, variant.name, seed, 0): Scores(
            {"nll": loss(variant, seed)},
            44,
            398,
            "0",
            {},
            CostCard(
                parameters=parameters(variant),
                steps=variant.experiment.training.steps,
                batch_size=10,
                seconds_per_step=seconds(variant, seed),
            ),
        )
        for variant in expand(experiment)
        for seed in experiment.seeds
    }


def rows(experiment: Experiment, of: Measured | None = None) -> Rows:
    return scaling_of(experiment, list(expand(experiment)), of or measured(experiment))


def law(found: Rows, size: str, quantity: str) -> dict[str, Any]:
    (row,) = (row for row in found.laws if (row["size"], row["quantity"]) == (size, quantity))
    return row


def test_runs_are_each_size_alone_or_every_combination() -> None:
    alone = [variant.name for variant in expand(scaled(ALONE))]
    assert alone == ["8+16", "16+16", "32+16", "64+16", "8+8", "8+32", "8+64"]
    grid = expand(scaled(GRID))
    assert len(grid) == 16
    assert [(v.experiment.model.width, v.experiment.training.steps) for v in grid[3:5]] == [
        (8, 400),
        (16, 50),
    ]


def test_known_laws_of_the_loss_are_found() -> None:
    """In the width N = 100 width²: exponent -0.8; in the context D = 2000 context: -0.5. Seeds move offsets alone."""
    found = rows(scaled(ALONE))
    width, context = law(found, "model.width", "nll"), law(found, "task.context", "nll")
    assert width["exponent"] == pytest.approx(-0.8, rel=1e-3)
    assert context["exponent"] == pytest.approx(-0.5, rel=1e-3)
    assert width["factor"] == pytest.approx(40 * 100**-0.4, rel=1e-2)
    assert width["offset"] == pytest.approx(1.51 + 90 * 32000**-0.5, rel=1e-3)
    assert (width["exponent_low"], width["exponent_high"]) == pytest.approx([-0.8, -0.8], rel=1e-3)
    assert width["offset_high"] - width["offset_low"] == pytest.approx(0.02 * 2.69, abs=1e-3)
    assert (width["n"], width["units"]) == (4, 3)


def test_operations_are_the_formula_and_seconds_leave_it_where_there_is_overhead() -> None:
    found = rows(scaled(ALONE))
    points = [p for p in found.sizes if p["size"] == "model.width"]
    flops = {p["at"]: p["mean"] for p in points if p["quantity"] == "flops"}
    assert flops == {float(w): 10 * 16 * (6 * 100 * w * w + 12 * 1 * w * 16) for w in WIDTHS}
    ratios = {p["at"]: p for p in points if p["quantity"] == "seconds"}
    for width in (32, 64):
        assert ratios[width]["ratio"] == pytest.approx(1)
    assert ratios[16]["ratio"] == pytest.approx(1 + 0.004 / (1e-9 * flops[16]) / 1.01, rel=1e-3)
    assert 1 < ratios[8]["ratio_low"] <= ratios[8]["ratio"] <= ratios[8]["ratio_high"]
    assert all(math.isnan(p["ratio"]) for p in points if p["quantity"] != "seconds")


def test_a_budget_is_best_spent_where_the_law_says() -> None:
    experiment = scaled(GRID)
    found = rows(experiment)
    costs = [
        flops_of_step(v.experiment, parameters=parameters(v), batch_size=10) * v.experiment.training.steps
        for v in expand(experiment)
    ]
    assert [row["flops"] for row in found.isoflop] == pytest.approx(np.geomspace(min(costs), max(costs), 5))
    sizes = [parameters(v) for v in expand(experiment)]
    assert {row["outside"] for row in found.isoflop} >= {"", "parameters"}
    for row in found.isoflop:
        assert ("parameters" in row["outside"]) != (min(sizes) <= row["parameters"] <= max(sizes))
        product = row["flops"] / 6
        n = (0.4 * 40 / (0.5 * 90)) ** (1 / 0.9) * product ** (0.5 / 0.9)
        assert row["parameters"] == pytest.approx(n, rel=1e-2)
        assert row["data"] == pytest.approx(product / n, rel=1e-2)
        assert row["loss"] == pytest.approx(1.51 + 40 * n**-0.4 + 90 * (product / n) ** -0.5, rel=1e-3)
        assert row["loss_low"] <= row["loss"] <= row["loss_high"]
        assert (row["runs"], row["units"], row["metric"]) == (16, 3, "nll")
    assert not rows(scaled({"kind": "scaling", "sizes": {"model.width": WIDTHS}})).isoflop


def test_a_run_that_failed_is_refused_or_left_out_of_the_best_use() -> None:
    grid = scaled(GRID, seeds=[0])
    there = measured(grid)
    lost = {cell: of for cell, of in there.items() if cell.variant != expand(grid)[5].name}
    assert rows(grid, there).isoflop
    assert not rows(grid, lost).isoflop
    left = rows(scaled(GRID, seeds=[0], ablation={"metrics": ["nll"], "missing": "drop_pair"}), lost).isoflop
    assert {row["runs"] for row in left} == {15}


def test_the_ends_of_what_is_above_0_are_above_0() -> None:
    """Of three seeds: as far away as a mean's the lower end would be 100 - 2.69 * 50."""
    draws = np.geomspace(50, 200, 101)
    ends = _ends_above_0("parameters", 100.0, draws, n=3, confidence=0.95, overlap=0.0)
    low, high = widened(0.0, np.log(draws / 100), n=3, confidence=0.95)
    assert ends == pytest.approx({"parameters_low": 100 * np.exp(low), "parameters_high": 100 * np.exp(high)})
    assert all(
        math.isnan(end)
        for end in _ends_above_0("data", 100.0, None, n=1, confidence=0.95, overlap=0).values()
    )


def test_intervals_of_three_seeds_hold_the_exponent() -> None:
    """In 95 of 100 studies, give or take; by the draws' own quantiles it would be 65."""
    held, x = 0, np.array([8.0, 16, 32, 64, 128])
    for study in range(100):
        noise = np.random.default_rng(study).standard_normal((5, 3))
        values = (1 + 3 * x**-0.5)[:, None] + 0.01 * noise
        fit = power_law(x, values.mean(axis=1)[None], falls=True).exponent[0]
        draws = power_law(x, shares(3)[:200] @ values.T, falls=True).exponent
        low, high = widened(fit, draws, n=3, confidence=0.95)
        held += low <= -0.5 <= high
    assert held >= 90


def test_intervals_of_a_loss_know_that_splits_share_rows() -> None:
    """Those of a mean are the corrected t's; those of the law are wider by the same factor. Seconds share none."""
    tree = regression().model_dump(mode="json") | {
        "analysis": {"kind": "scaling", "sizes": {"training.steps": STEPS}}
    }
    experiment = resolve(tree | {"seeds": [0], "ablation": {"metrics": ["nll"]}})
    assert experiment.splits == tuple(range(7))
    ends = {}
    for rows_tested in (44, 0):
        cells = {
            Cell(experiment.name, variant.dataset, variant.name, 0, split): Scores(
                {"nll": 1.5 + 3 * variant.experiment.training.steps**-0.5 + 0.01 * split},
                rows_tested,
                398,
                "0",
                {},
                CostCard(
                    parameters=100,
                    steps=variant.experiment.training.steps,
                    batch_size=10,
                    seconds_per_step=0.01 * (1 + split),
                ),
            )
            for variant in expand(experiment)
            for split in experiment.splits
        }
        found = rows(experiment, cells)
        of = law(found, "training.steps", "nll")
        points = {p["quantity"]: p["high"] - p["mean"] for p in found.sizes if p["at"] == 100}
        ends[rows_tested] = (of["offset_high"] - of["offset"], points["nll"], points["seconds"])
    spread = float(np.std(0.01 * np.arange(7), ddof=1))
    assert ends[44][1] == pytest.approx(stats.t(6).ppf(0.975) * spread * math.sqrt(1 / 7 + 44 / 398))
    widths = [shared / alone for shared, alone in zip(ends[44], ends[0], strict=True)]
    factor = math.sqrt(1 + 7 * 44 / 398)
    assert widths == pytest.approx([factor, factor, 1.0], rel=1e-3)


def test_one_seed_has_laws_without_intervals() -> None:
    found = rows(scaled(ALONE, seeds=[0]))
    width = law(found, "model.width", "nll")
    assert width["exponent"] == pytest.approx(-0.8, rel=1e-3)
    assert math.isnan(width["exponent_low"])
    assert all(math.isnan(point["low"]) for point in found.sizes)


@pytest.mark.parametrize("missing", ["refuse", "drop_pair"])
def test_a_failed_cell_is_taken_by_the_rule(missing: str) -> None:
    experiment = scaled(ALONE, ablation={"metrics": ["nll"], "missing": missing})
    cells = measured(experiment)
    (lost,) = (cell for cell in cells if (cell.variant, cell.seed) == ("16+16", 1))
    del cells[lost]
    width, context = (law(rows(experiment, cells), size, "nll") for size in ("model.width", "task.context"))
    assert context["units"] == 3
    assert width["units"] == (0 if missing == "refuse" else 2)
    assert math.isnan(width["exponent"]) == (missing == "refuse")


def test_targets_of_a_table_are_its_rows() -> None:
    table = regression()
    assert tokens_of_step(table, batch_size=32) == 32
    assert flops_of_step(table, parameters=100, batch_size=32) == 32 * 600


def test_the_tables_are_written_and_read(tmp_path: Path) -> None:
    """Costs of the cells are read from the files beside their metrics: 1,234 parameters, 0.02 s a step."""
    experiment = scaled({"kind": "scaling", "sizes": {"model.width": WIDTHS}})
    folders = evaluations(experiment, tmp_path, plausible)
    aggregate([experiment], evaluations=folders, out=tmp_path / "out")
    found = read_aggregate(tmp_path / "out")
    assert [row["quantity"] for row in found.laws.to_pylist()] == ["nll", "seconds", "flops"]
    assert {row["mean"] for row in found.sizes.to_pylist() if row["quantity"] == "seconds"} == {0.02}
    assert found.isoflop.num_rows == 0


@pytest.mark.parametrize(
    ("sizes", "design", "line"),
    [
        ({}, "product", r"analysis\.sizes: given a mapping; should"),
        ({"model.width": [8, 16, 32]}, "product", r"\.width: given \[8, 16, 32\]; should have at least 4"),
        ({"model.width": [8, 16, 32, 8]}, "product", r"\.width: given 8, 16, 32, 8; name each size once"),
        ({"model.width": [0, 16, 32, 8]}, "product", r"\.width.*: given 0; should be greater than 0"),
        ({"model.norm": [1, 2, 3, 4]}, "one_at_a_time", r"\.norm: the experiment has 'rms' there, no number"),
        (
            {"model.width": [10, 16, 32, 64]},
            "product",
            r"\.width: the experiment's own 8 is not among 10, 16, 32, 64, and the laws",
        ),
    ],
)
def test_sizes_that_cannot_be_are_one_line(sizes: dict[str, Any], design: str, line: str) -> None:
    with pytest.raises(ConfigError, match=r"^analysis\.sizes") as error:
        expand(scaled({"kind": "scaling", "sizes": sizes, "design": design}))
    assert re.search(line, str(error.value))


def test_an_ablation_has_no_rows() -> None:
    experiment = regression()
    assert scaling_of(experiment, list(expand(experiment)), {}) == ([], [], [])
