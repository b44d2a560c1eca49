"""Generalised coordinates: covariances of derivatives against derivatives of the kernel, D, derivatives of readings."""

import math

import numpy as np
import pytest
import torch

from precisionflow.models.filters.coordinates import (
    derivative_covariance,
    derivatives_from_readings,
    generalised_precision,
    shift,
)


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_covariance_of_the_first_derivatives() -> None:
    gamma = 1 / 0.3**2
    wanted = [[1, 0, -gamma / 2], [0, gamma / 2, 0], [-gamma / 2, 0, 0.75 * gamma**2]]
    np.testing.assert_allclose(derivative_covariance(2, number(0.3)), wanted, rtol=1e-12)


@pytest.mark.parametrize("smoothness", [0.5, 2.0])
def test_covariance_is_that_of_the_kernel_s_derivatives(smoothness: float) -> None:
    """Cov(w^(i)(t), w^(j)(t')) = d^i/dt^i d^j/dt'^j rho(t - t'), by automatic differentiation."""
    order, found = 4, derivative_covariance(4, number(smoothness))
    for i in range(order + 1):
        for j in range(order + 1):
            t, u = number(0.0).requires_grad_(), number(0.0).requires_grad_()
            value = torch.exp(-((t - u) ** 2) / (4 * smoothness**2))
            for place in [t] * i + [u] * j:
                (value,) = torch.autograd.grad(value, place, create_graph=True)
            assert found[i, j].item() == pytest.approx(value.item(), abs=1e-10 * smoothness ** -(i + j))


def test_covariance_is_that_of_differences_of_noise_that_are_fine() -> None:
    smoothness, step = 0.7, 1e-3
    lag = step * np.subtract.outer(np.arange(3), np.arange(3))
    kernel = np.exp(-(lag**2) / (4 * smoothness**2))
    differences = np.array([[0, 1, 0], [-0.5 / step, 0, 0.5 / step], np.array([1, -2, 1]) / step**2])
    found = derivative_covariance(2, number(smoothness))
    np.testing.assert_allclose(differences @ kernel @ differences.T, found, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("smoothness", [1e-6, 0.5, 1e6])
def test_precision_is_the_inverse_at_every_scale(smoothness: float) -> None:
    order = 6
    scale = torch.tensor(smoothness).double() ** torch.arange(order + 1)
    precision, covariance = (
        of(order, number(smoothness)) for of in (generalised_precision, derivative_covariance)
    )
    unit = (precision / scale.outer(scale)) @ (covariance * scale.outer(scale))
    np.testing.assert_allclose(unit, np.eye(order + 1), atol=1e-9)


def test_shift_is_the_derivative_and_readings_of_a_polynomial_have_its_derivatives() -> None:
    polynomial, at, interval = np.polynomial.Polynomial([1.0, -2.0, 0.5, 3.0]), 0.4, 0.1
    each = torch.tensor([polynomial.deriv(k)(at) if k else polynomial(at) for k in range(4)])
    np.testing.assert_allclose(shift(3) @ each, [*each[1:], 0.0])
    readings = torch.tensor([polynomial(at - back * interval) for back in range(4)])
    np.testing.assert_allclose(derivatives_from_readings(3, interval) @ readings, each, rtol=1e-9)
    moved = torch.linalg.matrix_exp(shift(3) * interval) @ each
    assert moved[0].item() == pytest.approx(polynomial(at + interval))


def test_noise_of_readings_grows_with_the_derivative() -> None:
    rows = derivatives_from_readings(2, 0.1)
    assert rows[2].norm().item() == pytest.approx(math.sqrt(6) / 0.1**2)
