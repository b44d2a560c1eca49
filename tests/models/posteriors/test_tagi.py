"""Closed-form inference against exact Bayes, Monte Carlo, and itself."""

import math

import pytest
import torch
from torch.func import stack_module_state

from precisionflow.config.networks import TAGI
from precisionflow.models.posteriors import tagi


def beliefs(sizes: tuple[int, ...], networks: int = 1) -> dict[str, torch.Tensor]:
    found = []
    for seed in range(networks):
        torch.manual_seed(seed)
        found.append(tagi.BeliefNetwork(sizes))
    return {name: tensor.detach().double() for name, tensor in stack_module_state(found)[0].items()}


@pytest.fixture
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 8, 3, generator=generator, dtype=torch.float64)
    return x, torch.randn(1, 8, generator=generator, dtype=torch.float64)


def test_one_observation_of_one_weight_is_exact_bayes():
    """y = w x + v with known noise: X certain, no bias."""
    prior = beliefs((1, 2))
    for name in prior:
        if "bias" in name or "weight" in name:
            prior[name] = torch.zeros_like(prior[name])
    prior["layers.0.weight.variance"][0, 0, 0] = 2.0
    prior["layers.0.weight.mean"][0, 0, 0] = 0.3
    prior["layers.0.bias.mean"][0, 0, 1] = math.log(0.5)
    x, y = torch.tensor([[[1.5]]]).double(), torch.tensor([[1.2]]).double()
    after = tagi.update(prior, x, y, torch.ones(1, 1).double())
    precision = 1 / 2.0 + 1.5**2 / 0.5
    assert after["layers.0.weight.variance"][0, 0, 0].item() == pytest.approx(1 / precision)
    assert after["layers.0.weight.mean"][0, 0, 0].item() == pytest.approx(
        (0.3 / 2.0 + 1.5 * 1.2 / 0.5) / precision
    )
    assert after["layers.0.weight.mean"][0, 0, 1].item() == 0


def test_moments_of_a_linear_layer_are_those_of_draws(rows):
    x, _ = rows
    prior = beliefs((3, 2))
    (_, outputs) = tagi.forward(prior, x)
    generator = torch.Generator().manual_seed(1)

    def draw(name: str) -> torch.Tensor:
        mean, variance = (prior[f"layers.0.{name}.{part}"][0] for part in ("mean", "variance"))
        noise = torch.randn(200_000, *mean.shape, generator=generator, dtype=torch.float64)
        return mean + variance.sqrt() * noise

    z = x[0] @ draw("weight") + draw("bias")
    torch.testing.assert_close(outputs.mean[0], z.mean(0), atol=0.02, rtol=0)
    torch.testing.assert_close(outputs.variance[0], z.var(0), atol=0.02, rtol=0.02)


def test_a_product_of_two_gaussians_has_the_stated_variance():
    """The second layer multiplies uncertain weights with uncertain units."""
    prior = beliefs((1, 1, 2))
    prior["layers.0.bias.mean"] += 40.0
    (_, hidden, outputs) = tagi.forward(prior, torch.ones(1, 1, 1).double())
    w, s = (prior[f"layers.1.weight.{part}"][0, 0] for part in ("mean", "variance"))
    a, v = hidden.mean[0, 0, 0], hidden.variance[0, 0, 0]
    expected = s * a**2 + s * v + w**2 * v + prior["layers.1.bias.variance"][0, 0]
    torch.testing.assert_close(outputs.variance[0, 0], expected)


def test_the_noise_is_the_mean_of_a_log_normal():
    outputs = tagi.Normal(torch.tensor([[[0.0, 0.4]]]), torch.tensor([[[0.1, 0.3]]]))
    draws = torch.exp(0.4 + 0.3**0.5 * torch.randn(400_000, generator=torch.Generator().manual_seed(0)))
    assert tagi.predicted(outputs).noise.item() == pytest.approx(draws.mean().item(), rel=0.01)


@pytest.mark.parametrize("miss", [0.1, 3.0])
def test_a_large_miss_raises_the_noise_and_a_small_one_lowers_it(miss):
    outputs = tagi.Normal(torch.zeros(1, 1, 2).double(), torch.tensor([[[0.2, 0.3]]]).double())
    moved = tagi.observe(outputs, torch.tensor([[miss]]).double())
    assert (moved.mean[0, 0, 1] > 0) == (miss > 1)
    assert moved.mean[0, 0, 0].item() == pytest.approx(miss / (0.2 + math.exp(0.15)))
    assert moved.variance[0, 0, 0].item() == pytest.approx(-1 / (0.2 + math.exp(0.15)))


def test_the_expected_square_follows_the_gaussian_update_of_its_moments():
    """V^2 has the mean E = exp(X) and the variance 3 Var E + 2 E^2; both moments by draws."""
    generator = torch.Generator().manual_seed(0)
    x = 0.2 + 0.25 * torch.randn(2_000_000, generator=generator, dtype=torch.float64)
    square = (torch.exp(0.5 * x) * torch.randn(2_000_000, generator=generator, dtype=torch.float64)).square()
    noise, spread = math.exp(0.2 + 0.5 * 0.0625), math.expm1(0.0625) * math.exp(0.4 + 0.0625)
    assert square.mean().item() == pytest.approx(noise, rel=0.01)
    assert square.var().item() == pytest.approx(3 * spread + 2 * noise**2, rel=0.03)


