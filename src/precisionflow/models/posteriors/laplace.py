"""The Laplace approximation of a network that states a Gaussian with its own precision (Immer et al. 2023), or classes.

Around the trained weights theta* the posterior is N(theta*, (H + D)^-1): H is the generalised Gauss-Newton matrix, the
sum over training rows of J^T F J with J the Jacobian of the raw outputs and F the Fisher information of the stated
distribution in them; D is diagonal with one prior precision d for the P weights of the precision head and one for all
others. Both maximise

    log p(D) ~ log p(y | theta*) - 1/2 sum_g d_g |theta_g|^2 + 1/2 sum_g P_g log d_g - 1/2 log det(H + D) .

The network is linearised for predictions: its mean has the variance j (H + D)^-1 j^T, j the gradient of the mean.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from precisionflow.config.posteriors import LaplaceApproximation as Config
from precisionflow.models.likelihoods.categorical import Categorical, Voices
from precisionflow.models.likelihoods.density import FisherDensity
from precisionflow.models.likelihoods.mixture import Mixture
from precisionflow.models.networks.layered import Layered, Mask
from precisionflow.models.networks.readout import precision_head_names
from precisionflow.models.posteriors.predictive import Features
from precisionflow.models.posteriors.weights import Weights

MOST_WEIGHTS = 5000
"""Most weights in a posterior: their full matrix has 200 MB and takes seconds to factorise."""
BLOCK = 256
SAMPLES = Config.voices
"""Draws of the logits of a classifier."""
LIMIT = 12.0
"""Largest size of a log prior precision."""

Scope = Literal["all", "last_layer"]
"""The weights that a posterior is over: every one, or those of the readout."""


class Posterior(NamedTuple):
    """N(theta*, (factor factor^T)^-1) over the weights `names`, flattened one after the other."""

    names: tuple[str, ...]
    factor: Float[Tensor, "weights weights"]
    """Lower Cholesky factor of H + D, float64."""
    prior: Float[Tensor, "2"]
    """Prior precision of the weights that the mean needs, and of those of the precision head."""
    log_marginal_likelihood: float = float("nan")


def names_of(model: Layered, *, weights: Scope) -> tuple[str, ...]:
    """Names of the weights in a scope; ValueError where they are too many for a full matrix."""
    readout = {id(parameter) for parameter in model.readout.parameters()}
    chosen = [name for name, p in model.named_parameters() if weights == "all" or id(p) in readout]
    count = sum(model.get_parameter(name).numel() for name in chosen)
    if count > MOST_WEIGHTS:
        raise ValueError(
            f"model.posterior.weights: {count} weights are too many for a full matrix, {MOST_WEIGHTS} the most; "
            "use last_layer or a smaller model.hidden"
        )
    return tuple(chosen)


def fit(
    model: Layered,
    likelihood: FisherDensity | Categorical,
    features: Float[Tensor, "rows features"],
    target: Float[Tensor, "rows"],
    *,
    weights: Scope,
) -> Posterior:
    """The posterior of a trained network in evaluation mode, its two prior precisions by marginal likelihood."""
    names, head_names = names_of(model, weights=weights), precision_head_names(model)
    gauss_newton = _gauss_newton(model, likelihood, features, names)
    values = torch.cat([model.get_parameter(name).detach().flatten() for name in names]).double()
    precision_head = torch.cat(
        [
            torch.full((model.get_parameter(name).numel(),), name in head_names, dtype=torch.bool)
            for name in names
        ]
    )
    with torch.no_grad():
        log_likelihood = -float(likelihood.negative_log_likelihood(model(features), target).double().sum())
    counts = torch.stack([(~precision_head).sum(), precision_head.sum()])
    squares = torch.stack([values[~precision_head].square().sum(), values[precision_head].square().sum()])

    def evidence(log_prior: np.ndarray) -> tuple[float, Tensor]:
        prior = torch.exp(torch.from_numpy(log_prior))
        diagonal = torch.where(precision_head, prior[1], prior[0])
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


def _gauss_newton(
    model: Layered, likelihood: FisherDensity | Categorical, features: Tensor, names: tuple[str, ...]
) -> Float[Tensor, "weights weights"]:
    total: Tensor | None = None
    for rows in features.split(BLOCK):
        with torch.no_grad():
            root = likelihood.fisher_root(model(rows))
        scaled = (root @ _jacobians(model, rows, names)).flatten(0, 1)
        part = scaled.T @ scaled
        total = part if total is None else total + part
    assert total is not None
    return total


def mean_variance(
    model: Layered, likelihood: FisherDensity, posterior: Posterior, features: Float[Tensor, "rows features"]
) -> Float[Tensor, "rows"]:
    """Epistemic variance of each row's mean, of the standardised target; float64."""
    parts = []
    for rows in features.split(BLOCK):
        jacobian = _jacobians(model, rows, posterior.names)
        with torch.no_grad():
            gradient = likelihood.location_gradient(model(rows), jacobian)
        solved = torch.linalg.solve_triangular(posterior.factor, gradient.T, upper=False)
        parts.append(solved.square().sum(dim=0))
    return torch.cat(parts)


