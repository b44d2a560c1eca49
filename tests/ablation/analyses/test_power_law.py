"""Power laws against made-up data whose law is known."""

import numpy as np
import pytest

from precisionflow.ablation.analyses.power_law import STEEPEST, joint_law, power_law

SIZES = np.array([16.0, 32, 64, 128, 256])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(("exponent", "falls"), [(-0.5, True), (-0.076, True), (1.0, False), (2.0, False)])
def test_a_law_is_found_from_its_own_values(scale: float, unit: float, exponent: float, falls: bool) -> None:
    x = unit * SIZES
    y = scale * (1.7 + 3 * (x / unit) ** exponent)
    found = power_law(x, y[None], falls=falls)
    assert found.exponent[0] == pytest.approx(exponent, rel=1e-4)
    assert found.offset[0] == pytest.approx(1.7 * scale, rel=1e-2)
    assert found.factor[0] == pytest.approx(3 * scale * unit**-exponent, rel=1e-2)
    assert found.at(x[2])[0] == pytest.approx(y[2], rel=1e-6)
    assert found.at(1000 * unit)[0] == pytest.approx(scale * (1.7 + 3 * 1000**exponent), rel=1e-3)


def test_draws_have_their_own_laws() -> None:
    y = np.stack([1 + SIZES**-0.3, 2 + 5 * SIZES**-1.2])
    found = power_law(SIZES, y, falls=True)
    assert found.exponent == pytest.approx([-0.3, -1.2], rel=1e-4)
    assert found.offset == pytest.approx([1, 2], rel=1e-3)


def test_least_squares_are_least() -> None:
    """No exponent nearby, with the best offset and factor for it, has smaller squares."""
    y = 1 + 4 * SIZES**-0.4 + 0.05 * np.random.default_rng(0).standard_normal(5)
    found = power_law(SIZES, y[None], falls=True)

    def squares(exponent: float) -> float:
        rows = np.column_stack([np.ones(5), SIZES**exponent])
        return float(np.square(y - rows @ np.linalg.lstsq(rows, y, rcond=None)[0]).sum())

    best = squares(found.exponent[0])
    assert best == pytest.approx(float(np.square(y - [found.at(x)[0] for x in SIZES]).sum()), rel=1e-6)
    assert all(best <= squares(found.exponent[0] * by) + 1e-15 for by in (0.5, 0.9, 0.999, 1.001, 1.1, 2))


def test_what_no_law_describes_ends_at_an_end() -> None:
    step = np.array([[5.0, 1, 1, 1, 1]])
    assert power_law(SIZES, step, falls=True).exponent[0] == pytest.approx(-STEEPEST, rel=1e-3)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_law_of_parameters_and_data_is_found_with_its_optimum(scale: float) -> None:
    n, d = (of.ravel() for of in np.meshgrid([1e3, 4e3, 16e3, 64e3], [1e5, 4e5, 16e5, 64e5]))
    found = joint_law(n, d, scale * (1.2 + 40 * n**-0.4 + 90 * d**-0.3))
    assert found is not None
    assert (found.alpha, found.beta) == pytest.approx([0.4, 0.3], rel=1e-3)
    assert (found.offset, found.a, found.b) == pytest.approx([1.2 * scale, 40 * scale, 90 * scale], rel=1e-2)
    best_n, best_d = found.optimum(1e10)
    assert best_n * best_d == pytest.approx(1e10)
    best = found.at(best_n, best_d)
    assert all(found.at(best_n * by, best_d / by) > best for by in (0.5, 0.9, 1.1, 2))


def test_a_loss_that_grows_with_the_parameters_has_no_such_law() -> None:
    n, d = (of.ravel() for of in np.meshgrid([1e3, 4e3, 16e3], [1e5, 4e5, 16e5]))
    assert joint_law(n, d, 1 - 40 * n**-0.4 + 90 * d**-0.3) is None
