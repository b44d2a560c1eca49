"""Posterior means of a `Score` by kernels of our own: gradients of numbers of a token are sums, not scattered."""

import functools
import importlib.util
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import Keys, Queries, Score, Values

BLOCK = 128
"""Tokens of a block; lengths are multiples of it."""
HEADS = 2**16 - 1
"""Most heads of all sequences: programs that a GPU takes along the second axis."""
ROOM = {16: 160 * 2**10, 32: 160 * 2**10, 64: 160 * 2**10, 128: 212 * 2**10}
"""Widths of vectors that matrix units take as they are, and bytes of memory that the threads of a block share: those of
data-centre GPUs from A100 on, and from H100 on for the largest."""
Tables = tuple[Tensor | None, Tensor | None]
"""What a prior says of keys, (heads, keys), and by place of the query - place of the key, (heads, entries)."""


def fits(score: Score, values: Values, prior: LogPrior) -> bool:
    """Whether it is taken: forms and priors that kernels are written for, blocks that are filled.

    Gradients of queries are summed in any order, so that it is left where torch is asked for algorithms that are the
    same in every run. Numbers take the dtype of the values, of which float16 has too small a range.
    """
    rows, columns = score.queries.shape[-2], score.keys.shape[-2]
    widths = {score.width, values.shape[-1]}
    return (
        score.form is not None
        and values.dtype != torch.float16
        and not torch.are_deterministic_algorithms_enabled()
        and tables(prior) is not None
        and prior.absent is None
        and (rows == columns or not prior.causal)
        and score.queries.shape[0] * score.queries.shape[1] <= HEADS
        and rows % BLOCK == 0
        and columns % BLOCK == 0
        and widths <= ROOM.keys()
        and _room(values.device) >= ROOM[max(widths)]
    )


def expectation(score: Score, values: Values, prior: LogPrior) -> Float[Tensor, "batch heads queries width"]:
    """sum_j p_ij v_j; gradients of first order. A compiler leaves it as it is."""
    found = tables(prior)
    assert found is not None
    return mean(score.queries, score.keys, values, *found, score, prior.causal)


def mean(
    queries: Queries,
    keys: Keys,
    values: Values,
    of_key: Tensor | None,
    by_place: Tensor | None,
    score: Score,
    causal: bool,
) -> Float[Tensor, "batch heads queries width"]:
    """The same, of a prior's two tables."""
    return _undisturbed()(queries, keys, values, of_key, by_place, score, causal)  # type: ignore[no-any-return]


def tables(prior: LogPrior) -> Tables | None:
    """What a prior says of keys and by places; none where it is no such, beside a causal one."""
    factors = [factor.edgewise() for factor in prior.factors]
    of_key = [edge.of_key for edge in factors if edge.of_key is not None]
    by_place = [edge.by_place for edge in factors if edge.by_place is not None]
    if any(edge.possible for edge in factors) and not prior.causal:
        return None
    if len(of_key) + len(by_place) < len(factors) or max(len(of_key), len(by_place)) > 1:
        return None
    return next(iter(of_key), None), next(iter(by_place), None)


@functools.cache
def _room(device: torch.device) -> float:
    """Bytes that the threads of a block may share; 0 without Triton, any number for its interpreter.

    AMD's GPUs have 64 KiB, and torch does not tell it of them by this name.
    """
    if importlib.util.find_spec("triton") is None or (device.type == "cuda" and torch.version.hip):
        return 0.0
    if device.type != "cuda":
        return math.inf
    return float(torch.cuda.get_device_properties(device).shared_memory_per_block_optin)  # type: ignore[attr-defined]


@functools.cache
def _undisturbed() -> Any:
    return torch.compiler.disable(_Mean.apply)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        bias: Tensor | None,
        table: Tensor | None,
        score: Score,
        causal: bool,
    ) -> Tensor:
        from precisionflow.models.attention.lowerings.kernels.given import Layouts, given_of
        from precisionflow.models.attention.lowerings.kernels.mean import mean_of

        assert score.form is not None
        layouts = Layouts(score.form, score.level, score.of_query, score.of_key)
        given = given_of(queries, keys, values, bias, table, layouts, least=score.least, causal=causal)
        mean, log_sum = mean_of(given)
        context.save_for_backward(*given[:9], mean, log_sum)
        context.rest, context.layouts = given[9:], layouts
        context.sides = [(side.shape, side.dtype) for side in (queries, keys)]
        return mean

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Any, ...]:
        from precisionflow.models.attention.lowerings.kernels.given import Given
        from precisionflow.models.attention.lowerings.kernels.gradients import gradients

        *tensors, mean, log_sum = context.saved_tensors
        found = gradients(
            Given(*tensors, *context.rest),
            context.sides,
            context.layouts,
            mean=mean,
            log_sum=log_sum,
            gradient=gradient,
            of_table=context.needs_input_grad[4],
        )
        return *found, None, None