def test_networks_do_not_see_each_other(rows):
    x, y = rows
    three = beliefs((3, 5, 2), networks=3)
    inputs, target, used = x.expand(3, 8, 3), y.expand(3, 8), torch.ones(3, 8).double()
    together = tagi.update(three, inputs, target, used)
    for network in range(3):
        one = {name: tensor[network : network + 1] for name, tensor in three.items()}
        alone = tagi.update(one, x, y, used[:1])
        for name, tensor in alone.items():
            torch.testing.assert_close(together[name][network : network + 1], tensor)


def test_no_surprise_throws_a_mean_out_of_its_range(rows):
    """The noise is believed to be tiny and everything misses by far: X would jump by hundreds of deviations."""
    x, _ = rows
    prior = beliefs((3, 8, 2))
    prior["layers.1.bias.mean"][..., 1] = -12
    target = torch.full(x.shape[:2], 30.0, dtype=x.dtype)
    after = tagi.update(prior, x, target, torch.ones_like(target))
    moved = [
        ((after[name] - prior[name]).abs() / prior[name.replace("mean", "variance")].sqrt()).max().item()
        for name in prior
        if name.endswith("mean")
    ]
    assert max(moved) == pytest.approx(tagi.LARGEST_MOVE)


def test_rows_that_are_not_used_teach_nothing(rows):
    x, y = rows
    prior, used = beliefs((3, 5, 2)), torch.ones(1, 8).double()
    used[0, 5:] = 0
    found = tagi.update(prior, x, y, used)
    expected = tagi.update(prior, x[:, :5], y[:, :5], used[:, :5])
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)


def test_a_noise_that_depends_on_the_input_is_found_and_variances_stay_positive():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 2000, 1, generator=generator, dtype=torch.float64) * 4 - 2
    true = 0.05 + 0.4 * (x[..., 0] > 0)
    y = torch.sin(2 * x[..., 0]) + true * torch.randn(1, 2000, generator=generator, dtype=torch.float64)
    found = beliefs((1, 40, 2))
    used = torch.ones(1, 20).double()
    for _ in range(20):
        order = torch.randperm(2000, generator=generator)
        for batch in order.split(20):
            found = tagi.update(found, x[:, batch], y[:, batch], used)
    assert all((tensor > 0).all() for name, tensor in found.items() if name.endswith("variance"))
    said = tagi.predicted(tagi.forward(found, x)[-1])
    assert ((said.mean - torch.sin(2 * x[..., 0])).abs()[true < 0.1]).mean() < 0.2
    left, right = said.noise[0][true[0] < 0.1].sqrt().mean(), said.noise[0][true[0] > 0.1].sqrt().mean()
    assert left < 0.25
    assert 0.35 < right < 0.6


def test_beliefs_begin_as_wide_as_the_inputs_ask_for():
    torch.manual_seed(0)
    network = tagi.BeliefNetwork((400, 300, 2))
    for layer, inputs in zip(network.layers, (400, 300), strict=True):
        for name in ("weight", "bias"):
            variance = layer[name]["variance"]
            torch.testing.assert_close(variance, torch.full_like(variance, 1 / inputs))
        assert not layer["bias"]["mean"].any()
    assert network.layers[0]["weight"]["mean"].std().item() * 20 == pytest.approx(1, abs=0.01)


def test_an_observation_moves_the_noise_by_the_moments_of_the_squared_residual():
    """Every step of the update by hand, in its order (Deka et al. 2024, section 3)."""
    z, s, x, v, y = 0.3, 0.2, -0.4, 0.25, 1.7
    outputs = tagi.Normal(torch.tensor([[[z, x]]]).double(), torch.tensor([[[s, v]]]).double())
    moved = tagi.observe(outputs, torch.tensor([[y]]).double())
    noise, spread = math.exp(x + v / 2), math.expm1(v) * math.exp(2 * x + v)
    residual = noise / (s + noise) * (y - z), noise - noise**2 / (s + noise)
    square = residual[0] ** 2 + residual[1], 2 * residual[1] ** 2 + 4 * residual[1] * residual[0] ** 2
    prior = 3 * spread + 2 * noise**2
    gain, back = spread / prior, noise / spread
    assert moved.mean[0, 0, 1].item() == pytest.approx(back * gain * (square[0] - noise))
    assert moved.variance[0, 0, 1].item() == pytest.approx(back**2 * gain**2 * (square[1] - prior))


def test_a_predictive_tells_belief_and_noise_apart(rows):
    x, _ = rows
    torch.manual_seed(0)
    network = tagi.BeliefNetwork((3, 5, 2))
    found = tagi.TAGIPredictive(tagi.BeliefNetwork((3, 5, 2)), network.state_dict()).predict(x[0].float())
    said = tagi.predicted(
        tagi.forward({name: part[None] for name, part in network.state_dict().items()}, x.float())[-1]
    )
    torch.testing.assert_close(found.location[:, 0], said.mean[0])
    torch.testing.assert_close(torch.exp(-found.log_precision[:, 0]), (said.epistemic + said.noise)[0])
    torch.testing.assert_close(found.location_std[:, 0], said.epistemic[0].sqrt())
    assert not found.log_weight.any()


def test_widths_go_from_the_features_to_two_outputs():
    assert tagi.sizes(TAGI(hidden=(7, 5)), 3) == (3, 7, 5, 2)
