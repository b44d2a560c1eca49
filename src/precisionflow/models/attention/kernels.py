"""From lowered potentials to weighted values: one fused scaled_dot_product_attention."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention


class Lowered(NamedTuple):
    """Augmented queries and keys whose inner product is the log potential, up to a constant for each query."""

    queries: Float[Tensor, "batch heads queries augmented"]
    keys: Float[Tensor, "batch heads keys augmented"]


def attend(
    lowered: Lowered,
    values: Float[Tensor, "batch heads keys width"],
    *,
    causal: bool,
) -> Float[Tensor, "batch heads queries width"]:
    """Posterior mean of the values: sum_j softmax_j(<q_i, k_j> + log prior_ij) v_j.

    `causal` gives the prior that is uniform over j <= i, otherwise it is uniform over all j. Runs in the dtype of the
    lowered queries, outside autocast, since log potentials that are differences of large terms do not survive bfloat16.
    Values are padded to the width of the keys: the fused kernels ask for one width.
    """
    queries, keys = lowered
    width, missing = values.shape[-1], keys.shape[-1] - values.shape[-1]
    with torch.autocast(device_type=queries.device.type, enabled=False):
        padded = pad(values.to(queries.dtype), (0, missing))
        return scaled_dot_product_attention(queries, keys, padded, is_causal=causal, scale=1.0)[..., :width]
