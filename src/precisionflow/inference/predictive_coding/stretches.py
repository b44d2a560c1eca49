"""Stretches of a network: the layers from one error, or the inputs, to the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from torch import Tensor, nn

from precisionflow.inference.predictive_coding.laws import Errors
from precisionflow.models.attention.attention import Attention
from precisionflow.models.attention.iterated.nodes import LatentAttention
from precisionflow.models.networks.layered import Layered, Residual, Where
from precisionflow.models.numerics import at_least_float32


@dataclass(frozen=True)
class Stretch:
    """The error is that of the last layer's state."""

    layers: Sequence[nn.Module]
    where: Where

    def predicted(self, below: Tensor) -> tuple[Tensor, Errors]:
        """What passes the error by, and the prediction of the state that has the error."""
        state = at_least_float32(through(self.layers, below, self.where))
        return state, state

    def onward(self, beside: Tensor, state: Errors) -> Tensor:  # noqa: ARG002 - nothing passes it by
        """What the layers above read of the state and of what passed it by."""
        return state


class StretchToHeads(Stretch):
    """x + mix(heads(norm(x)) + e): the error of an attention layer is that of its heads, before they are mixed.

    So each channel of the error is one head's, and a precision of each head weighs the error of that head. The mixing
    map lies above the error, and learns from the next one.
    """

    def predicted(self, below: Tensor) -> tuple[Tensor, Errors]:
        x = through(self.layers[:-1], below, self.where)
        branch = self.residual.branch
        return x, at_least_float32(branch.heads(self.residual.norm(x), *self.where))

    def onward(self, beside: Tensor, state: Errors) -> Tensor:
        return beside + self.residual.dropout(self.residual.branch.mix(state))  # type: ignore[no-any-return]

    @property
    def residual(self) -> Residual:
        """The attention layer that the error belongs to."""
        return self.layers[-1]  # type: ignore[return-value]


def to_heads(layers: Sequence[nn.Module], where: Where) -> Stretch:
    """A stretch whose error is that of the heads, where it ends in attention."""
    return (StretchToHeads if heads_of(layers[-1]) else Stretch)(layers, where)


def heads_of(layer: nn.Module) -> int:
    """Heads of an attention layer, 0 of any other."""
    match layer:
        case Residual(branch=Attention() as of):
            return of.value.heads  # type: ignore[no-any-return]
        case Residual(branch=LatentAttention() as of):
            return of.nodes.heads  # type: ignore[no-any-return]
        case _:
            return 0


def heads_of_layers(model: Layered) -> list[int]:
    """The same of every layer."""
    return [heads_of(layer) for layer in model.layers]


def through(layers: Sequence[nn.Module], state: Tensor, where: Where) -> Tensor:
    """What the layers make of a state, one after the other."""
    return reduce(lambda below, layer: layer(below, *where), layers, state)
