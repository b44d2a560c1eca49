"""The gate: means over seeds and splits against bounds, its reasons, and what a gate may say."""

from pathlib import Path

import pytest

from precisionflow.ablation.design import Variant
from precisionflow.ablation.gate import Reading, judge
from precisionflow.config import ConfigError, Experiment
from precisionflow.config.ablation import Bounds
from tests import synthetic

LEVELS = {"homoscedastic": 2.0, "heteroscedastic": 1.5}


def gated(gate: str, *replacements: tuple[str, str]) -> Experiment:
    return synthetic.regression(("ablation:", f"gate: {gate}\nablation:"), *replacements)


def measure(variant: Variant, seed: int, split: int) -> dict[str, float]:
    """Mean over seeds 0, 1 and splits 0..6: the level + 0.5 + 0.3."""
    value = LEVELS[variant.name] + seed + 0.1 * split
    return synthetic.plausible(variant, seed, split) | {"nll": value, "coverage_90": value / 10}


def test_the_mean_over_seeds_and_splits_is_judged(tmp_path: Path) -> None:
    experiment = gated("{nll: {high: 2.5}, coverage_90: {low: 0.2, high: 0.25}}")
    evaluations = synthetic.evaluations(experiment, tmp_path, measure)
    homoscedastic, heteroscedastic = judge(experiment, evaluations=evaluations)
    assert [reading.mean for reading in homoscedastic.readings] == pytest.approx([2.8, 0.28])
    assert homoscedastic.reason == "missed on test rows: nll 2.8 is above 2.5, coverage_90 0.28 is above 0.25"
    assert not homoscedastic.passed
    assert heteroscedastic.variant.variant == "heteroscedastic"
    assert heteroscedastic.passed
    assert heteroscedastic.reason == (
        "passed on test rows: nll 2.3 is at most 2.5, coverage_90 0.23 is at least 0.2 and at most 0.25"
    )
    assert heteroscedastic.loss == pytest.approx(2.3)


def test_a_reason_names_only_what_is_wrong(tmp_path: Path) -> None:
    experiment = gated("{nll: {high: 9}, coverage_90: {low: 0.25}}")
    evaluations = synthetic.evaluations(experiment, tmp_path, measure)
    reasons = [judgement.reason for judgement in judge(experiment, evaluations=evaluations)]
    assert reasons[0].startswith("passed on test rows: ")
    assert reasons[1] == "missed on test rows: coverage_90 0.23 is below 0.25"


@pytest.mark.parametrize(
    ("mean", "good", "said"),
    [
        (0.85, True, "at least 0.85 and at most 0.95"),
        (0.95, True, "at least 0.85 and at most 0.95"),
        (0.849999, False, "below 0.85"),
        (0.950001, False, "above 0.95"),
        (0.9, True, "at least 0.85 and at most 0.95"),
    ],
)
def test_the_ends_belong_to_the_bounds(mean: float, good: bool, said: str) -> None:
    reading = Reading("coverage_90", mean, Bounds(low=0.85, high=0.95))
    assert reading.good is good
    assert str(reading) == f"coverage_90 {mean:.6g} is {said}"


def test_the_loss_is_turned_so_that_lower_is_better(tmp_path: Path) -> None:
    """Accuracy counts backwards; coverage by its distance from the nominal level, cell by cell."""
    text = synthetic.language(("ablation:", "gate: {nll: {high: 9}}\nablation:\n  metrics: [accuracy]"))
    judgements = judge(text, evaluations=synthetic.evaluations(text, tmp_path / "text", synthetic.plausible))
    assert all(-0.5 < judgement.loss < -0.3 for judgement in judgements)

    table = gated(
        "{nll: {high: 9}}",
        ("  axes:", "  metrics: [coverage_90]\n  axes:"),
        ("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0]"),
    )

    def around(_variant: Variant, seed: int, _split: int) -> dict[str, float]:
        return {"nll": 1.0, "coverage_90": 0.8 if seed else 1.0}

    judgements = judge(table, evaluations=synthetic.evaluations(table, tmp_path / "table", around))
    assert [judgement.loss for judgement in judgements] == pytest.approx([0.1, 0.1])


def test_without_a_gate_nothing_is_judged() -> None:
    assert judge(synthetic.regression(), evaluations=[]) == ()


def test_a_cell_that_is_not_there_is_named(tmp_path: Path) -> None:
    less = gated("{nll: {high: 2}}", ("seeds: [0, 1]", "seeds: [0]"))
    evaluations = synthetic.evaluations(less, tmp_path, measure)
    more = gated("{nll: {high: 2}}")
    with pytest.raises(
        ValueError, match="variant 'homoscedastic', seed 1, split 0 has no metric 'nll'; evaluate"
    ):
        judge(more, evaluations=evaluations)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("{nll: {low: 3, high: 2}}", r"gate.nll: low 3(.0)? is above high 2(.0)?"),
        ("{nll: {}}", r"gate.nll: has neither low nor high"),
        ("{nlll: {high: 2}}", r"gate: task.kind 'regression' has no metric 'nlll'.*did you mean 'nll'"),
        ("{nll: {high: .nan}}", r"gate.nll.high"),
    ],
)
def test_a_gate_that_says_nothing_is_a_mistake(gate: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        gated(gate)


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        ("{validation_loss: {high: 9}}", "passed on validation rows: validation_loss "),
        ("{nll: {high: 9}}", "passed on test rows: nll "),
        ("{validation_loss: {high: 9}, nll: {high: 9}}", "passed on test and validation rows: "),
        ("{validation_loss: {high: 9}, nll: {high: 1}}", "missed on test rows: nll "),
    ],
)
def test_a_reason_says_which_rows_were_looked_at(tmp_path: Path, gate: str, reason: str) -> None:
    experiment = gated(gate)
    folders = synthetic.evaluations(experiment, tmp_path, synthetic.plausible)
    assert all(j.reason.startswith(reason) for j in judge(experiment, evaluations=folders))
