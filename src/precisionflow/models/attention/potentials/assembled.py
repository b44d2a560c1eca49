"""The potential of a configuration."""

from typing import assert_never

from torch import nn

from precisionflow.config import attention as kinds
from precisionflow.models.attention.heads import QueriesAndKeys
from precisionflow.models.attention.potentials.dot_product import DotProduct
from precisionflow.models.attention.potentials.gaussian_isotropic import GaussianIsotropic
from precisionflow.models.attention.potentials.gaussian_per_key import GaussianPerKey
from precisionflow.models.attention.potentials.student_t import StudentT


def potential(config: kinds.Potential, queries_keys: QueriesAndKeys) -> nn.Module:
    """A module that is a `Potential`."""
    match config:
        case kinds.DotProduct():
            return DotProduct(queries_keys)
        case kinds.GaussianIsotropic(initial_precision=initial):
            return GaussianIsotropic(queries_keys, initial_precision=initial)
        case kinds.GaussianPerKey(initial_precision=initial):
            return GaussianPerKey(queries_keys, initial_precision=initial)
        case kinds.StudentT(initial_precision=initial, initial_degrees_of_freedom=degrees):
            return StudentT(queries_keys, initial_precision=initial, initial_degrees=degrees)
        case _:
            assert_never(config)
