"""What functions of this room are given: tensors with the axes that they need, and finite numbers."""

import math

from torch import Tensor


def require_axes(name: str, given: object, *axes: str) -> None:
    """TypeError for what is no tensor of real numbers, ValueError for other axes; "..." are any number of them."""
    if not isinstance(given, Tensor) or given.is_complex():
        raise TypeError(f"{name}: given {_kind(given)}; give a tensor of real numbers")
    needed = len(axes) - ("..." in axes)
    if given.ndim < needed or ("..." not in axes and given.ndim > needed):
        raise ValueError(f"{name}: has the shape {tuple(given.shape)}; give ({', '.join(axes)})")


def require_some(name: str, given: Tensor) -> None:
    """ValueError for a tensor without a number."""
    if not given.numel():
        raise ValueError(
            f"{name}: has the shape {tuple(given.shape)}, and so nothing; give at least one of each"
        )


def require_finite(name: str, given: Tensor, *, least: float = -math.inf) -> None:
    """ValueError for what is NaN, infinite or below `least`, with its place."""
    bad = ~(given.isfinite() & (given >= least))
    if bool(bad.any()):
        place = tuple(bad.nonzero()[0].tolist())
        bound = "" if least == -math.inf else f" and at least {least:g}"
        raise ValueError(f"{name}: at {place} given {given[place].item():g}; each has to be finite{bound}")


def require_whole(name: str, given: object, *axes: str, least: int) -> None:
    """`require_axes`; ValueError for no number, for a type of fractions, and for what is below `least`."""
    require_axes(name, given, *axes)
    assert isinstance(given, Tensor)
    require_some(name, given)
    if given.is_floating_point():
        raise ValueError(f"{name}: given {given.dtype}; give whole numbers, such as those of torch.int64")
    require_finite(name, given, least=least)


def require_number(name: str, given: object, *, positive: bool) -> None:
    """TypeError for what is no real number; ValueError for one that is not finite and above 0, or at least 0."""
    try:
        value = None if isinstance(given, str | bool) else float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        value = None
    if value is None:
        raise TypeError(f"{name}: given {_kind(given)}; give a number")
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        bound = "above 0" if positive else "0 or more"
        raise ValueError(f"{name}: given {value:g}; give a finite number, {bound}")


def _kind(given: object) -> str:
    return f"{given.dtype}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
