"""FlexAttention's mean with a backward pass of its own: gradients of numbers of a token are sums, not scattered."""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import Score, Values

BLOCK = 128
"""Tokens of a block; lengths are multiples of it."""
WIDTHS = (16, 32, 64, 128)
"""Widths of a head that matrix units take as they are."""
Attended = Callable[..., tuple[Tensor, Any]]
"""(score, values, prior, return_aux=...) -> the mean, and what else was asked for."""


def fits(score: Score, values: Values, prior: LogPrior) -> bool:
    """Whether it is taken: a form that it is written for, a full or a causal prior, blocks that are filled."""
    lengths = {score.queries.shape[-2], score.keys.shape[-2]}
    return (
        score.form is not None
        and not torch.compiler.is_compiling()
        and not prior.factors
        and prior.absent is None
        and (len(lengths) == 1 or not prior.causal)
        and all(length % BLOCK == 0 for length in lengths)
        and {score.keys.shape[-1], values.shape[-1]} <= set(WIDTHS)
        and _there_is_triton()
    )


def expectation(
    attended: Attended, score: Score, values: Values, prior: LogPrior
) -> Float[Tensor, "batch heads queries width"]:
    """sum_j p_ij v_j; gradients of first order."""
    numbers = (torch.stack(terms, dim=2) for terms in (score.of_query, score.of_key))
    return _Mean.apply(score.queries, score.keys, values, *numbers, attended, score, prior)  # type: ignore[no-any-return]


@functools.cache
def _there_is_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        of_query: Tensor,
        of_key: Tensor,
        attended: Attended,
        score: Score,
        prior: LogPrior,
    ) -> Tensor:
        from torch.nn.attention.flex_attention import AuxRequest

        queries, keys = queries.to(values.dtype), keys.to(values.dtype)
        given = score._replace(
            queries=queries, keys=keys, of_query=of_query.unbind(2), of_key=of_key.unbind(2)
        )
        mean, more = attended(given, values, prior, return_aux=AuxRequest(lse=True))
        context.save_for_backward(queries, keys, values, of_query, of_key, mean, more.lse)
        context.form, context.least, context.causal = score.form, score.least, prior.causal
        return mean  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Any, ...]:
        from precisionflow.models.attention.lowerings import triton_backward

        *sides, mean, log_sum = context.saved_tensors
        found = triton_backward.gradients(
            context.form,
            *sides,
            mean=mean,
            gradient=gradient,
            log_sum=log_sum,
            causal=context.causal,
            least=context.least,
        )
        return *found, None, None, None
