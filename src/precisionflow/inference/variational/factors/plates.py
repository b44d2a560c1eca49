"""Plates of a factor and of its variables: sums over those that a variable lacks."""

import math

import numpy as np
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.families import Plates


def onto(x: Tensor, *, plates: Plates, to: Plates, axes: int) -> Tensor:
    """x, repeated over `plates`, summed over those that `to` has once; `axes` of an event stand behind plates."""
    if plates == to:
        return x
    event = x.shape[x.ndim - axes :]
    has = _padded(tuple(x.shape[: x.ndim - axes]), len(plates))
    wanted = _padded(to, len(plates))
    repeated = math.prod(
        n for n, here, there in zip(plates, has, wanted, strict=True) if there == 1 and here == 1
    )
    summed = [at for at, (here, there) in enumerate(zip(has, wanted, strict=True)) if there == 1 < here]
    whole = x.reshape(*has, *event)
    if summed:
        whole = whole.sum(dim=summed, keepdim=True)
    # axes in front that `to` lacks altogether
    kept = whole.reshape(whole.shape[len(plates) - len(to) :])
    return kept if repeated == 1 else kept * repeated


def total(x: Tensor, plates: Plates) -> Float[Tensor, ""]:
    """Sum of x repeated over plates."""
    return x.sum() * (math.prod(plates) / max(x.numel(), 1))


def require_plates(found: Plates, parents: Plates, name: str) -> None:
    """ValueError where plates do not hold those of parents."""
    fits = len(parents) <= len(found) and all(
        here in (1, there) for here, there in zip(reversed(parents), reversed(found), strict=False)
    )
    if not fits:
        raise ValueError(f"{name}: plates {found} do not take those of its parents, {parents}")


def joined(*plates: Plates, name: str) -> Plates:
    """Plates that hold all of these; ValueError where they don't broadcast."""
    try:
        return tuple(np.broadcast_shapes(*plates))
    except ValueError:
        raise ValueError(f"{name}: plates {' and '.join(map(str, plates))} do not fit one another") from None


def _padded(plates: Plates, axes: int) -> Plates:
    return (1,) * (axes - len(plates)) + tuple(plates)
