"""Posterior means through torch's FlexAttention: one fused kernel for any function of an inner product, and any prior.

Inner products are taken in the dtype of the values, bfloat16 or float16, and summed in float32; what is added to them,
the function and the prior are float32. Blocks of edges that a prior excludes are skipped.
"""

import contextlib
import functools
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import AbstractContextManager
from typing import Any, no_type_check

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.attention.log_prior import Edge, LogPrior
from precisionflow.models.attention.lowerings import Keys, Queries, Score, Values, agreement, summed
from precisionflow.models.attention.lowerings.blockwise import ByBlocks

FEWEST = 128
"""Queries, and keys, of a block of the kernel: with fewer there is little to fuse."""
FORMS = 64
"""Kernels of one process: one for each form and shape that was not seen before; beyond, torch would fuse nothing."""
MASKS = 16
"""Block masks that are kept: one for each prior and length of text."""


class Scored(ByBlocks):
    """A lowering by blocks whose log potential is a `Score`, so that a GPU has a kernel for it."""

    @abstractmethod
    def score(self, queries: Queries, keys: Keys) -> Score:
        """The log potential edge by edge."""

    def expectation(
        self, queries: Queries, keys: Keys, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        if fits(queries, keys, values):
            found = fused(self.score(queries, keys), values, prior)
            if found is not None:
                return found
        return super().expectation(queries, keys, values, prior)


def fits(queries: Queries, keys: Keys, values: Values) -> bool:
    """Whether it is taken: on a GPU, values of half the width of float32, blocks that are filled."""
    filled = min(queries.shape[-2], keys.shape[-2]) >= FEWEST
    return values.device.type == "cuda" and values.dtype.itemsize == torch.half.itemsize and filled


def fused(score: Score, values: Values, prior: LogPrior) -> Float[Tensor, "batch heads queries width"] | None:
    """The posterior mean by one kernel; none where blocks are faster.

    Kernels of our own are taken where there are such and `agreement` trusts them. FlexAttention is given no table by
    place that is learned: it sums gradients by one atomic operation for every edge.
    """
    if summed.fits(score, values, prior) and agreement.agree(score, values, prior):
        return summed.expectation(score, values, prior)
    if any(edge.by_place is not None and edge.by_place.requires_grad for edge in prior.edgewise()):
        return None
    return expectation(score, values, prior)


def expectation(score: Score, values: Values, prior: LogPrior) -> Float[Tensor, "batch heads queries width"]:
    """sum_j p_ij v_j, p_i = softmax(score_i + log prior_i), in the dtype of the values."""
    (queries, _), (keys, _) = score.apart()
    queries, keys = queries.to(values.dtype), keys.to(values.dtype)
    given = {"score_mod": score_mod(score, prior), "block_mask": block_mask(prior, queries, keys)}
    with _many_forms():
        return _compiled()(queries, keys, values, **given, scale=1.0)  # type: ignore[no-any-return]


def score_mod(score: Score, prior: LogPrior) -> Any:
    """(inner product, batch, head, query, key) -> log potential + log prior of an edge that is possible."""
    ((_, of_query), (_, of_key)), value = score.apart(), score.value
    logs, absent = [edge.log for edge in prior.edgewise() if edge.log], prior.absent

    @no_type_check
    def mod(product: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        own = tuple(number[batch, head, query] for number in of_query)
        other = tuple(number[batch, head, key] for number in of_key)
        found = value(product, own, other)
        for log in logs:
            one = log(batch, head, query, key)
            found = found + (one if absent is None else torch.where(absent[batch, query], 0.0, one))
        return found

    return mod


def mask_mod(prior: LogPrior) -> Edge | None:
    """(batch, head, query, key) -> whether the edge is possible; none: all are."""
    masks, absent = [edge.possible for edge in prior.edgewise() if edge.possible], prior.absent
    if not masks:
        return None

    @no_type_check
    def mod(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        found = masks[0](batch, head, query, key)
        for mask in masks[1:]:
            found = found & mask(batch, head, query, key)
        return found if absent is None else found | absent[batch, query]

    return mod


def block_mask(prior: LogPrior, queries: Queries, keys: Keys) -> Any:
    """Which blocks of edges are to be visited; none: all. That of a prior that is known by its settings is kept."""
    mod = mask_mod(prior)
    if mod is None:
        return None
    from torch.nn.attention.flex_attention import create_block_mask

    masks = [edge for edge in prior.edgewise() if edge.possible]
    by_sequence = prior.absent is not None or any(mask.by_sequence for mask in masks)
    by_head = any(mask.by_head for mask in masks)
    lengths = queries.shape[-2], keys.shape[-2]
    known = None if by_sequence or by_head else _known_by([mask.known_by for mask in masks])
    key = known and (known, lengths, str(queries.device))
    if key and key in _masks:
        _masks.move_to_end(key)
        return _masks[key]
    made = create_block_mask(
        mod,
        queries.shape[0] if by_sequence else None,
        queries.shape[1] if by_head else None,
        *lengths,
        device=queries.device,
        _compile=queries.device.type == "cuda" and (by_sequence or by_head),
    )
    if key:
        _masks[key] = made
        while len(_masks) > MASKS:
            _masks.popitem(last=False)
    return made


_masks: OrderedDict[Hashable, Any] = OrderedDict()


def _known_by(factors: list[Hashable]) -> Hashable:
    return None if None in factors else tuple(factors)


def _many_forms() -> AbstractContextManager[object]:
    """Inside code that is compiled itself the limit is that of its compiler."""
    if torch.compiler.is_compiling():
        return contextlib.nullcontext()
    return torch._dynamo.config.patch(recompile_limit=FORMS)  # type: ignore[no-any-return,attr-defined]


@functools.cache
def _compiled() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention)
