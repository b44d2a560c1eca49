"""Layers of a network that have an error, as a configuration of predictive coding names them."""

import math
from collections.abc import Mapping, Sequence

from precisionflow.config.base import nearest
from precisionflow.config.learning import FixedPrecision, LearnedPrecision, Precision, PredictiveCoding
from precisionflow.config.networks import Chain, Generative

LARGEST = 30
"""Size of a precision's decimal logarithm that float32 holds, its square root's and inverse's too."""


def layers_with_errors(learning: PredictiveCoding, *, count: int) -> tuple[int, ...]:
    """Places of the layers that have an error, in their order; ValueError for one beyond the `count` layers."""
    places = tuple(range(count)) if learning.layers is None else tuple(sorted(learning.layers))
    for place in places:
        if place >= count:
            raise ValueError(
                f"learning.layers: there is no layer {place}; the network has {count}, 0 to {count - 1}"
            )
    return places


def cut_layers(learning: PredictiveCoding, places: Sequence[int]) -> tuple[int, ...]:
    """Those of the layers with an error above which `learning.pathway` cuts a direction; none: bidirectional.

    ValueError where `learning.cut_above` names a layer without an error, or leaves the errors without any loss.
    """
    if learning.pathway == "bidirectional":
        return ()
    last = places[-1]
    for place in learning.cut_above or ():
        if place not in places:
            there = ", ".join(map(str, places))
            raise ValueError(f"learning.cut_above: layer {place} has no error; layers with one: {there}")
    if learning.pathway == "bottom_up" and last in (learning.cut_above or ()):
        raise ValueError(
            f"learning.cut_above: bottom_up above layer {last}, the last one with an error, keeps the loss "
            "from all errors, and no layer would learn; leave it out"
        )
    if learning.cut_above is not None:
        return learning.cut_above
    return tuple(place for place in places if learning.pathway == "top_down" or place != last)


def kinds_of_errors(learning: PredictiveCoding, model: Chain) -> dict[int, str]:
    """Kinds of the errors whose laws `learning` states, by the number that growth and `raised` count them by.

    Layers with an error are counted from 0, whatever lies between them; of a model of images 0 is the highest state,
    whose precision is the prior's, and the image is the last. ValueError of `layers_with_errors`.
    """
    places = layers_with_errors(learning, count=len(model.layer_kinds))
    kinds = [model.layer_kinds[place] for place in places]
    if isinstance(model, Generative):
        return dict(enumerate([*kinds[1:], "image"], start=1))
    return dict(enumerate(kinds))


def require_kinds(learning: PredictiveCoding, kinds: Mapping[int, str | None]) -> None:
    """ValueError where `learning` says something of a kind, or of a number, that no error has."""
    there = list(dict.fromkeys(kind for kind in kinds.values() if kind is not None))
    for kind in learning.by_layer:
        if kind not in there:
            raise ValueError(
                f"learning.by_layer: no layer of kind {kind!r} has an error; kinds with one: "
                f"{', '.join(there) or 'none'}{nearest(kind, there)}"
            )
    for key, precision in learning.precisions.items():
        numbers = [number for number, kind in kinds.items() if learning.precision_of(kind) is precision]
        require_raised(precision, numbers, key=key)
        _require_precise(precision, numbers, key=key)
        if (
            isinstance(precision, LearnedPrecision)
            and precision.per == "head"
            and there
            and "attention" not in there
        ):
            raise ValueError(
                f"{key}.per: head needs attention with an error; kinds with one: {', '.join(there) or 'none'}"
            )


def _require_precise(precision: Precision, layers: Sequence[int], *, key: str) -> None:
    """ValueError where growth over the layers leads beyond what float32 holds."""
    if not isinstance(precision, FixedPrecision):
        return
    for layer in layers:
        logarithms = [
            math.log10(start)
            + layer * math.log10(precision.growth)
            + (math.log10(precision.raised_by) if layer in precision.raised else 0)
            for start in (precision.value, precision.last or precision.value)
        ]
        if max(map(abs, logarithms)) > LARGEST:
            raise ValueError(
                f"{key}: layer {layer} would have a precision of 1e{max(logarithms, key=abs):.0f}; bring growth or "
                "raised_by nearer to 1"
            )


def require_raised(precision: Precision, layers: Sequence[int], *, key: str = "learning.precision") -> None:
    """ValueError where none of the layers is one whose precision is to be raised; the `key` states the precision."""
    for layer in precision.raised if isinstance(precision, FixedPrecision) else ():
        if layer not in layers:
            there = ", ".join(map(str, layers)) or "none"
            raise ValueError(
                f"{key}.raised: there is no layer {layer} with an error of this precision; there are {there}"
            )
