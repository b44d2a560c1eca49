"""Tables, distributions and choices as they are given: arrays, or a ValueError in one line."""

from numbers import Real

import numpy as np
from jaxtyping import Float, Int

from precisionflow.inference.counts import is_count
from precisionflow.inference.planning.categorical import Array

TOLERANCE = 1e-6
"""How far the sum of a given distribution may be from 1: what float32 and a model's own tables leave."""


def array(name: str, given: object) -> Array:
    """Of any kind; ValueError for rows of unequal lengths."""
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name}: is no array of numbers; give rows of equally many") from None


def numbers(name: str, given: object) -> Float[Array, "..."]:
    """float64, of which fewer digits would round every entropy; ValueError for what is no array of real numbers."""
    found = array(name, given)
    if found.dtype.kind not in "biuf":
        raise ValueError(f"{name}: is no array of numbers; give real ones")
    if not found.ndim:
        raise ValueError(f"{name}: is the single number {found}; give an array of numbers")
    return found.astype(np.float64, copy=False)


def each(name: str, given: object, wanted: str) -> tuple[object, ...]:
    """What a sequence holds; ValueError for what is none."""
    try:
        return tuple(given)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{name}: is no sequence; give {wanted}") from None


def real(name: str, given: object) -> float:
    """ValueError for what is no single real number."""
    if isinstance(given, bool) or not isinstance(given, Real):
        raise ValueError(f"{name}: given {given!r}; give a number")
    return float(given)


def require_shape(name: str, table: Array, wanted: tuple[int, ...]) -> None:
    """ValueError for another shape."""
    if table.shape != wanted:
        raise ValueError(f"{name}: has the shape {table.shape}; should be {wanted}")


def distribution(name: str, given: object, count: int, over: str) -> Float[Array, "count"]:
    """A distribution over `count` states, outcomes or actions, as `over` calls them; ValueError for what is none."""
    found = numbers(name, given)
    if found.shape != (count,) or not _sums_to_one(found):
        raise ValueError(
            f"{name}: is no distribution over {count} {over}; give non-negative numbers that sum to 1"
        )
    return found


def distributions(name: str, given: object, count: int, over: str) -> Float[Array, "episodes count"]:
    """A distribution of every episode, a row each; ValueError for what is none, and for no episode."""
    found = numbers(name, given)
    require_rows(name, found, count, over)
    fits = _sums_to_one(found)
    if not fits.all():
        raise ValueError(
            f"{name}: is no distribution over {count} {over} in episode {int(np.argmin(fits))}; "
            "give non-negative numbers that sum to 1"
        )
    return found


def require_rows(name: str, found: Array, count: int, over: str) -> None:
    """ValueError for what is no table with a row for every episode, and for no episode."""
    if found.ndim != 2 or not len(found) or found.shape[1] != count:
        raise ValueError(
            f"{name}: has the shape {found.shape}; give a row for every episode, one or more, of {count} {over}"
        )


def choices(name: str, given: object, count: int) -> Int[Array, "chosen"]:
    """Indices; ValueError for what is no whole number from 0 to count - 1, and for none."""
    found = array(name, given)
    if found.ndim != 1 or not len(found):
        raise ValueError(
            f"{name}: has the shape {found.shape}; give a row of whole numbers from 0 to {count - 1}"
        )
    if found.dtype.kind in "iu" and ((found >= 0) & (found < count)).all():
        return found
    wrong = [one for one in found.tolist() if not is_count(one, least=0) or one >= count]
    if wrong:
        raise ValueError(f"{name}: given {wrong[0]!r}; give whole numbers from 0 to {count - 1}")
    return found.astype(np.int64)


def _sums_to_one(probability: Float[Array, "*episodes count"]) -> Array:
    """Of every row whether it is a distribution; NaN is none."""
    near = np.abs(probability.sum(axis=-1) - 1) <= TOLERANCE
    return np.asarray((probability >= 0).all(axis=-1) & near)
