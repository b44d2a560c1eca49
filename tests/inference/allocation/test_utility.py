"""One utility whose corners are the two rules of allocation by precision, and the normalisation model."""

import numpy as np
import torch

from precisionflow.inference.allocation.budget import Bounds, water_filling, whole
from precisionflow.inference.allocation.utility import Utility


def test_utility_is_the_information_of_repeated_readings() -> None:
    prior, token, tokens = 3.0, 0.2, 40
    # precision of a Gaussian after `tokens` readings of precision `token`, by adding them
    after = prior + tokens * token
    expected = 0.5 * np.log(after / prior)
    utility = Utility.of_precisions(torch.ones(1), prior=torch.tensor([prior]), token=torch.tensor([token]))
    np.testing.assert_allclose(utility.value(torch.tensor([float(tokens)])), expected, rtol=1e-6)
    step = utility.value(torch.tensor([41.0])) - utility.value(torch.tensor([40.0]))
    np.testing.assert_allclose(utility.gain(torch.tensor([40.0])), step, rtol=1e-4)


def test_the_surer_a_patch_beforehand_the_fewer_tokens() -> None:
    prior = torch.linspace(1, 3, 9)
    utility = Utility.of_precisions(torch.ones(9), prior=prior, token=torch.full((9,), 0.02))
    tokens = whole(utility, 1800)
    assert bool((tokens.diff() < 0).all())


def test_the_more_precise_a_token_the_more_of_them() -> None:
    token = torch.linspace(0.005, 0.02, 9)
    utility = Utility.of_precisions(torch.ones(9), prior=torch.ones(9), token=token)
    assert bool((whole(utility, 1800).diff() > 0).all())
    sure = Utility.of_precisions(torch.ones(9), prior=torch.ones(9), token=token * 1e6)
    assert int(whole(sure, 1800).diff().abs().max()) == 0


def test_without_bounds_it_is_the_normalisation_model() -> None:
    """k_i = B w_i / sum w for precise tokens; else (B + sum s) w_i / sum w - s_i with constants s = 1 / rho."""
    random = np.random.default_rng(0)
    weight = torch.from_numpy(random.uniform(1, 4, size=6))
    free, budget = Bounds(0, 10_000), 600
    precise = Utility(weight, torch.full((6,), 1e9, dtype=torch.float64))
    torch.testing.assert_close(water_filling(precise, budget, free), budget * weight / weight.sum())
    ratio = torch.from_numpy(random.uniform(0.05, 0.2, size=6))
    constant = 1 / ratio
    expected = (budget + constant.sum()) * weight / weight.sum() - constant
    torch.testing.assert_close(water_filling(Utility(weight, ratio), budget, free), expected)
