"""Proper scores of Gaussian predictions and of class probabilities, one value a row; the check of columns."""

import math

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy import special

Rows = Float[np.ndarray, " rows"]
"""One number for each prediction."""
Probabilities = Float[np.ndarray, "rows classes"]
"""One distribution over classes for each prediction."""

SUM_TOLERANCE = 1e-4
"""How far from 1 the probabilities of a row may sum: a float32 softmax over 10^5 classes stays inside."""


def gaussian_nll(target: Rows, mean: Rows, std: Rows) -> Rows:
    """-log N(target; mean, std^2) = log(2 pi) / 2 + log std + z^2 / 2 in nats, z = (target - mean) / std.

    Every Gaussian score raises ValueError for arrays that are not one finite number a row of the same rows,
    and for a std that is not positive.
    """
    target, mean, std = _gaussian(target=target, mean=mean, std=std)
    return 0.5 * math.log(2 * math.pi) + np.log(std) + 0.5 * ((target - mean) / std) ** 2


def gaussian_crps(target: Rows, mean: Rows, std: Rows) -> Rows:
    """Integral of (F(x) - [x >= target])^2 dx, F the predicted distribution function, in the target's units.

    Closed form std (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (target - mean) / std, Phi and phi the
    standard normal distribution function and density (Gneiting & Raftery 2007, section 4.2; a loss here).
    """
    target, mean, std = _gaussian(target=target, mean=mean, std=std)
    z = (target - mean) / std
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return std * (z * special.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))


def gaussian_interval(mean: Rows, std: Rows, *, level: float) -> tuple[Rows, Rows]:
    """Ends of the central interval of predicted probability `level`: mean -+ sqrt(2) erfinv(level) std.

    ValueError also for a level outside (0, 1).
    """
    mean, std = _gaussian(mean=mean, std=std)
    half = math.sqrt(2) * special.erfinv(fraction("level", level)) * std
    return mean - half, mean + half


def gaussian_pit(target: Rows, mean: Rows, std: Rows) -> Rows:
    """Probability integral transform Phi((target - mean) / std): predicted probability below the target."""
    target, mean, std = _gaussian(target=target, mean=mean, std=std)
    return special.ndtr((target - mean) / std)


def squared_error(target: Rows, mean: Rows) -> Rows:
    """(target - mean)^2, in squared units of the target."""
    target, mean = aligned(target=target, mean=mean)
    return (target - mean) ** 2


def brier(probabilities: Probabilities, target: Integer[np.ndarray, " rows"]) -> Rows:
    """Sum over classes of (p_k - [k = target])^2, between 0 and 2 (Brier 1950).

    ValueError for rows that are no distribution and for targets that are no class.
    """
    errors = _distributions(probabilities).copy()
    rows, classes = errors.shape
    if target.shape != (rows,):
        raise ValueError(
            f"probabilities {errors.shape} and target {target.shape} do not match; give one target a row"
        )
    refuse(
        (target < 0) | (target >= classes),
        "target",
        target,
        wanted=f"should be a class between 0 and {classes - 1}",
    )
    errors[np.arange(rows), target] -= 1
    return np.einsum("nk,nk->n", errors, errors)


def entropy(probabilities: Probabilities) -> Rows:
    """-sum over classes of p_k log p_k in nats, between 0 and log(classes); 0 log 0 is 0.

    ValueError for rows that are no distribution.
    """
    probabilities = _distributions(probabilities)
    logarithms = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    return -np.einsum("nk,nk->n", probabilities, logarithms)


def aligned(**columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """The columns as float64, none broadcast.

    ValueError unless every column is one finite number a row, all have equally many rows, and there is a
    row.
    """
    arrays = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        given = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"shapes {given}: should all be (rows,); flatten them to one number a row")
    if shapes == {(0,)}:
        raise ValueError(f"{', '.join(arrays)}: no rows; give at least one")
    for name, array in arrays.items():
        refuse(~np.isfinite(array), name, array, wanted="should be a finite number")
    return tuple(arrays.values())


def refuse(bad: Bool[np.ndarray, " rows"], name: str, values: np.ndarray, *, wanted: str) -> None:
    """ValueError that names the first bad row, what it holds and what is wanted; none without a bad row."""
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"{name}, row {row}: given {values[row]}; {wanted}")


def fraction(name: str, value: float) -> float:
    """`value`; ValueError unless it lies strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name}: given {value}; should lie between 0 and 1, both excluded")
    return value


def _gaussian(**columns: np.ndarray) -> tuple[np.ndarray, ...]:
    arrays = aligned(**columns)
    std = arrays[-1]
    refuse(std <= 0, "std", std, wanted="should be positive")
    return arrays


def _distributions(probabilities: np.ndarray) -> np.ndarray:
    array = np.asarray(probabilities, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(
            f"probabilities: shape {array.shape}; should be (rows, classes) with at least one of each"
        )
    total = array.sum(axis=1)
    refuse(~(np.abs(total - 1) <= SUM_TOLERANCE), "probabilities", total, wanted="the row should sum to 1")
    lowest = array.min(axis=1)
    refuse(lowest < 0, "probabilities", lowest, wanted="should not be negative")
    return array
