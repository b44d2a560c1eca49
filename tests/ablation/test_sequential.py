"""Looks at growing numbers of units: published boundaries, simulated levels, and what a contrast makes of them."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation.aggregate import aggregate, read_aggregate
from precisionflow.ablation.design import Variant, at_looks
from precisionflow.ablation.sequential import Look, boundaries, look_of, spent
from precisionflow.ablation.statistics import difference_p, holm
from precisionflow.config import ConfigError, Experiment
from tests.synthetic import evaluations, plausible, regression

FIFTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
SEEDS = ("seeds: [0, 1]\nsplits: [0, 1, 2, 3, 4, 5, 6]", "seeds: [0, 1, 2, 3, 4, 5, 6, 7]")


def looked(*looks: int, seeds: int = 8) -> Experiment:
    return regression(
        (SEEDS[0], f"seeds: {list(range(seeds))}"), ("ablation:\n", f"ablation:\n  looks: {list(looks)}\n")
    )


def test_boundaries_are_the_published_ones() -> None:
    """Five equal looks at 5 %, two-sided, by the program of Reboussin, DeMets, Kim and Lan (2000)."""
    assert boundaries(0.05, FIFTHS) == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)


def test_a_single_look_is_the_ordinary_test() -> None:
    assert boundaries(0.05, (1.0,)) == pytest.approx([1.959964])
    for alone in (Look(8, ()), Look(8, (8,))):
        assert (alone.overall_p(0.03), alone.nominal_level(0.05)) == (0.03, 0.05)


@pytest.mark.parametrize("level", [0.5, 0.05, 0.001])
@pytest.mark.parametrize("fractions", [FIFTHS, (0.5, 1.0), (0.1, 0.7, 0.75, 1.0)])
def test_a_brownian_motion_leaves_the_boundaries_as_often_as_is_spent(
    level: float, fractions: tuple[float, ...]
) -> None:
    n = 400_000
    generator = np.random.default_rng(0)
    at, inside, before = np.zeros(n), np.ones(n, dtype=bool), 0.0
    for fraction, boundary in zip(fractions, boundaries(level, fractions), strict=True):
        at += math.sqrt(fraction - before) * generator.standard_normal(n)
        inside &= np.abs(at) < boundary * math.sqrt(fraction)
        allowed, before = spent(level, fraction), fraction
        assert 1 - inside.mean() == pytest.approx(allowed, abs=4 * math.sqrt(allowed / n) + 1e-9)
    assert allowed == pytest.approx(level)


@pytest.mark.parametrize("units", [4, 8, 16])
def test_the_overall_p_is_the_level_that_just_rejects(units: int) -> None:
    look = Look(units, (4, 8, 16))
    levels = [1e-9, 1e-4, 0.01, 0.05, 0.3, 0.9]
    found = [look.overall_p(look.nominal_level(level)) for level in levels]
    assert found == pytest.approx(levels, rel=2e-4)


def test_an_early_look_asks_for_more_and_every_p_keeps_its_order() -> None:
    p = np.append(0.0, np.geomspace(1e-40, 1, 200))
    by_look = np.array([[Look(units, (4, 8, 16)).overall_p(x) for x in p] for units in (4, 8, 16)])
    assert (np.diff(by_look, axis=1) >= 0).all()
    assert (by_look >= p).all()
    common = (p > 1e-12) & (p < 0.1)
    assert (np.diff(by_look[:, common], axis=0) < 0).all()
    assert (by_look[:, 0] == 0).all()
    assert math.isnan(Look(4, (4, 8)).overall_p(math.nan))


def test_a_first_look_at_few_of_the_units_claims_next_to_nothing() -> None:
    """Its share of the level is 1e-36 and less, or none that a float64 has; what is left is for the looks after it."""
    for looks in ((2, 1000), (3, 100), (6, 200), (10, 500)):
        first, last = Look(looks[0], looks), Look(looks[1], looks)
        assert first.nominal_level(0.05) < 1e-35
        assert last.nominal_level(0.05) == pytest.approx(0.05)
    early = Look(6, (6, 200))
    assert 1 >= early.overall_p(1e-9) > 0.05 > early.overall_p(0.0) == 0


def test_the_interval_of_a_first_look_has_ends(tmp_path: Path) -> None:
    first = at_looks(looked(6, 200, seeds=200))[0]
    aggregate([first], evaluations=evaluations(first, tmp_path, plausible), out=tmp_path / "aggregate")
    for row in read_aggregate(tmp_path / "aggregate").contrasts.to_pylist():
        assert row["verdict"] == "undecided"
        assert row["units_for_difference"] == 7
        assert -math.inf < row["low"] < row["effect"] < row["high"] < math.inf


def test_contrasts_hold_at_all_looks_together(tmp_path: Path) -> None:
    def noisy(variant: Variant, seed: int, split: int) -> dict[str, float]:  # noqa: ARG001
        learned = variant.name == "heteroscedastic"
        drawn = np.random.default_rng([seed, learned]).standard_normal(3)
        return {"nll": drawn[0] - learned, "crps": drawn[1] - 3 * learned, "rmse": drawn[2]}

    whole = looked(4, 8, 16)
    tables = {}
    for name, experiment in {"one": regression(SEEDS), "looks": whole, "first": at_looks(whole)[0]}.items():
        folders = evaluations(experiment, tmp_path / name, noisy)
        aggregate([experiment], evaluations=folders, out=tmp_path / name / "aggregate")
        rows = read_aggregate(tmp_path / name / "aggregate").contrasts.to_pylist()
        tables[name] = {row["metric"]: row for row in rows}
    assert {row["n"] for row in tables["first"].values()} == {4}
    for metric, row in tables["looks"].items():
        alone = tables["one"][metric]
        assert (row["effect"], row["p"]) == (alone["effect"], alone["p"])
        assert row["p_adjusted"] == pytest.approx(holm([look_of(whole).overall_p(alone["p"])])[0])
        wider = stats.t(7).ppf(1 - look_of(whole).nominal_level(0.05) / 2) / stats.t(7).ppf(0.975)
        assert row["high"] - row["effect"] == pytest.approx(wider * (alone["high"] - alone["effect"]))


def test_equivalence_holds_at_all_looks_together(tmp_path: Path) -> None:
    def close(variant: Variant, seed: int, split: int) -> dict[str, float]:  # noqa: ARG001
        drawn = np.random.default_rng([seed, variant.name == "heteroscedastic"]).standard_normal(3)
        return dict(zip(("nll", "crps", "rmse"), drawn, strict=True))

    whole = regression(
        SEEDS, ("ablation:\n", "ablation:\n  looks: [8, 16]\n  margins: {nll: {absolute: 2.0}}\n")
    )
    aggregate([whole], evaluations=evaluations(whole, tmp_path, close), out=tmp_path / "aggregate")
    rows = read_aggregate(tmp_path / "aggregate").contrasts.to_pylist()
    (row,) = [row for row in rows if row["metric"] == "nll"]
    one_sided = look_of(whole).overall_p(2 * row["equivalence"]) / 2
    assert row["equivalence"] < one_sided == pytest.approx(row["equivalence_adjusted"])


def test_looks_of_t_tests_keep_the_level() -> None:
    """Boundaries are those of a known variance; with few units t and its looks are not quite a Brownian motion."""
    looks, n = (4, 6, 8, 12), 4_000
    levels = {k: Look(k, looks).nominal_level(0.05) for k in looks}
    drawn = np.random.default_rng(1).standard_normal((n, looks[-1]))
    false = [any(difference_p(row[:k].tolist()) <= level for k, level in levels.items()) for row in drawn]
    assert np.mean(false) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / n)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("looks: [8, 4]", "ablation.looks: given [8, 4]; write increasing numbers of seeds"),
        ("looks: [4, 4, 8]", "given [4, 4, 8]; write increasing"),
        (
            "looks: [4, 6]",
            "ablation.looks: given [4, 6], and seeds has 8; the number of seeds is one of the looks",
        ),
        ("looks: [0, 8]", "ablation.looks"),
    ],
)
def test_looks_that_cannot_be_are_refused(change: str, told: str) -> None:
    with pytest.raises(ConfigError, match=_literal(told)):
        regression(SEEDS, ("ablation:\n", f"ablation:\n  {change}\n"))


def test_splits_are_no_units_of_looks() -> None:
    with pytest.raises(ConfigError, match=r"ablation\.looks: are taken by seeds of one split"):
        regression(("ablation:\n", "ablation:\n  looks: [2, 4]\n"))


def _literal(text: str) -> str:
    return text.replace("[", r"\[").replace("]", r"\]").replace(".", r"\.")
