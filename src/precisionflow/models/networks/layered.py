"""A network as a chain of layers and a readout: what both backprop and predictive coding train."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn


class Layered(nn.Module):
    """state_0 = f_0(inputs), state_i = f_i(state_{i-1}), output = readout(state_L).

    Every layer's output is one tensor, the state that predictive coding adds an error to. A map of the `inputs` that
    nothing is learned in may come before the first layer.
    """

    def __init__(
        self, layers: Iterable[nn.Module], readout: nn.Module, *, inputs: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.layers = nn.ModuleList(layers)
        self.readout = readout

    def enter(self, inputs: Tensor) -> Tensor:
        """What the first layer sees."""
        return inputs if self.inputs is None else self.inputs(inputs)  # type: ignore[no-any-return]

    def forward(self, inputs: Tensor) -> Any:
        state = self.enter(inputs)
        for layer in self.layers:
            state = layer(state)
        return self.readout(state)


class Residual(nn.Module):
    """x + branch(norm(x))."""

    def __init__(self, norm: nn.Module, branch: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(self.norm(x))
