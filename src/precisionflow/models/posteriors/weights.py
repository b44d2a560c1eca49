"""Weights of a trained model as one file holds them: the network's, and beside them the posterior's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

POSTERIOR = "posterior."
"""Begins the names of the posterior's tensors in a file."""


@dataclass(frozen=True)
class Weights:
    """Tensors by name, the network's and the posterior's apart."""

    network: dict[str, Tensor]
    """The network's state; of an ensemble each with a leading axis of members."""
    posterior: dict[str, Tensor] = field(default_factory=dict)
    """What is believed beside the network's weights: a factor, prior precisions, a spread."""

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Weights":
        """Weights in the tensors of a file."""
        beside = {n.removeprefix(POSTERIOR): t for n, t in tensors.items() if n.startswith(POSTERIOR)}
        return cls({n: t for n, t in tensors.items() if not n.startswith(POSTERIOR)}, beside)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Tensors for a file."""
        return self.network | {f"{POSTERIOR}{name}": tensor for name, tensor in self.posterior.items()}

    def believed(self, name: str) -> Tensor:
        """A tensor of the posterior; RuntimeError where the file has none of that name."""
        if name not in self.posterior:
            raise RuntimeError(f"{POSTERIOR}{name} is missing")
        return self.posterior[name]
