"""Predictive coding whose nodes have one parent each, unknown which: prediction errors compete in a softmax."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.models.attention.iterated import Energies, State
from precisionflow.models.attention.iterated.curvature import variance
from precisionflow.models.attention.iterated.slots import Present, kept

Layer = Float[Tensor, "*problems _nodes width"]
Between = Float[Tensor, "*problems _upper _lower"]
"""Layers differ in their numbers of nodes."""


@dataclass(frozen=True)
class PredictiveCoding:
    """z_0j ~ N(m_j, I / l), then z_(l+1)i ~ N(w_ij z_lj, I / k_i) with j uniform among the nodes of layer l.

    F(z) = l / 2 sum_j |z_0j - m_j|^2 - sum_l sum_i [ln (1 / n_l) sum_j exp(-k_i / 2 |e_ij|^2) + d / 2 ln k_i] with the
    errors e_ij = z_(l+1)i - w_ij z_lj of width d; the last layer is observed. With p_ij = softmax_j(-k_i / 2 |e_ij|^2),

        dF / dz_lj = sum_j' p_jj' k_j e_jj' - sum_i p_ij k_i w_ij e_ij,

    a node's errors from its parents less those of its children from it, each with its precision and the posterior of
    its edge. Singh & Buckley (2023, section 4.4, appendix 7.2) leave out k / 2 in the softmax and the minus sign.
    """

    observed: Layer
    weights: Sequence[Float[Tensor, "*#problems _upper _lower"]]
    """Of each layer on the one below it, from layer 1 to the observed one."""
    precisions: Sequence[Float[Tensor, "*#problems _upper"]]
    """k of each node, from layer 1 to the observed one."""
    mean: Float[Tensor, "*#problems _first width"]
    prior_precision: float
    present: Present | None = None
    """Which of the observed nodes are there; padding has no parent."""

    def layers(self, state: State) -> list[Layer]:
        """The latent layers, which the state holds side by side, and the observed one."""
        return [*state.split([weights.shape[-1] for weights in self.weights], dim=-2), self.observed]

    def free_energy(self, state: State) -> Energies:
        layers = self.layers(state)
        total = 0.5 * self.prior_precision * (layers[0] - self.mean).square().sum((-2, -1))
        for place, precision in enumerate(self.precisions):
            evidence = self._log_potentials(layers, place).logsumexp(-1) - math.log(layers[place].shape[-2])
            evidence = evidence + 0.5 * state.shape[-1] * precision.log()
            total = total - kept(evidence, self._present[place]).sum(-1)
        return total

    def posterior(self, state: State) -> list[Between]:
        """p_ij of every pair of layers: which node below each node comes from; 0 of padding."""
        layers = self.layers(state)
        return [
            kept(self._log_potentials(layers, place).softmax(-1), None if of is None else of[..., None])
            for place, of in enumerate(self._present)
        ]

    def gradient(self, state: State) -> State:
        """dF / dz, as above."""
        layers, posterior = self.layers(state), self.posterior(state)
        pulls = [self.prior_precision * (layers[0] - self.mean), *map(torch.zeros_like, layers[1:])]
        for place, weights in enumerate(self.weights):
            gains = (posterior[place] * self.precisions[place][..., None])[..., None] * self._errors(
                layers, place
            )
            pulls[place + 1] = pulls[place + 1] + gains.sum(-2)
            pulls[place] = pulls[place] - (weights[..., None] * gains).sum(-3)
        return torch.cat(pulls[:-1], dim=-2)

    def step(self, state: State) -> State:
        """One layer after the other goes to the minimum of the bound of F in which p_ij is what it is at `state`."""
        layers, posterior = self.layers(state), self.posterior(state)
        for place in range(len(self.weights)):
            prediction, weight = self._from_below(layers, posterior, place)
            gains = posterior[place] * self.precisions[place][..., None] * self.weights[place]
            weight = weight + (gains * self.weights[place]).sum(-2)[..., None]
            layers[place] = (prediction + gains.mT @ layers[place + 1]) / weight
        return torch.cat(layers[:-1], dim=-2)

    def covariance(self, state: State) -> Float[Tensor, "*problems size size"]:
        """Of all latent nodes together, node by node: an error e_ij is a sum of nodes, 1 of i and -w_ij of j."""
        layers, posterior = self.layers(state), self.posterior(state)
        each = torch.eye(state.shape[-1], dtype=state.dtype, device=state.device)
        first = torch.zeros(state.shape[-2], dtype=state.dtype, device=state.device)
        first[: self.mean.shape[-2]] = self.prior_precision
        curvature = torch.kron(torch.diag(first), each)
        for place, precision in enumerate(self.precisions):
            parts, gains = self._parts(place, state.shape[-2]), precision[..., None] * posterior[place]
            squares = torch.einsum("...ij,...ijn,...ijm->...nm", gains, parts, parts)
            expected = torch.einsum("...nm,ab->...namb", squares, each).flatten(-4, -3).flatten(-2, -1)
            pulls = parts[..., None] * self._errors(layers, place)[..., None, :]
            pulls = precision[..., None, None] * pulls.flatten(-2)
            curvature = curvature + expected - variance(posterior[place], pulls)
        return torch.linalg.inv(curvature)

    @property
    def _present(self) -> list[Present | None]:
        """Nodes that are there, from layer 1 to the observed one."""
        return [*[None] * (len(self.weights) - 1), self.present]

    def _parts(self, place: int, nodes: int) -> Float[Tensor, "*#problems _upper _lower nodes"]:
        """d e_ij / d z of the latent nodes, those of all layers side by side."""
        weights = self.weights[place]
        upper, lower = weights.shape[-2:]
        start = sum(below.shape[-1] for below in self.weights[:place])
        parts = weights.new_zeros(*weights.shape, nodes)
        parts[..., torch.arange(lower), start + torch.arange(lower)] = -weights
        if place + 1 < len(self.weights):
            parts[..., torch.arange(upper), :, start + lower + torch.arange(upper)] = 1.0
        return parts

    def _from_below(
        self, layers: list[Layer], posterior: list[Between], place: int
    ) -> tuple[Float[Tensor, "*#problems _nodes width"], Float[Tensor, "*#problems _nodes 1"]]:
        """What the layer below, or the prior, says about a layer, times its precision; and that precision."""
        if place == 0:
            return self.prior_precision * self.mean, torch.full_like(self.mean[..., :1], self.prior_precision)
        precision = self.precisions[place - 1][..., None]
        return precision * ((posterior[place - 1] * self.weights[place - 1]) @ layers[place - 1]), precision

    def _errors(self, layers: list[Layer], place: int) -> Float[Tensor, "*problems _upper _lower width"]:
        below, above = layers[place], layers[place + 1]
        return above[..., :, None, :] - self.weights[place][..., None] * below[..., None, :, :]

    def _log_potentials(self, layers: list[Layer], place: int) -> Between:
        """-k_i / 2 |e_ij|^2 without the errors: e_ij = a_i - w_ij b_j + (1 - w_ij) c, a and b from their centre c.

        Where weights are 1 a common offset costs no accuracy.
        """
        centre, weights = layers[place].mean(-2, keepdim=True), self.weights[place]
        below, above, rest = layers[place] - centre, layers[place + 1] - centre, 1 - weights
        lengths = above.square().sum(-1, keepdim=True) + weights**2 * below.square().sum(-1)[..., None, :]
        along = above @ centre.mT - weights * (centre @ below.mT)
        of_centre = rest * (2 * along + rest * centre.square().sum(-1, keepdim=True))
        squares = lengths - 2 * weights * (above @ below.mT) + of_centre
        return -0.5 * self.precisions[place][..., None] * squares
