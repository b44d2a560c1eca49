"""The logarithm of a sum of exponentials: components of one inner product that share a value."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.attention.lowerings import (
    PAIRS,
    Block,
    Keys,
    Pull,
    Queries,
    Score,
    SomeKeys,
    SomeQueries,
    TemperedQueries,
)
from precisionflow.models.attention.lowerings.flex import Scored


@dataclass(frozen=True)
class LogSum(Scored):
    """log potential = w_i log sum_m exp(s_im <q_i, k_j> + a_im + b_jm): M components, one inner product.

    The query side is [s_1, ..., s_M, a_1, ..., a_M, q], behind w_i where it is `weighted`, the key side
    [b_1, ..., b_M, k]. With w = 1 it is the softmax over M T keys whose values are shared by M, but products and
    averages are taken once.
    """

    components: int
    weighted: bool = False

    def tempered(self, queries: Queries, power: Float[Tensor, "heads 1 1"]) -> TemperedQueries:
        if self.weighted:
            return super().tempered(queries, power)
        return torch.cat([power.expand(*queries.shape[:-1], 1), queries], dim=-1)

    def of_tempered(self) -> "LogSum":
        return replace(self, weighted=True)

    def score(self, queries: Queries, keys: Keys) -> Score:
        form = None
        if self.components == PAIRS:
            form = "weighted_log_sum" if self.weighted else "log_sum"
        layouts = (self.weighted + 2 * self.components, 0), (self.components, 0)
        return Score(queries, keys, *layouts, self._value, form)

    def _value(self, product: Tensor, own: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> Tensor:
        first = int(self.weighted)
        slopes, levels = own[first : first + self.components], own[first + self.components :]
        parts = [
            slope * product + level + bias for slope, level, bias in zip(slopes, levels, other, strict=True)
        ]
        top = parts[0]
        for part in parts[1:]:
            top = torch.maximum(top, part)
        total = torch.zeros_like(top)
        for part in parts:
            total = total + (part - top).exp()
        whole = top + total.log()
        return own[0] * whole if self.weighted else whole

    def block(self, queries: SomeQueries, keys: SomeKeys) -> tuple[Block, Pull]:
        count = self.components
        first = int(self.weighted)
        weight, slopes, levels, inner = queries.split(
            [first, count, count, queries.shape[-1] - first - 2 * count], -1
        )
        biases, key = keys[..., :count], keys[..., count:]
        product = torch.bmm(inner, key.transpose(1, 2))

        def part(m: int) -> Block:
            with_bias = torch.addcmul(biases[:, None, :, m], product, slopes[..., m : m + 1])
            return with_bias.add_(levels[..., m : m + 1])

        parts = [part(m) for m in range(count)]
        whole = parts[0] if count > 1 else parts[0].clone()
        for other in parts[1:]:
            whole = torch.logaddexp(whole, other)

        def pull(gradient: Block, of_queries: SomeQueries, of_keys: SomeKeys) -> None:
            if self.weighted:
                of_queries[..., 0] = (gradient * whole).sum(-1)
                gradient.mul_(weight)
            of_product, rest = torch.zeros_like(gradient), gradient
            for m in range(count):
                if m < count - 1:
                    mine = (parts[m] - whole).exp_().mul_(gradient)
                    rest = rest - mine
                else:
                    mine = rest
                of_queries[..., first + m] = (mine * product).sum(-1)
                of_queries[..., first + count + m] = mine.sum(-1)
                of_keys[..., m] += mine.sum(1)
                of_product.addcmul_(mine, slopes[..., m : m + 1])
            torch.bmm(of_product, key, out=of_queries[..., first + 2 * count :])
            of_keys[..., count:].baddbmm_(of_product.transpose(1, 2), inner)

        return (whole * weight if self.weighted else whole.clone()), pull
