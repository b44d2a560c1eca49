"""Performance from cells to tables: what is summed, what is a ratio, the front."""

import pytest

from precisionflow.ablation.analyses.performance import front, performance_of
from precisionflow.ablation.design import expand
from precisionflow.ablation.measured import Measured, Scores
from precisionflow.config import ConfigError, Experiment, load, parse, resolve
from precisionflow.records.cards import CostCard
from precisionflow.results.cells import Cell
from tests.synthetic import LANGUAGE


def timed() -> Experiment:
    """The language of `tests.synthetic`: 4 variants, 3 seeds, 16 tokens of context."""
    tree = parse(LANGUAGE).model_dump(mode="json") | {"analysis": {"kind": "performance"}}
    tree["training"] |= {"profile": 3}
    return resolve(tree)


def measured(experiment: Experiment) -> Measured:
    """Seconds a step of 0.01 and 0.001 more for each seed; twice that where errors settle."""
    found = {}
    for variant in expand(experiment):
        for seed in experiment.seeds:
            factor = 2.0 if "predictive" in variant.name else 1.0
            step = factor * (0.01 + 0.001 * seed)
            profile = {"forward": 0.4 * step, "backward": 0.6 * step, "layer-0-Embedding": 0.1 * step}
            profile["peak_bytes"] = 2.0**20 * (100 + seed)
            cost = CostCard(parameters=500, steps=100, batch_size=8, seconds_per_step=step, profile=profile)
            cell = Cell(experiment.name, variant.dataset, variant.name, seed, 0)
            found[cell] = Scores({"nll": 2.0}, 44, 398, "0", {}, cost)
    return found


def test_means_over_the_units_and_ratios_of_each() -> None:
    experiment = timed()
    rows = performance_of(experiment, list(expand(experiment)), measured(experiment))
    of = {row["measure"]: row for row in rows if row["variant"] == "backprop+dot_product"}
    assert of["step"]["value"] == pytest.approx(0.011)
    assert of["training"]["value"] == pytest.approx(1.1)
    assert of["forward"]["value"] == pytest.approx(0.0044)
    assert of["targets_per_second"]["value"] == pytest.approx(8 * 16 * (100 + 1 / 0.011 + 1 / 0.012) / 3)
    flops = 8 * 16 * (6 * 500 + 12 * 1 * 8 * 16)
    assert (of["parameters"]["value"], of["flops"]["value"]) == (500, 100 * flops)
    assert of["flops_per_second"]["value"] == pytest.approx(flops * (100 + 1 / 0.011 + 1 / 0.012) / 3)
    assert of["step"]["low"] < 0.010 < 0.012 < of["step"]["high"]
    assert {row["n"] for row in rows} == {3}
    assert len({row["variant"] for row in rows}) == 4


def test_a_failed_cell_is_left_out() -> None:
    experiment = timed()
    cells = measured(experiment)
    del cells[next(iter(cells))]
    rows = performance_of(experiment, list(expand(experiment)), cells)
    assert {row["n"] for row in rows if row["variant"] == "backprop+dot_product"} == {2}
    assert performance_of(experiment, list(expand(experiment)), {}) == []


@pytest.mark.parametrize(
    ("costs", "values", "better", "on"),
    [
        ([1, 2, 3], [3.0, 2.0, 1.0], "lower", [True, True, True]),
        ([1, 2, 3], [3.0, 2.0, 1.0], "higher", [True, False, False]),
        ([1, 2, 2], [3.0, 2.0, 2.5], "lower", [True, True, False]),
        ([1, 1, 2], [3.0, 3.0, 3.0], "lower", [True, True, False]),
    ],
)
def test_the_front_is_what_nothing_beats(costs, values, better, on) -> None:
    assert front(costs, values, better=better) == on


def test_an_ablation_has_no_rows() -> None:
    experiment = parse(LANGUAGE)
    assert performance_of(experiment, list(expand(experiment)), {}) == []


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        (
            "training.profile=null",
            "analysis: performance tells what training.profile times, which is not given",
        ),
        ("training.profile=0", "training.profile: given 0; should be greater than or equal to 1"),
    ],
)
def test_what_cannot_be_timed_is_one_line(setting: str, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        load("performance", [setting])
    assert str(error.value).startswith(line)


def test_networks_that_train_at_once_are_not_timed_by_part() -> None:
    with pytest.raises(
        ConfigError, match=r"training\.profile: engine\.kind batched is not timed part by part; use"
    ):
        load("sensitivity", ["training.profile=5"])
