"""Gain control, slow states and weighed sources against their formulas; a network that holds the optimum."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from precisionflow.config.drawn_tables import Sensors
from precisionflow.config.networks import Fusion
from precisionflow.data.sources.sensors import draw_sensors, filtered, noise
from precisionflow.models.gain.gain_control import GainControl
from precisionflow.models.gain.slow_state import LastStep, SlowState
from precisionflow.models.gain.sources import WeighedSources
from precisionflow.models.networks.fusion import fusion


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module.double()


def test_the_gain_is_one_before_training_and_what_the_context_says_after():
    x, context = torch.randn(7, 3, dtype=torch.float64), torch.randn(7, 2, dtype=torch.float64)
    assert torch.equal(GainControl(2, 3).double()(x, context).signal, x)
    control = randomised(GainControl(2, 3))
    found = control(x, context)
    precision = torch.exp(context @ control.log_gain.weight.T + control.log_gain.bias)
    torch.testing.assert_close(found.signal, precision * x)
    torch.testing.assert_close(found.log_gain.exp(), precision)


def test_an_error_under_gain_control_is_the_gradient_of_its_free_energy():
    """F = 1/2 precision error^2 - 1/2 log precision."""
    control = randomised(GainControl(2, 3))
    error = torch.randn(4, 3, dtype=torch.float64).requires_grad_()
    context = torch.randn(4, 2, dtype=torch.float64)
    gained = control(error, context)
    energy = (0.5 * gained.log_gain.exp() * error**2 - 0.5 * gained.log_gain).sum()
    torch.testing.assert_close(gained.signal.detach(), torch.autograd.grad(energy, error)[0])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_gains_stay_within_their_limits(scale):
    control = randomised(GainControl(2, 3))
    log_gain = control(torch.ones(50, 3).double(), scale * torch.randn(50, 2).double()).log_gain
    assert log_gain.abs().max() <= 10


def test_a_slow_state_is_a_mean_whose_weights_decay():
    state = SlowState(4, longest=8.0).double()
    inputs = torch.randn(3, 6, 4, dtype=torch.float64)
    decay = torch.exp(-1 / state.log_time_constant.exp())
    ages = torch.arange(5, -1, -1, dtype=torch.float64)[:, None]
    torch.testing.assert_close(state(inputs), ((1 - decay) * decay**ages * inputs).sum(1))
    torch.testing.assert_close(
        state.log_time_constant.exp(), torch.tensor([1.0, 2.0, 4.0, 8.0]).double(), rtol=1e-6, atol=1e-6
    )


def test_one_step_is_told_from_a_state_of_zero():
    state, inputs = SlowState(4, longest=8.0).double(), torch.randn(3, 1, 4, dtype=torch.float64)
    decay = torch.exp(-1 / state.log_time_constant.exp())
    torch.testing.assert_close(state(inputs), (1 - decay) * inputs[:, 0])


def test_the_effect_of_a_cue_decays_with_its_delay():
    state = SlowState(1, longest=1.0).double()
    cue = torch.eye(6, dtype=torch.float64)[..., None]
    effects = state(cue)[:, 0]
    torch.testing.assert_close(effects[:-1] / effects[1:], torch.full((5,), math.exp(-1)).double())


def test_a_row_has_a_state_of_its_own():
    state, inputs = SlowState(4, longest=8.0), torch.randn(3, 6, 4)
    together = state(inputs)
    assert torch.equal(state(inputs[1:2]), together[1:2])
    assert torch.equal(state(inputs), together)
    assert torch.equal(LastStep()(inputs), inputs[:, -1])


def test_weighed_sources_are_the_posterior_of_their_cause():
    """Against the joint Gaussian of cause and readings, conditioned by linear algebra."""
    weighed = randomised(WeighedSources(2, 3))
    weighed.scale.data.fill_(1.0)
    weighed.offset.data.zero_()
    sources, state = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
    found = weighed(sources, state)
    gains = weighed.gain_control(sources, state).log_gain.exp()
    prior = weighed.log_prior.exp()
    for row in range(5):
        covariance = torch.ones(3, 3).double() / prior + torch.diag(1 / gains[row])
        weights = torch.linalg.solve(covariance, torch.ones(3).double() / prior)
        torch.testing.assert_close(found[row, 0], weights @ sources[row])
        torch.testing.assert_close(found[row, 1], -torch.log(1 / prior - weights.sum() / prior)[0])
        torch.testing.assert_close(weighed.weights(state)[row], weights)


def test_sources_of_steps_are_weighed_as_those_of_rows():
    weighed = randomised(WeighedSources(2, 3))
    sources, state = torch.randn(4, 5, 3, dtype=torch.float64), torch.randn(4, 5, 2, dtype=torch.float64)
    apart = weighed(sources.flatten(0, 1), state.flatten(0, 1)).unflatten(0, (4, 5))
    torch.testing.assert_close(weighed(sources, state), apart)
    apart = weighed.weights(state.flatten(0, 1)).unflatten(0, (4, 5))
    torch.testing.assert_close(weighed.weights(state), apart)


def of_rows(source: Sensors) -> tuple[torch.Tensor, np.ndarray]:
    rows = draw_sensors(source)
    cues = (rows.context[..., None] == np.arange(source.contexts)) & rows.shown[..., None]
    features = np.concatenate([rows.read, cues], axis=-1).reshape(source.rows, -1)
    exact = filtered(source, rows)
    return torch.from_numpy(features), (exact.weight * exact.mean).sum(1)


def test_the_network_holds_the_optimum_where_the_context_is_shown():
    source = Sensors(rows=40, sensors=3, contexts=2, length=4)
    network = fusion(Fusion(sources=3, length=4, hidden=2, memory="none"), features=4 * 5).double()
    features, optimum = of_rows(source)
    evidence, weighed = network.layers[0], network.readout.weighed
    first, _, second = evidence.tell
    with torch.no_grad():
        for linear in (first, second):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
        first.weight[:2, 3:] = 40 * torch.eye(2)
        second.weight[:, :2] = torch.eye(2)
        weighed.gain_control.log_gain.weight.copy_(torch.from_numpy(-2 * np.log(noise(source)).T / 40))
    found = network(features)
    np.testing.assert_allclose(found[:, 0].detach(), optimum, rtol=1e-9, atol=1e-12)


def test_only_a_state_with_a_memory_sees_earlier_steps():
    features = torch.randn(6, 4 * 5)
    other = torch.cat([torch.randn(6, 15), features[:, 15:]], dim=-1)
    for memory, sees in (("slow", True), ("none", False)):
        torch.manual_seed(0)
        network = fusion(Fusion(sources=3, length=4, memory=memory), features=20)
        nn.init.normal_(network.readout.weighed.gain_control.log_gain.weight)
        assert torch.equal(network(features), network(other)) != sees


@pytest.mark.parametrize(("sources", "steps", "features"), [(3, 4, 21), (6, 4, 20)])
def test_features_that_are_no_such_steps_are_refused(sources, steps, features):
    with pytest.raises(ValueError, match=f"the data have {features} features, which are no {steps} steps"):
        fusion(Fusion(sources=sources, length=steps), features=features)
