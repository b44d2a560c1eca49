"""The start at zero: where it settles, and why a transformer's norms forbid it."""

from functools import partial

import pytest
import torch

from precisionflow.config.learning import FixedPrecision, PredictiveCoding
from precisionflow.config.likelihoods import GaussianNLL
from precisionflow.config.networks import MLP, Transformer
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.inference.predictive_coding.settle import begun, settle
from precisionflow.models.likelihoods.categorical import cross_entropy
from precisionflow.models.likelihoods.objective import density, objective
from precisionflow.models.networks.mlp import mlp
from precisionflow.models.networks.transformer import TokenReadout, transformer


def before_and_after(clamped, **settings):
    """Energy at the zero states and after 100 steps, and the plain loss."""
    config = PredictiveCoding(start="zeros", precision=FixedPrecision(value=1000.0), **settings)
    made = laws(config, states=clamped.model.states)
    settled = settle(clamped, begun(clamped, config, made).start, made, config=config, steps=100)
    with torch.no_grad():
        after = clamped.energy(clamped.passed(settled.errors), made)
        return settled.energies[0].item(), after.item(), clamped.passed().loss.item()


@pytest.mark.parametrize("settles", ["errors", "states"])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_norm_behind_a_linear_map_lets_states_start_at_zero(layer_norm, settles):
    torch.manual_seed(0)
    model = mlp(MLP(hidden=(9, 9), layer_norm=layer_norm), features=3, heads=density(GaussianNLL()).heads)
    losses = objective(GaussianNLL()).losses(progress=0.0)
    clamped = Clamped(model, losses, torch.randn(16, 3), torch.randn(16))
    before, after, loss = before_and_after(clamped, settles=settles, step_size=0.1)
    assert after < 0.03 * before
    assert settles == "states" or after < 1.1 * loss


@pytest.mark.parametrize("norm", ["rms", "layer"])
def test_a_norm_of_the_state_itself_does_not(norm):
    torch.manual_seed(0)
    config = Transformer(blocks=4, heads=2, width=16, norm=norm, zero_projections=False)
    model = transformer(config, vocabulary=7, context=8, readout=partial(TokenReadout, classes=7))
    windows = torch.randint(0, 7, (8, 9))
    clamped = Clamped(model, cross_entropy, windows[:, :-1], windows[:, 1:])
    before, after, loss = before_and_after(clamped, step_size=0.01)
    assert not after < 1e12 * before
    _, states, _ = before_and_after(clamped, settles="states", step_size=1e-5)
    assert states > 100 * loss
