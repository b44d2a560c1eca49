"""Gradients of a posterior mean, by the kernel of both sides."""

import torch
from torch import Tensor

from precisionflow.models.attention.lowerings.kernels.backward import backward_kernel, delta_kernel
from precisionflow.models.attention.lowerings.kernels.given import BLOCKS, Given, Layouts
from precisionflow.models.attention.lowerings.kernels.scores import UNITS
from precisionflow.models.attention.lowerings.kernels.sides import together


def gradients(
    given: Given,
    sides: list[tuple[torch.Size, torch.dtype]],
    layouts: Layouts,
    *,
    mean: Tensor,
    log_sum: Tensor,
    gradient: Tensor,
    of_table: bool = True,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Of both sides, their numbers at their places, of values, bias and table; `sides`: their shapes and dtypes.

    That of a table only where it is asked for (`of_table`): it takes a number for every query and entry.
    """
    batch, heads, rows, _ = given.queries.shape
    blocks, columns = BLOCKS["backward"], given.keys.shape[-2]
    above = gradient.to(given.values.dtype).contiguous()
    delta = torch.empty_like(log_sum)
    delta_kernel[rows // blocks.rows, batch * heads](
        mean, above, delta, rows, V=above.shape[-1], ROWS=blocks.rows
    )
    of_query = [
        torch.zeros_like(one, dtype=torch.float32)
        for one in (given.queries, given.query_parts, given.of_query)
    ]
    learned = of_table and given.table.numel() > 0
    band = log_sum.new_zeros(batch, heads, rows if learned else 0, given.table.shape[-1])
    of_key = [
        torch.empty_like(one, dtype=torch.float32) for one in (given.keys, given.key_parts, given.of_key)
    ]
    of_values = torch.empty_like(given.values)
    of_bias = log_sum.new_empty(batch, heads, columns if given.bias.numel() else 0)
    backward_kernel[columns // blocks.rows, batch * heads](
        *given[:9],
        above,
        log_sum,
        delta,
        *of_query,
        band,
        *of_key,
        of_values,
        of_bias,
        rows,
        columns,
        heads,
        given.least,
        LEARNED=learned,
        **given.fixed(blocks, learned=learned),
    )
    (of_queries, query_dtype), (of_keys, key_dtype) = sides
    own, other = layouts.numbers()
    unit = UNITS.get(given.form, 1.0)
    return (
        together(of_query, of_queries, layouts.of_query, own, dtype=query_dtype, queries=True, unit=unit),
        together(of_key, of_keys, layouts.of_key, other, dtype=key_dtype, queries=False),
        of_values,
        of_bias.sum(0) if given.bias.numel() else None,
        band.sum((0, 2)) if learned else None,
    )
