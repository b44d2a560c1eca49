"""Long sequences, one head after another: both sides of a head are made, and made again in its backward pass.

A side may be three times as wide as the queries, and so is its gradient. What is kept of a side is what it is made of;
no more than those of one head, and their gradients, are there at once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import LogPotentials, Lowering, Values
from precisionflow.models.attention.lowerings.blockwise import fill, gradients
from precisionflow.models.numerics import outside_autocast

Made = Float[Tensor, "batch heads _tokens _lowered"]
Heads = Float[Tensor, "batch heads _tokens _width"]
OfHeads = Float[Tensor, "*_batch _heads _rows _channels"]
"""What belongs to heads: of tokens, or learned and without a batch."""


Make = Callable[..., Made]


@dataclass(frozen=True)
class Unlowered:
    """One side before it is made: make(*of), in which no head knows of another."""

    make: Make
    of: tuple[OfHeads, ...]
    """The heads of queries or of keys, then all else that the side is made of."""

    def made(self) -> Made:
        """The side."""
        return self.make(*self.of)

    def made_again(self) -> Made:
        """The side, once more in the backward pass: nothing between `of` and it is kept."""
        return checkpoint(self.make, *self.of, use_reentrant=False, preserve_rng_state=False)  # type: ignore[no-any-return]

    def then(self, after: Make, *more: OfHeads) -> "Unlowered":
        """The side after(side, *more)."""
        make, count = self.make, len(self.of)
        return Unlowered(lambda *of: after(make(*of[:count]), *of[count:]), (*self.of, *more))

    def replaced(self, heads: Heads) -> "Unlowered":
        """The side of other queries or keys."""
        return replace(self, of=(heads, *self.of[1:]))


Side = Made | Unlowered


def made(side: Side) -> Made:
    """The side of all heads at once."""
    return side.made_again() if isinstance(side, Unlowered) else side


@dataclass(frozen=True)
class HeadByHead:
    """Log potentials of queries and keys that are not lowered yet."""

    lowering: Lowering
    query: Unlowered
    key: Unlowered

    def log_potentials(self, queries: Heads, keys: Heads) -> Float[Tensor, "batch heads _queries _keys"]:
        sides = self.query.replaced(queries), self.key.replaced(keys)
        return self.lowering.log_potentials(*(side.made() for side in sides))

    def expectation(
        self, queries: Heads, keys: Heads, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        """sum_j p_ij v_j; gradients of first order, by blocks."""
        sides = self.query.replaced(queries), self.key.replaced(keys)
        makes, split = tuple(side.make for side in sides), len(sides[0].of)
        tensors = (values, *sides[0].of, *sides[1].of, *prior.learned)
        return _HeadByHead.apply(self.lowering.block, prior, makes, split, *tensors)  # type: ignore[no-any-return]


class _HeadByHead(torch.autograd.Function):
    """Tensors: values, what the query side is made of (so many: `split`), that of the key side, what is learned."""

    @staticmethod
    def forward(
        context: Any,
        potentials: LogPotentials,
        prior: LogPrior,
        makes: tuple[Make, Make],
        split: int,
        values: Tensor,
        *tensors: Tensor,
    ) -> Tensor:
        of = tensors[: len(tensors) - len(prior.learned)]
        means = []
        for head in _each(values):
            queries, keys = _sides(makes, split, _at(head, of))
            mean = queries.new_empty(*queries.shape[:3], values.shape[-1])
            fill(
                mean[:, 0],
                potentials,
                queries[:, 0],
                keys[:, 0],
                values[:, head.start].to(queries.dtype),
                prior.of_heads(head),
                (len(values), 1),
            )
            means.append(mean)
        context.save_for_backward(values, *of)
        context.potentials, context.prior, context.makes, context.split = potentials, prior, makes, split
        return torch.cat(means, dim=1)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Any, ...]:
        tensors, prior = context.saved_tensors, context.prior
        needed = context.needs_input_grad[4 : 4 + len(tensors)]
        found = [torch.empty_like(one) if need else None for one, need in zip(tensors, needed, strict=True)]
        of_learned = [torch.zeros_like(tensor) for tensor in prior.learned]
        with outside_autocast(gradient.device):
            for head in _each(gradient):
                _pull_head(context, head, gradient[:, head.start], found, of_learned)
        return None, None, None, None, *found, *of_learned


def _pull_head(
    context: Any, head: slice, gradient: Tensor, into: list[Tensor | None], of_learned: list[Tensor]
) -> None:
    """Put the gradients of one head where they belong."""
    prior, (values, *of), split = context.prior, _at(head, context.saved_tensors), context.split
    with torch.enable_grad():
        own = prior.of_heads(head)
    queries, keys = _sides(context.makes, split, of)
    values = values[:, 0].to(queries.dtype)
    given = queries[:, 0], keys[:, 0], values
    of_queries, of_keys, of_values, *of_own = gradients(
        gradient, context.potentials, *given, own, (len(values), 1)
    )
    del queries, keys, given
    _put(head, [of_values[:, None]], into[:1])
    for make, gradient, part in zip(
        context.makes, (of_queries, of_keys), (slice(0, split), slice(split, None)), strict=True
    ):
        wholes = into[1:][part]
        _put(head, _pull(make, of[part], gradient[:, None], [whole is not None for whole in wholes]), wholes)
    if of_own:
        passed = torch.autograd.grad(own.learned, prior.learned, of_own, allow_unused=True)
        for total, one in zip(of_learned, passed, strict=True):
            total += 0 if one is None else one


def _put(head: slice, parts: Sequence[Tensor | None], into: Sequence[Tensor | None]) -> None:
    for whole, part in zip(into, parts, strict=True):
        if whole is not None:
            whole[..., head, :, :] = 0 if part is None else part


def _each(heads: Heads) -> Iterator[slice]:
    for head in range(heads.shape[1]):
        yield slice(head, head + 1)


def _at(head: slice, of: Sequence[OfHeads]) -> list[OfHeads]:
    return [tensor[..., head, :, :] for tensor in of]


def _sides(makes: tuple[Make, Make], split: int, of: Sequence[OfHeads]) -> tuple[Made, Made]:
    return makes[0](*of[:split]), makes[1](*of[split:])


def _pull(make: Make, of: Sequence[OfHeads], gradient: Made, needed: Sequence[bool]) -> list[Tensor | None]:
    """Gradients of what one side is made of, from that of the side; none where it is not needed."""
    given = [tensor.detach().requires_grad_(need) for tensor, need in zip(of, needed, strict=True)]
    wanted = [tensor for tensor in given if tensor.requires_grad]
    with torch.enable_grad():
        side = make(*given)
    found = iter(torch.autograd.grad(side, wanted, gradient, allow_unused=True) if wanted else ())
    return [next(found) if need else None for need in needed]
