"""The Laplace approximation over the last linear map of a classifier of tokens, the rest of the network as trained.

Logits are A v: v holds the vector that the last map reads and a 1, A "classes width + 1" its weights and biases. The
network is linear in A, so that the Hessian of the negative log-likelihood is the generalised Gauss-Newton matrix

    H[(k, a), (l, b)] = sum over targets of p_k (delta_kl - p_l) v_a v_b ,

and the posterior is N(A*, (H + d I)^-1), its prior precision d by marginal likelihood (`laplace`). Logits are Gaussian:
their covariance is v^T S_kl v, S the posterior's.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor, nn

from precisionflow.models.likelihoods.categorical import Voices, cross_entropy
from precisionflow.models.networks.layered import Layered, Mask
from precisionflow.models.networks.transformer import AuxiliaryReadout, PooledReadout, TokenReadout
from precisionflow.models.posteriors.laplace import BLOCK, LIMIT, MOST_WEIGHTS, Posterior, drawn_logits
from precisionflow.models.posteriors.weights import Weights

Vectors = Float64[Tensor, "*places width"]
"""What the last map reads, and a 1."""


class Taught(NamedTuple):
    """Inputs with their classes."""

    inputs: Int[Tensor, "batch tokens *bag"]
    mask: Mask | None
    target: Int[Tensor, "*targets"]
    counted: Bool[Tensor, "*targets"] | None
    """Which targets count; none: each."""


def fit(model: Layered, batches: Iterable[Taught]) -> Posterior:
    """The posterior of a trained network in evaluation mode.

    ValueError for more weights than a full matrix may have.
    """
    size, classes = _size(model), last_map(model).out_features
    total = torch.zeros(classes, size // classes, classes, size // classes, dtype=torch.float64)
    weights, log_likelihood = _augmented(model), 0.0
    for batch in batches:
        with torch.no_grad():
            vectors = vectors_of(model, batch.inputs, batch.mask)
        counted = torch.ones_like(batch.target, dtype=torch.bool) if batch.counted is None else batch.counted
        for places, target in zip(
            vectors[counted].split(BLOCK), batch.target[counted].split(BLOCK), strict=True
        ):
            logits = places @ weights.T
            log_likelihood -= float(cross_entropy(logits, target).sum())
            _add_curvature(total, places, logits.softmax(-1))
    lower = torch.tril(total.view(size, size))
    gauss_newton = lower + torch.tril(lower, -1).T
    return _with_prior(gauss_newton, weights.flatten(), log_likelihood)


def _add_curvature(total: Tensor, vectors: Vectors, p: Float64[Tensor, "places classes"]) -> None:
    """Add H of some targets to the blocks (k, l) with l at most k."""
    for k in range(p.shape[1]):
        weight = -p[:, k, None] * p[:, : k + 1]
        weight[:, k] += p[:, k]
        scaled = (weight[:, :, None] * vectors[:, None]).flatten(1)
        total[k, :, : k + 1] += (vectors.T @ scaled).unflatten(1, (k + 1, -1))


def _with_prior(
    gauss_newton: Tensor, weights: Float64[Tensor, "weights"], log_likelihood: float
) -> Posterior:
    """The prior precision whose marginal likelihood is largest, through the eigenvalues of H."""
    from scipy import optimize

    eigenvalues = torch.linalg.eigvalsh(gauss_newton).clamp_min(0).numpy()
    square, count = float(weights.square().sum()), len(weights)

    def evidence(log_prior: float) -> float:
        prior = np.exp(log_prior)
        return log_likelihood + 0.5 * float(
            count * log_prior - prior * square - np.log(eigenvalues + prior).sum()
        )

    found = optimize.minimize_scalar(lambda at: -evidence(at), bounds=(-LIMIT, LIMIT), method="bounded")
    prior = float(np.exp(found.x))
    factor = torch.linalg.cholesky(gauss_newton + prior * torch.eye(count, dtype=torch.float64))
    return Posterior((), factor, torch.tensor([prior], dtype=torch.float64), evidence(found.x))


def last_map(model: Layered) -> nn.Linear:
    """The linear map that gives the logits."""
    match model.readout:
        case PooledReadout(classes=linear) | AuxiliaryReadout(classes=linear):
            return linear  # type: ignore[no-any-return]
        case TokenReadout():
            return model.readout[1]  # type: ignore[return-value]
        case _:
            raise TypeError(f"{type(model.readout).__name__} gives no logits by one linear map")


def vectors_of(model: Layered, inputs: Tensor, mask: Mask | None) -> Vectors:
    """What the last map reads of each text, or of each of its tokens, and a 1."""
    state, where = model.last_state(inputs, mask)
    match model.readout:
        case PooledReadout():
            seen = model.readout.pooled(state, *where)
        case AuxiliaryReadout(norm=norm):
            seen = norm(state)
        case TokenReadout():
            seen = model.readout[0](state)
        case _:
            raise TypeError(f"{type(model.readout).__name__} gives no logits by one linear map")
    return torch.cat([seen.double(), torch.ones_like(seen[..., :1], dtype=torch.float64)], dim=-1)


def _augmented(model: Layered) -> Float64[Tensor, "classes width"]:
    """A: weights and biases side by side."""
    linear = last_map(model)
    return torch.cat([linear.weight, linear.bias[:, None]], dim=1).detach().double()


def _size(model: Layered) -> int:
    count = _augmented(model).numel()
    if count > MOST_WEIGHTS:
        raise ValueError(
            f"model.posterior: the readout has {count} weights, too many for a full matrix, {MOST_WEIGHTS} the most; "
            "use a smaller model.width"
        )
    return count


class LastLayer(nn.Module):
    """A classifier of tokens whose logits are Gaussian: N(A* v, v^T S v), the same draws for every place."""

    def __init__(self, model: Layered, posterior: Posterior) -> None:
        super().__init__()
        self.model = model
        classes, covariance = last_map(model).out_features, torch.cholesky_inverse(posterior.factor)
        width = len(covariance) // classes
        self.register_buffer("covariance", covariance.view(classes, width, classes * width))

    def predict(self, inputs: Tensor, mask: Mask | None = None) -> Voices:
        vectors = vectors_of(self.model, inputs, mask)
        drawn = [self._logits(places) for places in vectors.flatten(0, -2).split(BLOCK)]
        return Voices(torch.cat(drawn).unflatten(0, vectors.shape[:-1]))

    def _logits(self, vectors: Float64[Tensor, "places width"]) -> Float[Tensor, "places samples classes"]:
        logits = vectors @ _augmented(self.model).T
        rows = [
            torch.einsum("pcw,pw->pc", (vectors @ of_class).unflatten(1, (logits.shape[1], -1)), vectors)
            for of_class in self.get_buffer("covariance")
        ]
        return drawn_logits(logits, torch.stack(rows, dim=1))


def last_layer(model: Layered, weights: Weights) -> LastLayer:
    """The posterior of a file of weights, around the trained `model`; RuntimeError where the file lacks it."""
    factor, wanted = weights.believed("factor"), _size(model)
    if factor.shape != (wanted, wanted):
        raise RuntimeError(f"posterior.factor has the shape {tuple(factor.shape)}, wanted {(wanted, wanted)}")
    return LastLayer(model, Posterior((), factor, weights.believed("prior")))