class LaplaceApproximation(nn.Module):
    """A network linearised around its trained weights: the mean has a variance of its own."""

    def __init__(self, model: Layered, likelihood: FisherDensity, posterior: Posterior) -> None:
        super().__init__()
        self.model = model
        self.likelihood = likelihood
        self.names = posterior.names
        self.register_buffer("factor", posterior.factor)
        self.register_buffer("prior", posterior.prior)

    def predict(self, features: Features, mask: Mask | None = None) -> Mixture:  # noqa: ARG002 - rows are whole
        predictive = self.likelihood.predictive(self.model(features))
        posterior = Posterior(self.names, self.get_buffer("factor"), self.get_buffer("prior"))
        epistemic = mean_variance(self.model, self.likelihood, posterior, features)[:, None]
        noise = torch.exp(-predictive.log_precision.double())
        return predictive._replace(log_precision=-torch.log(noise + epistemic), location_std=epistemic.sqrt())


class LaplaceClasses(nn.Module):
    """A classifier linearised around its trained weights: its logits are Gaussian, N(f, J (H + D)^-1 J^T).

    The members are `SAMPLES` draws of the logits, from the same standard normal numbers for every row.
    """

    def __init__(self, model: Layered, likelihood: Categorical, posterior: Posterior) -> None:
        super().__init__()
        self.model = model
        self.likelihood = likelihood
        self.names = posterior.names
        self.register_buffer("factor", posterior.factor)

    def predict(self, features: Features, mask: Mask | None = None) -> Voices:  # noqa: ARG002 - rows are whole
        parts = [self._logits(rows) for rows in features.split(BLOCK)]
        return Voices(torch.cat(parts))

    def _logits(self, rows: Features) -> Float[Tensor, "rows samples classes"]:
        logits = self.model(rows).double()
        factor = self.get_buffer("factor")
        jacobian = _jacobians(self.model, rows, self.names)
        solved = torch.linalg.solve_triangular(factor, jacobian.flatten(0, 1).T, upper=False)
        half = solved.T.unflatten(0, logits.shape)
        return drawn_logits(logits, half @ half.mT)


def drawn_logits(
    mean: Float[Tensor, "rows classes"], covariance: Float[Tensor, "rows classes classes"]
) -> Float[Tensor, "rows samples classes"]:
    """`SAMPLES` draws of Gaussian logits, from the same standard normal numbers for every row."""
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp_min(0).sqrt()[:, None, :]
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(SAMPLES, mean.shape[-1], generator=generator, dtype=torch.float64)
    return mean[:, None] + normal.to(mean.device) @ root.mT


def laplace_approximation(
    model: Layered, likelihood: FisherDensity | Categorical, weights: Weights, *, scope: Scope
) -> LaplaceApproximation | LaplaceClasses:
    """The posterior of a file of weights, around the trained `model`; RuntimeError where the file lacks it."""
    factor, prior = weights.believed("factor"), weights.believed("prior")
    posterior = Posterior(names_of(model, weights=scope), factor, prior)
    if isinstance(likelihood, Categorical):
        return LaplaceClasses(model, likelihood, posterior)
    return LaplaceApproximation(model, likelihood, posterior)


def as_tensors(posterior: Posterior) -> dict[str, Tensor]:
    """A fitted posterior as the tensors of a file."""
    return {"factor": posterior.factor, "prior": posterior.prior}
