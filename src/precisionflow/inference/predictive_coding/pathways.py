"""Pathways: what a layer's state is to the layer above, in its value and in the gradient that comes back."""

from collections.abc import Callable, Sequence
from typing import assert_never

from precisionflow.config import learning as kinds
from precisionflow.config.layers import cut_layers
from precisionflow.inference.predictive_coding.laws import Errors

Pathway = Callable[[Errors, Errors], Errors]
"""(state, its error) -> what the layer above reads."""


def bidirectional(state: Errors, error: Errors) -> Errors:  # noqa: ARG001
    """The state with its error; the gradient comes back."""
    return state


def bottom_up(state: Errors, error: Errors) -> Errors:  # noqa: ARG001
    """The state with its error; no gradient comes back."""
    return state.detach()


def top_down(state: Errors, error: Errors) -> Errors:
    """What the layer predicted, s - e; the gradient comes back as if it were the state."""
    return state - error.detach()


def pathways(config: kinds.PredictiveCoding, places: Sequence[int]) -> list[Pathway] | None:
    """The pathway above each layer with an error; none where all are bidirectional. ValueError of `cut_layers`."""
    cut = cut_layers(config, places)
    match config.pathway:
        case "bidirectional":
            return None
        case "bottom_up":
            one = bottom_up
        case "top_down":
            one = top_down
        case _:
            assert_never(config.pathway)
    return [one if place in cut else bidirectional for place in places]
