"""Patches of unlike numbers of tokens as micro-batches, with as little padding as so many lengths allow."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from precisionflow.inference.allocation.checks import require_whole
from precisionflow.inference.counts import require_count

Encode = Callable[[Tensor, Bool[Tensor, "patches tokens"]], Float[Tensor, "patches features"]]
"""Tokens of patches and which of them are real, not padding -> features of each patch."""


class Bucket(NamedTuple):
    """A micro-batch."""

    patches: Int[Tensor, "chosen"]
    """Their places among all patches."""
    length: int
    """Tokens of each, padding included: those of the longest."""


def bucketed(tokens: Int[Tensor, "patches"], *, lengths: int, most: int | None = None) -> list[Bucket]:
    """Micro-batches of at most so many different lengths, with the least padding that these allow.

    The patches in order of their tokens are cut where the sum of (length - tokens) is least, by dynamic programming
    over the numbers of tokens that occur: O(lengths n^2) for n of these. As many lengths as occur pad nothing.
    `most`: tokens of a micro-batch, padding included; a longer one is cut. ValueError for no patch, a patch without a
    token or with a part of one, no length, and a patch that does not fit into `most`.
    """
    require_whole("buckets: tokens", tokens, "patches", least=1)
    require_count("buckets: lengths", lengths)
    if most is not None:
        require_count("buckets: most", most)
    if most is not None and most < int(tokens.max()):
        raise ValueError(
            f"buckets: a patch of {int(tokens.max())} tokens does not fit into {most}; give more, or lower its tokens"
        )
    order = tokens.argsort(stable=True)
    values, counts = np.unique(tokens.cpu().numpy(), return_counts=True)
    found, first, behind = [], 0, np.cumsum(counts)
    for last in _cuts(values, counts, min(lengths, len(values))):
        length, end = int(values[last]), int(behind[last])
        size = end - first if most is None else most // length
        found += [Bucket(order[at : min(at + size, end)], length) for at in range(first, end, size)]
        first = end
    return found


def _cuts(values: np.ndarray, counts: np.ndarray, lengths: int) -> list[int]:
    """Index of the largest value of each of so many neighbouring groups, of the least sum of value x count."""
    before = np.concatenate([[0], np.cumsum(counts)]).astype(np.float64)
    # cost[a, b]: cells of a group of values a to b
    cost = values[None, :] * (before[None, 1:] - before[:-1, None])
    cost[np.tril_indices(len(values), -1)] = np.inf
    least, begins = cost[0], []
    for _ in range(lengths - 1):
        # least[a - 1] cells before a, then a group from a
        totals = np.concatenate([[np.inf], least[:-1]])[:, None] + cost
        begin = totals.argmin(axis=0)
        least = totals[begin, np.arange(len(values))]
        begins.append(begin)
    last = len(values) - 1
    ends = [last]
    for begin in reversed(begins):
        last = int(begin[last]) - 1
        ends.append(last)
    return ends[::-1]


def padding(buckets: Sequence[Bucket], tokens: Int[Tensor, "patches"]) -> float:
    """Share of the cells of all micro-batches that are padding."""
    cells = sum(len(bucket.patches) * bucket.length for bucket in buckets)
    return 1 - int(tokens.sum()) / cells


def encoded(
    encode: Encode,
    values: Float[Tensor, "patches tokens *width"],
    tokens: Int[Tensor, "patches"],
    buckets: Sequence[Bucket],
) -> Float[Tensor, "patches features"]:
    """Features of all patches in their order, computed micro-batch by micro-batch."""
    parts = []
    for bucket in buckets:
        real = torch.arange(bucket.length, device=tokens.device) < tokens[bucket.patches, None]
        parts.append(encode(values[bucket.patches, : bucket.length], real))
    places = torch.cat([bucket.patches for bucket in buckets])
    return torch.cat(parts)[places.argsort()]
