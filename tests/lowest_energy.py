"""Parameters of an error law where an energy is lowest, found by a method that knows nothing of how networks learn."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from precisionflow.inference.predictive_coding.parameters import SHARE_OF_GRADIENT


def fit(law: nn.Module, energy: Callable[[], Tensor]) -> None:
    """Set the law's parameters where `energy()` is lowest."""
    optimiser = torch.optim.LBFGS(
        law.parameters(), max_iter=80, line_search_fn="strong_wolfe", tolerance_change=0, tolerance_grad=0
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = energy()
        # a line search compares slopes with values, so that it wants the whole gradient
        (value / SHARE_OF_GRADIENT).backward()
        return value

    optimiser.step(closure)
