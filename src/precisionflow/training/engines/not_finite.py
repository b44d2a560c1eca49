"""Where numbers stop to be finite: the first layer of a network whose output is not."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from precisionflow.models.networks.groups import Grouped

LAYER = re.compile(r"(?:network\.)?(layers\.\d+|readout)")
"""Name of a layer or readout in a `Layered`, which a model of images has inside."""


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
            self.found.append(f"{self.name}{group}{'' if learned else ', whose weights are not finite'}")
