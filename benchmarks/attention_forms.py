"""Attention between queries and keys that are there already: lowered, and naive with a tensor of pairs and channels."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from precisionflow.config import attention as config
from precisionflow.models.attention.edges import Posterior, one_of_keys
from precisionflow.models.attention.heads import QueriesAndKeys
from precisionflow.models.attention.lowerings.distance import compile_distances
from precisionflow.models.attention.potentials import Potential
from precisionflow.models.attention.potentials.assembled import potential
from precisionflow.models.attention.potentials.centred import PrecisionOfTokens
from precisionflow.models.attention.potentials.dot_product import DotProduct
from precisionflow.models.attention.potentials.tempered import Tempered
from precisionflow.models.attention.priors import Prior
from precisionflow.models.attention.priors.assembled import prior
from precisionflow.models.attention.sites import Sites
from precisionflow.models.attention.values.hopfield import Hopfield
from precisionflow.models.attention.values.multihop import Multihop

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from naive_potentials import FORMS, Given


@dataclass(frozen=True)
class Shape:
    """What is attended with: the form of queries, keys and values."""

    batch: int
    heads: int
    tokens: int
    width: int = 64
    device: str = "cpu"
    dtype: torch.dtype = torch.float32


class There(nn.Module):
    """Tensors in place of the map that makes them from tokens."""

    def __init__(self, shape: Shape, *, heads: int, scale: float = 1.0) -> None:
        super().__init__()
        self.heads, self.head_width = shape.heads, shape.width
        self.in_features = shape.heads * shape.width
        made = scale * torch.randn(shape.batch, heads, shape.tokens, shape.width, device=shape.device)
        self.made = nn.Parameter(made.to(shape.dtype))

    def forward(self, *tokens_at_side: object) -> Tensor:  # noqa: ARG002
        return self.made


class Stated(There):
    """The same in place of a map that states precisions."""

    def stated(self, x: Tensor) -> Tensor:  # noqa: ARG002
        return self.made

    def within_limits(self, stated: Tensor) -> Tensor:
        return stated


class Attended(nn.Module):
    """An attention's posterior and value without the linear maps around them."""

    def __init__(self, shape: Shape, described: config.Attention) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.potential = potential(described, cast(QueriesAndKeys, There(shape, heads=2 * shape.heads)))
        for name, module in list(self.potential.named_children()):
            if isinstance(module, PrecisionOfTokens):
                whole = replace(shape, dtype=torch.float32)
                setattr(self.potential, name, Stated(whole, heads=shape.heads, scale=0.1))
        self.prior = prior(described.prior, heads=shape.heads)
        self.values = There(shape, heads=shape.heads)
        self.at = Sites(torch.arange(shape.tokens, device=shape.device), None, range(shape.tokens))
        self.x = torch.zeros(shape.batch, shape.tokens, shape.heads * shape.width, device=shape.device)
        self.to(shape.device)

    def posterior(self) -> Posterior:
        of = cast(Potential, self.potential)
        queries, keys = of(self.x, self.at)
        return one_of_keys(of.lowering, queries, keys, cast(Prior, self.prior).log(self.at, self.at))


class Lowered(Attended):
    """The expectation of the values as the package takes it."""

    def forward(self) -> Tensor:
        return self.posterior().expectation(self.values())


class Compiled(Lowered):
    """The same with `engine.compile`'s loops, which agree with those of the package."""

    def __init__(self, shape: Shape, described: config.Attention) -> None:
        super().__init__(shape, described)
        plain = self.found()
        compile_distances(self.potential)
        for before, now in zip(plain, self.found(), strict=True):
            torch.testing.assert_close(now, before, rtol=0, atol=1e-4 * float(before.abs().max()))

    def found(self) -> list[Tensor]:
        """The mean, and every gradient of its sum."""
        mean = self.forward()
        leaves = [of for of in self.parameters() if of.requires_grad]
        return [mean.detach(), *torch.autograd.grad(mean.sum(), leaves, allow_unused=False)]


class Naive(Attended):
    """The same from the definition."""

    def __init__(self, shape: Shape, described: config.Attention) -> None:
        super().__init__(shape, described)
        self.form = next(form for kind, form in FORMS.items() if type(kind) is type(described.potential))

    def forward(self) -> Tensor:
        queries, keys = cast(There, self.potential.queries_keys)().chunk(2, dim=1)
        log_potential = self.form(Given(self.potential, queries, keys, self.x, self.x))
        tokens = self.x.shape[1]
        log_prior = (
            cast(Prior, self.prior)
            .log(self.at, self.at)
            .matrix(tokens, tokens, device=self.x.device, dtype=self.x.dtype)
        )
        return (log_potential + log_prior).softmax(-1) @ self.values()


class Hops(Attended):
    """(P + ... + P^h) V."""

    def __init__(self, shape: Shape, described: config.Attention) -> None:
        super().__init__(shape, described)
        assert isinstance(described.value, config.Multihop)
        width, hops = shape.heads * shape.width, described.value.hops
        self.value = Multihop(width, heads=shape.heads, hops=hops)

    def forward(self) -> Tensor:
        return self.value.mean(self.values(), self.posterior(), self.at)


class Retrieval(Attended):
    """One step of a Hopfield network."""

    def __init__(self, shape: Shape, described: config.Attention) -> None:
        super().__init__(shape, described)
        self.value = Hopfield(
            cast(DotProduct | Tempered, self.potential).scaled, heads=shape.heads, iterations=1
        )

    def forward(self) -> Tensor:
        return self.value.mean(self.values(), self.posterior(), self.at)


class Fused(nn.Module):
    """Torch's scaled_dot_product_attention: what everything is compared with."""

    def __init__(self, shape: Shape, described: config.Attention) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.sides = nn.ModuleList(There(shape, heads=shape.heads) for _ in range(3))
        self.causal = described.prior.causal

    def forward(self) -> Tensor:
        queries, keys, values = (side() for side in self.sides)
        return scaled_dot_product_attention(queries, keys, values, is_causal=self.causal)


Make = Callable[[Shape, config.Attention], nn.Module]
