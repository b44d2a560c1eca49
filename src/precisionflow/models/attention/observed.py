"""What attention does in the forward passes of a network, for analyses: posteriors over edges, stated precisions."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.attention import Attention
from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.potentials.centred import PrecisionOfTokens
from precisionflow.models.attention.sites import Sites
from precisionflow.models.attention.values import Value, Weights

Tokens = Float[Tensor, "batch tokens channels"]


@dataclass(frozen=True)
class Look:
    """One attention module in one forward pass."""

    posterior: Posterior
    """That which the value is a mean by."""
    log_precision: Float[Tensor, "batch heads tokens"] | None
    """Mean over channels of the log precision that each token states, of keys where both sides state one; none where
    no token states any."""
    value: Value

    def shares(self) -> Weights:
        """Share of the own value of each key in what each query gets, float64; 0 where a query gets nothing."""
        weights = self.value.weights(self.posterior).double()
        return weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


def has_edges(model: nn.Module) -> bool:
    """Whether tokens attend to tokens anywhere in the model, so that there is something to look at."""
    return any(isinstance(module, Attention) for module in model.modules())


@contextlib.contextmanager
def observed(model: nn.Module) -> Iterator[list[Look]]:
    """A list that gets a look at every attention module of the model, in their order, at each forward pass."""
    looks: list[Look] = []

    def keep(module: nn.Module, given: tuple[object, ...]) -> None:
        x, at = given
        assert isinstance(module, Attention)
        assert isinstance(x, Tensor)
        assert isinstance(at, Sites)
        looks.append(_look(module, x, at))

    handles = [
        module.register_forward_pre_hook(keep) for module in model.modules() if isinstance(module, Attention)
    ]
    try:
        yield looks
    finally:
        for handle in handles:
            handle.remove()


def _look(module: Attention, x: Tokens, at: Sites) -> Look:
    stated = [part for part in module.potential.modules() if isinstance(part, PrecisionOfTokens)]
    posterior = module.value.averaged_by(module.posterior(x, at))
    return Look(posterior, stated[-1](x).mean(-1) if stated else None, module.value)
