"""Variational inference: models of exponential families by message passing; chains and discrete graphs exactly."""

from precisionflow.inference.variational.factors.categorical import categorical
from precisionflow.inference.variational.factors.linear import linear
from precisionflow.inference.variational.factors.normal import normal
from precisionflow.inference.variational.families.categorical import Categorical
from precisionflow.inference.variational.families.dirichlet import Dirichlet
from precisionflow.inference.variational.families.gamma import Gamma
from precisionflow.inference.variational.families.gaussian import Gaussian
from precisionflow.inference.variational.families.gaussian_vector import GaussianVector
from precisionflow.inference.variational.families.wishart import Wishart
from precisionflow.inference.variational.model import Model
from precisionflow.inference.variational.schedules import coloured, sequential
from precisionflow.inference.variational.shared import Shared
from precisionflow.inference.variational.updates import infer

__all__ = [
    "Categorical",
    "Dirichlet",
    "Gamma",
    "Gaussian",
    "GaussianVector",
    "Model",
    "Shared",
    "Wishart",
    "categorical",
    "coloured",
    "infer",
    "linear",
    "normal",
    "sequential",
]
