"""Where numbers stop to be finite: the first layer of a network whose output is not."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from precisionflow.models.networks.groups import Grouped

LAYER = re.compile(r"(?:network\.)?(layers\.\d+|readout)")
"""Name of a layer or readout in a `Layered`, which a model of images has inside."""
WEIGHTS_TOO = ", whose weights are not finite"
"""Follows the name of a layer."""


def told(layer: str | None, *, step: int) -> str:
    """What a message says of the layer that an engine found after so many steps; none: only the loss."""
    if layer and layer.endswith(WEIGHTS_TOO):
        return f"after step {step} weights are not finite: {layer.removesuffix(WEIGHTS_TOO)}"
    return f"first output that is not finite: {layer or 'the loss'}"


@contextlib.contextmanager
def watching_outputs(network: nn.Module) -> Iterator[list[str]]:
    """A list that gets each layer of a network whose output is not finite, in the order in which they run.

    Such as "layers.3 (attention)"; its weights are told where they are not finite either.
    """
    found: list[str] = []
    handles = [
        module.register_forward_hook(_Keep(layer[1], found))
        for name, module in network.named_modules()
        if (layer := LAYER.fullmatch(name))
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


class _Keep:
    def __init__(self, name: str, found: list[str]) -> None:
        self.name = name
        self.found = found

    def __call__(self, module: nn.Module, given: Any, output: Any) -> None:  # noqa: ARG002
        if isinstance(output, Tensor) and not output.isfinite().all():
            group = f" ({module.group})" if isinstance(module, Grouped) else ""
            learned = all(weight.isfinite().all() for weight in module.parameters())
            self.found.append(f"{self.name}{group}{'' if learned else WEIGHTS_TOO}")
