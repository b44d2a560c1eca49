"""Posteriors over edges of a network's forward passes, for analyses."""

import contextlib
from collections.abc import Iterator

from torch import nn

from precisionflow.models.attention.attention import Attention
from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.sites import Sites


@contextlib.contextmanager
def observed(model: nn.Module) -> Iterator[list[Posterior]]:
    """A list that gets the posterior of every attention module of the model, in their order, at each forward pass."""
    posteriors: list[Posterior] = []

    def keep(module: nn.Module, given: tuple[object, ...]) -> None:
        x, at = given
        assert isinstance(module, Attention)
        assert isinstance(at, Sites)
        posteriors.append(module.posterior(x, at))  # type: ignore[arg-type]

    handles = [
        module.register_forward_pre_hook(keep) for module in model.modules() if isinstance(module, Attention)
    ]
    try:
        yield posteriors
    finally:
        for handle in handles:
            handle.remove()
