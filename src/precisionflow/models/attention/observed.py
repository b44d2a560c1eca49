"""What attention does in the forward passes of a network, for analyses: posteriors over edges, stated precisions."""

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.models.attention.attention import Attention
from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.potentials.centred import PrecisionOfTokens
from precisionflow.models.attention.sites import Sites

Tokens = Float[Tensor, "batch tokens channels"]
Found = TypeVar("Found")


class Look(NamedTuple):
    """One attention module in one forward pass."""

    posterior: Posterior
    log_precision: Float[Tensor, "batch heads tokens"] | None
    """Mean over channels of the log precision that each token states, of keys where both sides state one; none where
    no token states any."""


@contextlib.contextmanager
def observed(model: nn.Module) -> Iterator[list[Posterior]]:
    """A list that gets the posterior of every attention module of the model, in their order, at each forward pass."""
    with _watching(model, Attention.posterior) as posteriors:
        yield posteriors


@contextlib.contextmanager
def looked_into(model: nn.Module) -> Iterator[list[Look]]:
    """The same with the precisions."""
    with _watching(model, _look) as looks:
        yield looks


def _look(module: Attention, x: Tokens, at: Sites) -> Look:
    stated = [part for part in module.potential.modules() if isinstance(part, PrecisionOfTokens)]
    return Look(module.posterior(x, at), stated[-1](x).mean(-1) if stated else None)


@contextlib.contextmanager
def _watching(model: nn.Module, look: Callable[[Attention, Tokens, Sites], Found]) -> Iterator[list[Found]]:
    found: list[Found] = []

    def keep(module: nn.Module, given: tuple[object, ...]) -> None:
        x, at = given
        assert isinstance(module, Attention)
        assert isinstance(x, Tensor)
        assert isinstance(at, Sites)
        found.append(look(module, x, at))

    handles = [
        module.register_forward_pre_hook(keep) for module in model.modules() if isinstance(module, Attention)
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
