"""Tractable approximate Gaussian inference (Goulet et al. 2021), the noise too (Deka et al. 2024).

Every weight and every unit is believed to be Gaussian, all independent. Means and variances go forward in closed form,
an observation comes back as a Gaussian update; no gradient, no learning rate. Of the two outputs Z is the mean and X
the logarithm of the expected noise variance. All tensors have a leading axis of networks.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config.networks import TAGI
from precisionflow.models.likelihoods.mixture import Mixture
from precisionflow.models.posteriors.predictive import Features

Units = Float[Tensor, "networks rows units"]
Rows = Float[Tensor, "networks rows"]
Beliefs = Mapping[str, Tensor]
"""layers.<l>.<weight|bias>.<mean|variance> of each layer l."""

LARGEST_LOG = 10.0
"""Upper limit of X: a standardised target has no larger noise variance than e^10."""
SMALLEST_VARIANCE = 1e-12
LARGEST_MOVE = 0.5
"""Standard deviations that the mean of a weight moves in one batch at most: a batch of surprises is a sum of moves, and
one that throws X out of its range is never unlearned. (cuTAGI, the authors' library, has such a bound too.)"""
LEAST_LEFT = 1e-3
"""Least share of a variance that a row leaves, and of a precision that the noise's update leaves."""


class Normal(NamedTuple):
    """Means and variances of units."""

    mean: Units
    variance: Units


class Predicted(NamedTuple):
    """The predictive distribution of a target: N(mean, epistemic + noise)."""

    mean: Rows
    epistemic: Rows
    noise: Rows


class Moved(NamedTuple):
    """Change of units by an observation, over their variance (mean) and its square (variance)."""

    mean: Units
    variance: Units


class BeliefNetwork(nn.Module):
    """The beliefs of one network before any data: means drawn with variance 1 / inputs, as wide as that."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for inputs, outputs in pairwise(sizes):
            variance = torch.full((inputs, outputs), 1.0 / inputs)
            weight = {"mean": variance.sqrt() * torch.randn(inputs, outputs), "variance": variance}
            bias = {"mean": torch.zeros(1, outputs), "variance": torch.full((1, outputs), 1.0 / inputs)}
            layer = nn.ModuleDict()
            for name, belief in (("weight", weight), ("bias", bias)):
                layer[name] = nn.ParameterDict({key: nn.Parameter(value) for key, value in belief.items()})
            self.layers.append(layer)


def sizes(config: TAGI, features: int) -> tuple[int, ...]:
    """Widths of all layers, from the features to the two outputs."""
    return (features, *config.hidden, 2)


def layers_of(beliefs: Beliefs) -> int:
    """Number of layers."""
    return sum(name.endswith("bias.mean") for name in beliefs)


def forward(beliefs: Beliefs, inputs: Units) -> list[Normal]:
    """The inputs of every layer, rectified, and last the two outputs.

    z = sum_i w_i a_i + b: E z = sum E w E a + E b, Var z = sum (Var w (E a)^2 + Var w Var a + (E w)^2 Var a) + Var b.
    The rectifier is linear around E z.
    """
    count = layers_of(beliefs)
    units = [Normal(inputs, torch.zeros_like(inputs))]
    for layer in range(count):
        mean, variance = units[-1]
        w, s = (beliefs[f"layers.{layer}.weight.{part}"] for part in ("mean", "variance"))
        z = torch.baddbmm(beliefs[f"layers.{layer}.bias.mean"], mean, w)
        spread = torch.baddbmm(beliefs[f"layers.{layer}.bias.variance"], mean.square() + variance, s)
        spread = torch.baddbmm(spread, variance, w.square())
        if layer < count - 1:
            active = (z > 0).to(z.dtype)
            z, spread = z * active, spread * active
        units.append(Normal(z, spread))
    return units


def predicted(outputs: Normal) -> Predicted:
    """The noise is E exp(X), log-normal."""
    x, variance = outputs.mean[..., 1].clamp(max=LARGEST_LOG), outputs.variance[..., 1]
    return Predicted(
        outputs.mean[..., 0], outputs.variance[..., 0], torch.exp((x + 0.5 * variance).clamp(max=LARGEST_LOG))
    )


def observe(outputs: Normal, target: Rows) -> Moved:
    """What y = Z + V, V ~ N(0, exp(X)), says of Z and X.

    V and Z are updated as Gaussians; the square of V then updates its expectation exp(X), whose prior moments are
    log-normal, and exp(X) updates X (Deka et al. 2024, from Goulet & Nguyen's variance inference).
    """
    prior = predicted(outputs)
    total = prior.epistemic + prior.noise
    miss = target - prior.mean
    v_mean, v_variance = prior.noise / total * miss, prior.noise - prior.noise.square() / total
    square_mean = v_mean.square() + v_variance
    square_variance = 2 * v_variance.square() + 4 * v_variance * v_mean.square()
    x_variance = outputs.variance[..., 1].clamp(SMALLEST_VARIANCE, LARGEST_LOG)
    noise_variance = torch.expm1(x_variance) * prior.noise.square()
    prior_square_variance = 3 * noise_variance + 2 * prior.noise.square()
    gain = noise_variance / prior_square_variance
    noise_change = gain * (square_mean - prior.noise)
    noise_variance_change = gain.square() * (square_variance - prior_square_variance)
    # cov(X, exp X) = Var X E exp X, so X moves by Var X E exp X / Var exp X of what exp X moves.
    share = prior.noise / noise_variance
    return Moved(
        torch.stack([miss / total, share * noise_change], dim=-1),
        torch.stack([-1 / total, share.square() * noise_variance_change], dim=-1),
    )


def update(beliefs: Beliefs, inputs: Units, target: Rows, used: Rows) -> dict[str, Tensor]:
    """The beliefs after a batch; rows with `used` 0 teach nothing.

    A row asks for the changes m of a mean and s of a variance, over the variance v and its square. One row: v + v^2 s
    and v m, as published. Of several rows the precisions that they add, -s / (1 + v s), are summed with the mean s in
    the denominator: adding up the changes themselves would take more than all of a variance in a large batch. No mean
    moves further than `LARGEST_MOVE`.
    """
    rows = used.sum(dim=1)[:, None, None]
    units = forward(beliefs, inputs)
    moved = observe(units[-1], target)
    moved = Moved(moved.mean * used[..., None], moved.variance * used[..., None])
    after = dict(beliefs)
    for layer in reversed(range(layers_of(beliefs))):
        mean, _ = units[layer]
        w = beliefs[f"layers.{layer}.weight.mean"]
        for name, seen in (("weight", mean), ("bias", torch.ones_like(mean[..., :1]))):
            m, s = (f"layers.{layer}.{name}.{part}" for part in ("mean", "variance"))
            change = torch.bmm(seen.transpose(1, 2), moved.mean)
            shrink = torch.bmm(seen.square().transpose(1, 2), moved.variance)
            left = (1 + beliefs[s] * shrink / rows).clamp_min(LEAST_LEFT)
            after[s] = 1 / (1 / beliefs[s] - shrink / left).clamp_min(LEAST_LEFT / beliefs[s])
            limit = LARGEST_MOVE * beliefs[s].sqrt()
            after[m] = beliefs[m] + (after[s] * change / left).clamp(-limit, limit)
        if layer:
            active = (mean > 0).to(mean.dtype)
            moved = Moved(
                active * torch.bmm(moved.mean, w.transpose(1, 2)),
                active * torch.bmm(moved.variance, w.square().transpose(1, 2)),
            )
    return after


class TAGIPredictive(nn.Module):
    """Trained beliefs as a `Predictive`: the variance of the mean and the expected noise are told apart."""

    def __init__(self, beliefs: BeliefNetwork, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.beliefs = beliefs
        self.beliefs.load_state_dict(weights)

    def predict(self, features: Features) -> Mixture:
        one = {name: tensor[None] for name, tensor in self.beliefs.named_parameters()}
        moments = predicted(forward(one, features[None])[-1])
        mean, epistemic, noise = (part[0, :, None] for part in moments)
        log_precision = -torch.log(epistemic + noise)
        return Mixture(
            "gaussian",
            mean,
            log_precision,
            torch.zeros_like(mean),
            location_std=epistemic.clamp_min(0).sqrt(),
        )
