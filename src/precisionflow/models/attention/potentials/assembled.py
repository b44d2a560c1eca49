"""The potential of a configuration."""

from typing import assert_never

from torch import nn

from precisionflow.config import attention as kinds
from precisionflow.models.attention.heads import QueriesAndKeys
from precisionflow.models.attention.potentials.dot_product import DotProduct
from precisionflow.models.attention.potentials.dot_product_key_bias import DotProductKeyBias
from precisionflow.models.attention.potentials.gaussian_isotropic import GaussianIsotropic
from precisionflow.models.attention.potentials.gaussian_mixture import GaussianMixture
from precisionflow.models.attention.potentials.gaussian_per_key import GaussianPerKey
from precisionflow.models.attention.potentials.gaussian_per_query import GaussianPerQuery
from precisionflow.models.attention.potentials.gaussian_separable import GaussianSeparable
from precisionflow.models.attention.potentials.laplace_by_channel import LaplaceByChannel
from precisionflow.models.attention.potentials.laplace_elliptical import LaplaceElliptical
from precisionflow.models.attention.potentials.pair_precision import PairPrecision
from precisionflow.models.attention.potentials.student_t_isotropic import StudentTIsotropic
from precisionflow.models.attention.potentials.tempered import Tempered


def potential(config: kinds.Attention, queries_keys: QueriesAndKeys) -> nn.Module:
    """A module that is a `Potential`."""
    at_one = _at_temperature_one(config.potential, queries_keys)
    if config.temperature is None:
        return at_one
    return Tempered(at_one, heads=queries_keys.heads, initial=config.temperature)


def _at_temperature_one(config: kinds.Potential, queries_keys: QueriesAndKeys) -> nn.Module:
    match config:
        case kinds.DotProduct():
            return DotProduct(queries_keys)
        case kinds.DotProductKeyBias():
            return DotProductKeyBias(queries_keys)
        case kinds.GaussianIsotropic(initial_precision=initial):
            return GaussianIsotropic(queries_keys, initial_precision=initial)
        case kinds.GaussianPerKey():
            return GaussianPerKey(queries_keys, config)
        case kinds.GaussianPerQuery():
            return GaussianPerQuery(queries_keys, config)
        case kinds.GaussianSeparable():
            return GaussianSeparable(queries_keys, config)
        case kinds.GaussianMixture(components=components, initial_precision=initial):
            return GaussianMixture(queries_keys, components=components, initial_precision=initial)
        case kinds.StudentTIsotropic(initial_precision=initial, initial_degrees_of_freedom=degrees):
            return StudentTIsotropic(queries_keys, initial_precision=initial, initial_degrees=degrees)
        case kinds.LaplaceByChannel(initial_precision=initial):
            return LaplaceByChannel(queries_keys, initial_precision=initial)
        case kinds.LaplaceElliptical(initial_precision=initial):
            return LaplaceElliptical(queries_keys, initial_precision=initial)
        case kinds.PairPrecision():
            return PairPrecision(queries_keys)
        case _:
            assert_never(config)
