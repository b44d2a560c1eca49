"""Predicted distributions against scipy, quadrature and their own definitions."""

import numpy as np
import pytest
from scipy import integrate, stats

from precisionflow.evaluation.distribution import Distribution, gaussian
from precisionflow.evaluation.families import Components, Family

ROWS = 40
FAMILIES: tuple[Family, ...] = ("gaussian", "laplace", "student_t")


def mixture(family: Family, *, components: int, seed: int = 0, rows: int = ROWS) -> Distribution:
    random = np.random.default_rng(seed)
    shape = (rows, components)
    return Distribution(
        family,
        random.normal(size=shape),
        np.exp(random.normal(size=shape)),
        random.dirichlet(np.ones(components), size=rows),
        random.uniform(2.5, 20, size=shape) if family == "student_t" else None,
    )


def law(predicted: Distribution, row: int, component: int):  # type: ignore[no-untyped-def]
    """scipy's distribution of one component."""
    place = {"loc": predicted.location[row, component], "scale": predicted.scale[row, component]}
    match predicted.family:
        case "gaussian":
            return stats.norm(**place)
        case "laplace":
            return stats.laplace(**place)
        case "student_t":
            assert predicted.degrees_of_freedom is not None
            return stats.t(predicted.degrees_of_freedom[row, component], **place)


def of_scipy(predicted: Distribution, method: str, target: np.ndarray) -> np.ndarray:
    """sum_k weight_k method_k(target), row by row."""
    return np.array(
        [
            sum(
                predicted.weight[n, k] * getattr(law(predicted, n, k), method)(target[n])
                for k in range(predicted.components)
            )
            for n in range(len(target))
        ]
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("components", [1, 3])
def test_density_and_distribution_function_equal_scipy(family: Family, components: int) -> None:
    predicted = mixture(family, components=components)
    target = np.random.default_rng(1).normal(size=ROWS) * 3
    np.testing.assert_allclose(np.exp(predicted.log_density(target)), of_scipy(predicted, "pdf", target))
    np.testing.assert_allclose(predicted.cdf(target), of_scipy(predicted, "cdf", target), rtol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("components", [1, 4])
def test_a_quantile_is_where_the_distribution_function_says(family: Family, components: int) -> None:
    predicted = mixture(family, components=components)
    for probability in (1e-6, 0.025, 0.5, 0.9, 0.999):
        found = predicted.cdf(predicted.quantile(probability))
        np.testing.assert_allclose(found, probability, rtol=1e-6)
    low, high = predicted.interval(0.8)
    np.testing.assert_allclose(predicted.cdf(high) - predicted.cdf(low), 0.8, rtol=1e-6)


def test_a_component_without_weight_is_not_there() -> None:
    alone = Distribution("gaussian", np.array([[0.0]]), np.array([[1.0]]), np.array([[1.0]]))
    beside = Distribution("gaussian", np.array([[0.0, 1e3]]), np.array([[1.0, 1e-6]]), np.array([[1.0, 0.0]]))
    for target in (0.3, 1e3):
        y = np.array([target])
        assert beside.log_density(y) == pytest.approx(alone.log_density(y))
        assert beside.cdf(y) == pytest.approx(alone.cdf(y))
    assert beside.quantile(0.9) == pytest.approx(alone.quantile(0.9))
    first = Distribution("gaussian", np.array([[1e3, 0.0]]), np.ones((1, 2)), np.array([[0.0, 1.0]]))
    assert np.all(first.rows(np.zeros(500, dtype=int)).sample(np.random.default_rng(0)) < 100)


def test_weights_are_divided_by_their_sum() -> None:
    nearly = Distribution("gaussian", np.zeros((1, 2)), np.ones((1, 2)), np.array([[0.5, 0.5 + 5e-7]]))
    assert nearly.weight.sum() == pytest.approx(1, abs=1e-15)
    assert nearly.cdf(np.array([50.0])) == pytest.approx(1, abs=1e-15)


def test_the_std_of_a_location_may_exceed_the_scale_by_rounding_alone() -> None:
    def believed(location_std: float) -> Distribution:
        one = np.ones((1, 1))
        return Distribution("gaussian", 0 * one, 1e-3 * one, one, location_std=location_std * one)

    rounded = believed(1e-3 * (1 + 1e-7))
    assert rounded.aleatoric == 0
    assert rounded.std == pytest.approx(1e-3)
    with pytest.raises(ValueError, match=r"location_std, row 0.*between 0 and scale"):
        believed(1.001e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_moments_are_those_of_the_density(family: Family) -> None:
    predicted = mixture(family, components=2)
    row = predicted.rows(slice(3, 4))

    def moment(power: int) -> float:
        return float(
            integrate.quad(
                lambda y: (y - row.mean[0]) ** power * np.exp(row.log_density(np.array([y]))[0]),
                -np.inf,
                np.inf,
                limit=400,
            )[0]
        )

    total = np.average([law(row, 0, k).mean() for k in range(2)], weights=row.weight[0])
    assert row.mean[0] == pytest.approx(total)
    assert row.std[0] ** 2 == pytest.approx(moment(2), rel=1e-3)
    np.testing.assert_allclose(row.std**2, row.aleatoric + row.epistemic)


def test_members_that_agree_have_no_epistemic_part() -> None:
    alike = Distribution("gaussian", np.full((2, 5), 3.0), np.full((2, 5), 2.0), np.full((2, 5), 0.2))
    np.testing.assert_allclose(alike.epistemic, 0, atol=1e-12)
    np.testing.assert_allclose(alike.std, 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_have_a_uniform_probability_integral_transform(family: Family) -> None:
    predicted = mixture(family, components=3, rows=4000)
    pit = predicted.cdf(predicted.sample(np.random.default_rng(5)))
    assert stats.kstest(pit, "uniform").pvalue > 1e-3


def bad(**changes: Components | None) -> Distribution:
    parts = {"location": np.zeros((2, 2)), "scale": np.ones((2, 2)), "weight": np.full((2, 2), 0.5)}
    return Distribution("gaussian", **(parts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": np.array([[1.0, 1.0], [1.0, 0.0]])}, r"scale, row 1: given \[1. 0.\]; should be positive"),
        ({"weight": np.full((2, 2), 0.4)}, r"weight, row 0: given 0.8; should sum to 1"),
        ({"weight": np.array([[1.5, -0.5], [0.5, 0.5]])}, "weight, row 0.*should not be negative"),
        ({"location": np.array([[0.0, np.nan], [0.0, 0.0]])}, "location, row 0.*finite"),
        ({"degrees_of_freedom": np.ones((2, 2))}, "belong to 'student_t' alone"),
    ],
)
def test_what_is_no_distribution_is_refused(changes: dict[str, Components], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bad(**changes)


def test_moments_that_do_not_exist_are_refused() -> None:
    ones = np.ones((1, 1))
    with pytest.raises(ValueError, match="a variance needs more than 2"):
        _ = Distribution("student_t", ones, ones, ones, 2 * ones).aleatoric
    with pytest.raises(ValueError, match="a mean needs more than 1"):
        _ = Distribution("student_t", ones, ones, ones, ones).mean


def test_targets_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="3 targets for 2 predictions"):
        gaussian(np.zeros(2), np.ones(2)).cdf(np.zeros(3))
