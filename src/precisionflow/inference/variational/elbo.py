"""The evidence lower bound in its three forms, and the free energy F = -ELBO of each factor, in nats."""

from collections.abc import Iterable
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.variational.exact import Exact
from precisionflow.inference.variational.factors import Beliefs, Factor, Variable
from precisionflow.inference.variational.factors.plates import total
from precisionflow.inference.variational.factors.prior import Prior
from precisionflow.inference.variational.model import Model
from precisionflow.inference.variational.shared import Shared

Nats = Float[Tensor, ""]


def free_energy(model: Model, beliefs: Beliefs, shared: Shared | None = None) -> Nats:
    """F, summed over factors, those of all ranks where some variables are shared."""
    if shared is None:
        return sum_of(_free_energy(factor, beliefs) for factor in model.factors)
    once = [factor for factor in model.factors if shared.everywhere(factor)]
    here = sum_of(_free_energy(factor, beliefs) for factor in model.factors if factor not in once)
    return shared.total(here) + sum_of(_free_energy(factor, beliefs) for factor in once)


def free_energies(model: Model, beliefs: Beliefs) -> dict[str, Nats]:
    """<log q(child) - log p(child given parents)> of each factor; of data without the first. They sum to F."""
    return {factor.name: _free_energy(factor, beliefs) for factor in model.factors}


def free_energy_of_each(model: Model, beliefs: Beliefs) -> Float[Tensor, "last"]:
    """F of every index of the last plate, which all factors have."""
    return torch.stack([_of_each(factor, beliefs) for factor in model.factors]).sum(0)


def energy_and_entropy(model: Model, beliefs: Beliefs) -> Nats:
    """ELBO = <log p(data, variables)> + entropy."""
    energies = sum_of(energy(factor, beliefs) for factor in model.factors)
    return sum_of(_entropy(variable, beliefs) for variable in model.variables) - energies


def likelihood_less_divergence(model: Model, beliefs: Beliefs) -> Nats:
    """ELBO = <log p(data given variables)> - KL of beliefs from what predicts them."""
    of_data = [factor for factor in model.factors if factor.child is None]
    others = [factor for factor in model.factors if factor.child is not None]
    likelihood = -sum_of(energy(factor, beliefs) for factor in of_data)
    return likelihood - sum_of(_divergence(factor, beliefs) for factor in others)


def evidence_less_divergence(exact: Exact, beliefs: Beliefs) -> Nats:
    """ELBO = log p(data) - KL of beliefs from the posterior, where both are known."""
    return exact.log_evidence - exact.divergence(beliefs)


def sum_of(parts: Iterable[Nats]) -> Nats:
    """Their sum, 0 of none."""
    each = [*parts]
    return reduce(torch.add, each) if each else torch.zeros((), dtype=torch.float64)


def energy(factor: Factor, beliefs: Beliefs) -> Nats:
    """-<log p(child given parents)>, summed over plates."""
    return total(factor.energy(beliefs), factor.plates)


def _entropy(variable: Variable, beliefs: Beliefs) -> Nats:
    return total(beliefs[variable].entropy(), variable.plates)


def _free_energy(factor: Factor, beliefs: Beliefs) -> Nats:
    of = energy(factor, beliefs)
    return of if factor.child is None else of - _entropy(factor.child, beliefs)


def _divergence(factor: Factor, beliefs: Beliefs) -> Nats:
    """KL of a child's belief from what predicts it, expected under the beliefs of its parents."""
    if isinstance(factor, Prior):
        return total(beliefs[factor.child].kl(factor.family), factor.plates)
    return _free_energy(factor, beliefs)


def _of_each(factor: Factor, beliefs: Beliefs) -> Float[Tensor, "last"]:
    of = factor.energy(beliefs).expand(factor.plates)
    if factor.child is not None:
        of = of - beliefs[factor.child].entropy()
    return of.reshape(-1, factor.plates[-1]).sum(0)
