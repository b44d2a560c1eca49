"""The categorical likelihood of a class: raw outputs are logits."""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from precisionflow.models.numerics import at_least_float32

Logits = Float[Tensor, "*places classes"]
Classes = Int[Tensor, "*places"]


def cross_entropy(logits: Logits, target: Classes) -> Float[Tensor, "*places"]:
    """-log p(target) under the softmax of the logits, in nats, for each place."""
    flat = at_least_float32(logits).flatten(0, -2)
    return functional.cross_entropy(flat, target.flatten(), reduction="none").view_as(target)
