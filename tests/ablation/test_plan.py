"""The plan of a design: effects that its own spread lets it show."""

from pathlib import Path

import pytest

from precisionflow.ablation.aggregate import aggregate
from precisionflow.ablation.design import Variant
from precisionflow.ablation.plan import plan
from precisionflow.results.layout import Results
from tests.synthetic import evaluations, plausible, regression


def louder(variant: Variant, seed: int, split: int) -> dict[str, float]:
    """A hundred times the spread of `plausible`."""
    quiet = plausible(variant, seed, split)
    return quiet | {name: 100 * quiet[name] for name in ("nll", "crps", "rmse")}


def test_the_spread_is_that_of_the_experiment_itself(tmp_path: Path) -> None:
    own, other = regression(), regression(("name: noise", "name: another"))
    alone, beside = Results(tmp_path / "alone"), Results(tmp_path / "beside")
    of_own = evaluations(own, tmp_path / "own", plausible)
    aggregate([own], evaluations=of_own, out=alone.aggregate)
    of_both = [*of_own, *evaluations(other, tmp_path / "other", louder)]
    aggregate([own, other], evaluations=of_both, out=beside.aggregate)
    expected = [each.std for each in plan(own, alone).detectable]
    assert [each.std for each in plan(own, beside).detectable] == pytest.approx(expected)
    assert [each.std for each in plan(other, beside).detectable] == pytest.approx(
        [100 * std for std in expected]
    )
