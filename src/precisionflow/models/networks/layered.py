"""A network as a chain of layers and a readout: what both backprop and predictive coding train."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from precisionflow.config.optimiser import GroupName
from precisionflow.models.attention.bare import bare
from precisionflow.models.attention.memory import Room, Step
from precisionflow.models.attention.sites import Sites
from precisionflow.models.networks.dropout import Draw, Dropout, dropping

Mask = Bool[Tensor, "batch tokens"]
"""True at real tokens, False at padding."""
Where = tuple[Sites, ...]
"""Sites of the tokens, which every layer is told; empty where a network has rows, not tokens."""


@runtime_checkable
class Fitted(Protocol):
    """A part of a network that takes something from training rows, before anything is learned by gradients."""

    def fit(self, features: Float32[np.ndarray, "rows features"]) -> None:
        """From the features of all training rows."""
        ...


class Layered(nn.Module):
    """state_0 = f_0(inputs), state_i = f_i(state_{i-1}), output = readout(state_L).

    Every layer's output is one tensor, the state that predictive coding adds an error to. A map of the `inputs` that
    nothing is learned in may come before the first layer.
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        readout: nn.Module,
        *,
        states: Sequence[tuple[int, ...]],
        layer_kinds: Sequence[str] | None = None,
        inputs: nn.Module | None = None,
    ) -> None:
        """`states` are the shapes of the layers' states of one sample, at most: (channels,) or (places, channels).

        `layer_kinds` are the kinds of the layers, by which predictive coding states laws; none: it states one of all.
        """
        super().__init__()
        self.states = tuple(states)
        self.layer_kinds = layer_kinds
        self.inputs = inputs
        self.layers = nn.ModuleList(layers)
        self.readout = readout

    def enter(self, inputs: Tensor) -> Tensor:
        """Input of the first layer."""
        return inputs if self.inputs is None else self.inputs(inputs)  # type: ignore[no-any-return]

    def where(self, inputs: Tensor, mask: Mask | None) -> Where:  # noqa: ARG002 - rows stand nowhere
        """Further arguments of every layer and of the readout: nothing for rows of numbers."""
        return ()

    def last_state(self, inputs: Tensor, mask: Mask | None = None) -> tuple[Tensor, Where]:
        """What the readout is given."""
        state, where = self.enter(inputs), self.where(inputs, mask)
        for layer in self.layers:
            state = layer(state, *where)
        return state, where

    def forward(self, inputs: Tensor, mask: Mask | None = None) -> Any:
        state, where = self.last_state(inputs, mask)
        return self.readout(state, *where)


class TokenNetwork(Layered):
    """A network of token sequences: every layer and the readout are told where the tokens stand."""

    def where(self, inputs: Tensor, mask: Mask | None) -> Where:
        return (Sites.of(inputs, mask),)


class Residual(nn.Module):
    """x + dropout(branch(norm(x), sites)); norm and branch are one group of parameters."""

    def __init__(self, norm: nn.Module, branch: Any, *, dropout: nn.Module | None = None) -> None:
        """`branch` is a module that says its group; to be told a text bit by bit it has to be `Incremental`."""
        super().__init__()
        self.group: GroupName = branch.group
        self.norm = norm
        self.branch = branch
        self.dropout = dropout or nn.Identity()

    def forward(self, x: Tensor, at: Sites) -> Tensor:
        return x + self.dropout(self.branch(self.norm(x), at))  # type: ignore[no-any-return]

    def begin(self, room: Room) -> Step:
        """The same with the branch under way."""
        norm, branch, dropout = bare(self.norm), self.branch.begin(room), bare(self.dropout)

        def step(x: Tensor, at: Sites) -> Tensor:
            return x + dropout(branch(norm(x), at))  # type: ignore[no-any-return]

        return step


class Recomputed(Residual):
    """The same, whose backward pass computes it again from x instead of keeping what lies between.

    It drops again what it dropped: by then the dropout follows another draw, or none.
    """

    def forward(self, x: Tensor, at: Sites) -> Tensor:
        again = super().forward
        if isinstance(self.dropout, Dropout):
            again = _following(self.dropout, self.dropout.draw, again)
        return checkpoint(again, x, at, use_reentrant=False, preserve_rng_state=False)  # type: ignore[no-any-return]


def _following(dropout: Dropout, draw: Draw | None, forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same forward pass, whenever it is called, with the units dropped that this draw drops."""

    def again(x: Tensor, at: Sites) -> Tensor:
        with dropping(dropout, draw):
            return forward(x, at)

    return again


class TokenWise(nn.Sequential):
    """Modules one after the other, each token by itself: sites make no difference."""

    def begin(self, room: Room) -> Step:  # noqa: ARG002 - nothing to remember
        parts = [bare(part) for part in self]

        def step(x: Tensor, at: Sites) -> Tensor:  # noqa: ARG001
            for part in parts:
                x = part(x)
            return x

        return step

    def forward(self, x: Tensor, at: Sites) -> Tensor:  # type: ignore[override]  # noqa: ARG002
        return super().forward(x)  # type: ignore[no-any-return]
