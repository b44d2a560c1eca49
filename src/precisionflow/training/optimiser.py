"""The optimiser of every engine: AdamW, with a weight decay of its own for the precision head."""

from collections.abc import Iterable

import torch
from torch import Tensor

from precisionflow.config.training import Training


def adamw(
    parameters: Iterable[tuple[str, Tensor]],
    training: Training,
    *,
    precision_head: frozenset[str],
    precision_weight_decay: float | None,
    fused: bool = False,
) -> torch.optim.AdamW:
    """AdamW over named parameters; those of the `precision_head` decay by `precision_weight_decay`, if given.

    `fused`: one pass over memory a step; every gradient has to be contiguous, else torch 2 takes wrong elements of it.
    """
    groups: dict[float, list[Tensor]] = {}
    for name, parameter in parameters:
        apart = precision_weight_decay is not None and name in precision_head
        decay = precision_weight_decay if apart else training.weight_decay
        groups.setdefault(decay, []).append(parameter)  # type: ignore[arg-type]
    return torch.optim.AdamW(
        [{"params": of, "weight_decay": decay} for decay, of in groups.items()],
        lr=training.learning_rate,
        fused=fused,
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give all parameter groups one learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
