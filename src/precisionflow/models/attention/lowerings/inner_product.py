"""The inner product of augmented queries and keys."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import Keys, Queries, Values


class InnerProduct:
    """log potential = <query, key>, of augmented queries and keys: one fused scaled_dot_product_attention."""

    def log_potentials(self, queries: Queries, keys: Keys) -> Float[Tensor, "batch heads queries keys"]:
        return queries @ keys.transpose(-1, -2)

    def expectation(
        self, queries: Queries, keys: Keys, values: Values, prior: LogPrior
    ) -> Float[Tensor, "batch heads queries width"]:
        """Values are padded to the width of wider keys: the fused kernels ask for one width."""
        width, missing = values.shape[-1], max(0, keys.shape[-1] - values.shape[-1])
        padded = pad(values, (0, missing))
        if not prior.factors:
            mixed = scaled_dot_product_attention(queries, keys, padded, is_causal=prior.causal, scale=1.0)
        else:
            mask = prior.matrix(queries.shape[-2], keys.shape[-2], device=queries.device, dtype=queries.dtype)
            mixed = scaled_dot_product_attention(queries, keys, padded, attn_mask=mask, scale=1.0)
        return mixed[..., :width]
