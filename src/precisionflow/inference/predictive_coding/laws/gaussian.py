"""The Gaussian law: errors of one fixed precision."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Gaussian(nn.Module):
    """p(e) = N(0, 1 / precision) in every channel."""

    def __init__(self, precision: float) -> None:
        super().__init__()
        self.precision = precision

    def energy(self, errors: Sequence[Tensor]) -> Float[Tensor, ""]:
        """precision / 2 sum_i ||e_i||^2."""
        return 0.5 * self.precision * torch.stack([error.square().sum() for error in errors]).sum()

    def log_normaliser(self, errors: Sequence[Tensor]) -> Float[Tensor, ""]:
        """n / 2 log(2 pi / precision), n numbers in all errors."""
        numbers = sum(error.numel() for error in errors)
        return errors[0].new_tensor(0.5 * numbers * math.log(2 * math.pi / self.precision))

    def descended(self, error: Tensor, gradient: Tensor, *, step_size: float) -> Tensor:
        """e - step_size / precision (precision e + gradient)."""
        return (1 - step_size) * error - step_size / self.precision * gradient

    def lesson(self, prediction: Tensor, error: Tensor) -> Float[Tensor, ""]:
        """-precision <e, prediction>."""
        return -self.precision * (prediction * error).sum()
