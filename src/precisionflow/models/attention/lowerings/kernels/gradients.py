"""Gradients of a posterior mean, by the kernels of both sides."""

import torch
from torch import Tensor

from precisionflow.models.attention.lowerings import Layout
from precisionflow.models.attention.lowerings.kernels.given import BLOCKS, Given
from precisionflow.models.attention.lowerings.kernels.of_keys import keys_kernel
from precisionflow.models.attention.lowerings.kernels.of_queries import delta_kernel, queries_kernel


def gradients(
    given: Given,
    sides: list[tuple[torch.Size, torch.dtype]],
    layouts: tuple[Layout, Layout],
    *,
    mean: Tensor,
    log_sum: Tensor,
    gradient: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Of both sides, their numbers at their places, of values, bias and table; `sides`: their shapes and dtypes."""
    batch, heads, rows, _ = given.queries.shape
    of_query, of_key = BLOCKS["queries"], BLOCKS["keys"]
    columns = given.keys.shape[-2]
    above = gradient.to(given.values.dtype).contiguous()
    delta = torch.empty_like(log_sum)
    delta_kernel[rows // of_query.rows, batch * heads](
        mean, above, delta, rows, V=above.shape[-1], ROWS=of_query.rows
    )
    of_queries, of_keys = (torch.empty(shape, dtype=dtype, device=mean.device) for shape, dtype in sides)
    of_values = torch.empty_like(given.values)
    of_bias = log_sum.new_empty(batch, heads, columns if given.bias.numel() else 0)
    band = log_sum.new_zeros(batch, heads, rows if given.table.numel() else 0, given.table.shape[-1])
    read = (*given[:3], above, log_sum, delta, *given[3:7])
    own, other = ({"FRONT": front, "BACK": back} for front, back in layouts)
    keys_kernel[columns // of_key.rows, batch * heads](
        *read,
        of_keys,
        of_values,
        of_bias,
        rows,
        columns,
        heads,
        of_keys.shape[-1],
        given.least,
        **other,
        **given.fixed(of_key),
    )
    queries_kernel[rows // of_query.rows, batch * heads](
        *read,
        of_queries,
        band,
        rows,
        columns,
        heads,
        of_queries.shape[-1],
        given.least,
        **own,
        **given.fixed(of_query),
    )
    return (
        of_queries,
        of_keys,
        of_values,
        of_bias.sum(0) if given.bias.numel() else None,
        band.sum((0, 2)) if given.table.numel() else None,
    )
