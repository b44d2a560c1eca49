"""Variational inference in exponential families."""

from precisionflow.inference.variational.families.categorical import Categorical
from precisionflow.inference.variational.families.dirichlet import Dirichlet
from precisionflow.inference.variational.families.gamma import Gamma
from precisionflow.inference.variational.families.gaussian import Gaussian
from precisionflow.inference.variational.families.gaussian_vector import GaussianVector
from precisionflow.inference.variational.families.wishart import Wishart

__all__ = ["Categorical", "Dirichlet", "Gamma", "Gaussian", "GaussianVector", "Wishart"]
