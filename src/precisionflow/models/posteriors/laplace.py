"""The Laplace approximation of a network that states a Gaussian with its own precision (Immer et al. 2023).

Around the trained weights theta* the posterior is N(theta*, (H + D)^-1): H is the generalised Gauss-Newton matrix, the
sum over training rows of J^T F J with J the Jacobian of the raw outputs and F the Fisher information of the Gaussian in
them; D is diagonal with one prior precision d for the P weights of the head beside the mean and one for all others.
Both maximise

    log p(D) ~ log p(y | theta*) - 1/2 sum_g d_g |theta_g|^2 + 1/2 sum_g P_g log d_g - 1/2 log det(H + D) .

The network is linearised for predictions: its mean has the variance j (H + D)^-1 j^T, j the gradient of the mean.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call, jacrev, vmap

from precisionflow.config.likelihoods import GaussianNLL, Natural
from precisionflow.models.likelihoods import mixture
from precisionflow.models.networks.layered import Layered

REST, READOUT = "readout.rest.", "readout."
MOST_WEIGHTS = 5000
"""Their full matrix has 200 MB and takes seconds to factorise."""
BLOCK = 256
LIMIT = 12.0
"""Largest log prior precision, either way."""

Stated = GaussianNLL | Natural


class Posterior(NamedTuple):
    """N(theta*, (factor factor^T)^-1) over the weights `names`, flattened one after the other."""

    names: tuple[str, ...]
    factor: Float[Tensor, "weights weights"]
    """Lower Cholesky factor of H + D, float64."""
    prior: Float[Tensor, "2"]
    """Prior precision of the weights that the mean needs, and of those of the head beside it."""
    log_marginal_likelihood: float = float("nan")


def names_of(model: Layered, *, weights: str) -> tuple[str, ...]:
    """The weights that a posterior is over: `all` or those of the `last_layer`, the readout."""
    chosen = [name for name, _ in model.named_parameters() if weights == "all" or name.startswith(READOUT)]
    count = sum(model.get_parameter(name).numel() for name in chosen)
    if count > MOST_WEIGHTS:
        raise ValueError(
            f"model.posterior.weights: {count} weights are too many for a full matrix, {MOST_WEIGHTS} the most; "
            "use last_layer or a smaller model.hidden"
        )
    return tuple(chosen)


def fit(
    model: Layered,
    objective: Stated,
    features: Float[Tensor, "rows features"],
    target: Float[Tensor, "rows"],
    *,
    weights: str,
) -> Posterior:
    """The posterior of a trained network in evaluation mode, its two prior precisions by marginal likelihood."""
    names = names_of(model, weights=weights)
    gauss_newton = _gauss_newton(model, objective, features, names)
    values = torch.cat([model.get_parameter(name).detach().flatten() for name in names]).double()
    beside = torch.cat(
        [
            torch.full((model.get_parameter(name).numel(),), name.startswith(REST), dtype=torch.bool)
            for name in names
        ]
    )
    with torch.no_grad():
        log_likelihood = float(mixture(objective, model(features)).log_density(target).double().sum())
    counts = torch.stack([(~beside).sum(), beside.sum()])
    squares = torch.stack([values[~beside].square().sum(), values[beside].square().sum()])

    def evidence(log_prior: np.ndarray) -> tuple[float, Tensor]:
        prior = torch.exp(torch.from_numpy(log_prior))
        diagonal = torch.where(beside, prior[1], prior[0])
        factor = torch.linalg.cholesky(gauss_newton + torch.diag(diagonal))
        fit_terms = 0.5 * (counts * torch.log(prior) - prior * squares).sum() - factor.diagonal().log().sum()
        return log_likelihood + float(fit_terms), factor

    log_prior = _highest(lambda at: evidence(at)[0])
    value, factor = evidence(log_prior)
    return Posterior(names, factor, torch.exp(torch.from_numpy(log_prior)), value)


def _highest(evidence: Callable[[np.ndarray], float]) -> np.ndarray:
    from scipy import optimize

    found = optimize.minimize(
        lambda at: -evidence(np.clip(at, -LIMIT, LIMIT)),
        np.zeros(2),
        method="Nelder-Mead",
        options={"xatol": 1e-3, "fatol": 1e-4, "initial_simplex": [[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]]},
    )
    return np.clip(found.x, -LIMIT, LIMIT)


def _jacobians(
    model: Layered, features: Tensor, names: tuple[str, ...]
) -> Float[Tensor, "rows outputs weights"]:
    """d raw outputs / d weights of each row, float64."""
    chosen = {name: model.get_parameter(name).detach() for name in names}

    def raw(weights: dict[str, Tensor], row: Tensor) -> Tensor:
        return functional_call(model, weights, (row[None],))[0]  # type: ignore[no-any-return]

    found = vmap(jacrev(raw), in_dims=(None, 0))(chosen, features)
    return torch.cat([found[name].flatten(2) for name in names], dim=2).double().detach()


def fisher_root(objective: Stated, raw: Float[Tensor, "rows 2"]) -> Float[Tensor, "rows 2 2"]:
    """R with R^T R = F, the Fisher information of the stated Gaussian in its raw outputs.

    In (mean, log precision) F = diag(precision, 1/2). In natural parameters d mean = d eta1 / precision - mean d s.
    """
    stated = mixture(objective, raw.double())
    mean, log_precision = stated.location[..., 0], stated.log_precision[..., 0]
    root = torch.zeros(*raw.shape[:-1], 2, 2, dtype=torch.float64, device=raw.device)
    root[..., 0, 0], root[..., 1, 1] = (0.5 * log_precision).exp(), 0.5**0.5
    if isinstance(objective, Natural):
        root[..., 0, 1] = -(0.5 * log_precision).exp() * mean
        root[..., 0, 0] = (-0.5 * log_precision).exp()
    return root


def _gauss_newton(
    model: Layered, objective: Stated, features: Tensor, names: tuple[str, ...]
) -> Float[Tensor, "weights weights"]:
    total: Tensor | None = None
    for rows in features.split(BLOCK):
        with torch.no_grad():
            root = fisher_root(objective, model(rows))
        scaled = (root @ _jacobians(model, rows, names)).flatten(0, 1)
        part = scaled.T @ scaled
        total = part if total is None else total + part
    assert total is not None
    return total


def mean_variance(
    model: Layered, objective: Stated, posterior: Posterior, features: Float[Tensor, "rows features"]
) -> Float[Tensor, "rows"]:
    """Epistemic variance of each row's mean, of the standardised target; float64."""
    parts = []
    for rows in features.split(BLOCK):
        jacobian = _jacobians(model, rows, posterior.names)
        gradient = jacobian[:, 0]
        if isinstance(objective, Natural):
            with torch.no_grad():
                stated = mixture(objective, model(rows).double())
            mean, log_precision = stated.location, stated.log_precision
            gradient = torch.exp(-log_precision) * gradient - mean * jacobian[:, 1]
        solved = torch.linalg.solve_triangular(posterior.factor, gradient.T, upper=False)
        parts.append(solved.square().sum(dim=0))
    return torch.cat(parts)
