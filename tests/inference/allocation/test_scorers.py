"""Patches and their tokens, scorers by closed forms, what fuses them, the loss of a precision."""

import math

import numpy as np
import pytest
import torch

from precisionflow.inference.allocation.balance import Fused, precision_loss, standardised
from precisionflow.inference.allocation.patches import Kept, cut, waves
from precisionflow.inference.allocation.scorers import (
    BINS,
    Coupling,
    Salience,
    Summary,
    entropies,
    mutual_information,
    standing_out,
    told,
)
from precisionflow.inference.allocation.texture import CHANNELS, RANGES, image_of, texture
from precisionflow.inference.variational import Gaussian, Model, infer, normal


def test_patches_stand_row_before_column() -> None:
    image = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    found = cut(image, 2)
    assert found.shape == (2, 6, 3, 4)
    assert torch.equal(found[1, 4, 2], image[1, 2, 2:4, 2:4].flatten())
    with pytest.raises(ValueError, match="4 x 6 pixels cannot be cut into patches of 4 x 4"):
        cut(image, 4)


def test_tokens_are_orthonormal_cosines_from_coarse_to_fine() -> None:
    from scipy.fft import idctn

    kept, patch = Kept(6), torch.randn(1, 1, 1, 36)
    np.testing.assert_allclose(waves(6) @ waves(6).T, np.eye(6), atol=1e-12)
    for token, place in ((0, (0, 0)), (1, (0, 1)), (2, (1, 0)), (3, (0, 2)), (4, (1, 1)), (35, (5, 5))):
        one = np.zeros((6, 6))
        one[place] = 1
        wave = idctn(one, norm="ortho").flatten()
        more, less = (kept(patch, torch.full((1, 1), float(token + extra))).flatten() for extra in (1, 0))
        np.testing.assert_allclose(more - less, (wave @ patch.flatten().numpy()) * wave, atol=1e-5)


def test_resolution_is_the_number_of_tokens() -> None:
    patches = torch.randn(2, 3, 1, 36)
    kept, errors = Kept(6), []
    for tokens in (1, 5, 20, 36):
        shown = kept(patches, torch.full((2, 3), float(tokens)))
        errors.append(float((shown - patches).square().sum()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-8
    torch.testing.assert_close(kept(patches, torch.ones(2, 3))[0, 0, 0], patches[0, 0, 0].mean().expand(36))


def test_more_tokens_are_wanted_where_the_next_ones_matter() -> None:
    kept, tokens = Kept(6), torch.tensor([[10.0, 10.0]], requires_grad=True)
    noise = torch.randn(1, 1, 1, 36)
    fine = kept(noise, torch.full((1, 1), 14.0)) - kept(noise, torch.full((1, 1), 11.0))
    patches = torch.cat([fine, torch.ones_like(fine)], dim=1)
    (kept(patches, tokens) - patches).square().sum().backward()
    assert float(tokens.grad[0, 0]) < -1e-3
    assert abs(float(tokens.grad[0, 1])) < 1e-6


def test_entropies_are_those_of_a_histogram() -> None:
    random = np.random.default_rng(1)
    patches = torch.from_numpy(random.random((2, 3, 13, 64)))
    patches[0, 0] = 0.3
    found = entropies(patches)
    assert float(found[0, 0].abs().max()) == 0
    for channel in (0, 7):
        share, _ = np.histogram(
            patches[1, 2, channel].clamp(*RANGES[channel]), bins=BINS, range=RANGES[channel]
        )
        share = share[share > 0] / 64
        expected = -(share * np.log(share)).sum() / math.log(BINS)
        assert float(found[1, 2, channel]) == pytest.approx(expected)
    even = torch.linspace(0, 1, 65)[:-1].expand(1, 1, 13, 64).clone()
    assert float(entropies(even)[0, 0, 0]) == pytest.approx(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_constant_but_for_rounding_has_no_entropy(dtype: torch.dtype) -> None:
    """Hues of grey pixels, and slopes along lines of equal ones, are 0: not an edge between two bins."""
    random = np.random.default_rng(2)
    for grey in (random.random((20, 20)), np.tile(np.linspace(0, 1, 20), (20, 1))):
        seen = Summary.of(texture(image_of(grey)[None].to(dtype)), 10)
        flat = [CHANNELS.index(name) for name in ("green_red", "blue_yellow", "chroma")]
        assert float(seen.entropy[..., flat].abs().max()) == 0
    assert float(seen.entropy[..., CHANNELS.index("slope_down")].abs().max()) == 0


def test_pixels_that_are_not_finite_are_refused() -> None:
    channels = texture(image_of(np.zeros((4, 4)))[None])
    channels[0, 3, 1, 1] = torch.nan
    with pytest.raises(ValueError, match=r"image: at \(.*\) given nan; each has to be finite"):
        Summary.of(channels, 2)


def test_one_patch_stands_out_and_equal_ones_do_not() -> None:
    mean = torch.zeros(1, 5, 2)
    mean[0, 3, 1] = 4.0
    found = standing_out(mean)
    assert float(found[..., 0].abs().max()) == 0
    # standard deviation of one value of five at a distance of 4: 4 sqrt(0.2 x 0.8)
    assert float(found[0, 3, 1]) == pytest.approx(4 / 1.6)
    assert float(found[0, 0, 1]) == pytest.approx(1 / 1.6)
    assert float(standing_out(torch.ones(1, 1, 2)).abs().max()) == 0


def test_salience_looks_at_the_channels_that_are_asked_about() -> None:
    salience = Salience(2)
    with torch.no_grad():
        salience.channels.weight.zero_()
        salience.channels.bias.zero_()
        salience.channels.weight[0, 0] = salience.channels.weight[1, 1] = 50.0
    mean = torch.zeros(2, 4, len(CHANNELS))
    mean[:, 1, 0], mean[:, 2, 1] = 1.0, 1.0
    found = salience(Summary(mean, torch.zeros_like(mean)), torch.eye(2))
    assert found.argmax(-1).tolist() == [1, 2]


def test_information_of_a_query_lies_between_nothing_and_ln_n() -> None:
    logs = torch.tensor([[0.0] * 8, [50.0] + [0.0] * 7]).log_softmax(-1)
    np.testing.assert_allclose(mutual_information(logs), [0, math.log(8)], atol=1e-5)
    np.testing.assert_allclose(told(logs)[0], 0, atol=1e-6)
    # I(i; query) of a channel between 4 patches and 4 queries: ln 4 - H(row), rows and columns alike
    chance = torch.tensor([0.7, 0.1, 0.1, 0.1])
    table = torch.stack([chance.roll(shift) for shift in range(4)])
    joint = table / 4
    true = float((joint * (joint / (joint.sum(0) * joint.sum(1, keepdim=True))).log()).sum())
    assert float(mutual_information(table.log()).mean()) == pytest.approx(true)
    seen = Summary(torch.zeros(3, 5, 13), torch.zeros(3, 5, 13))
    np.testing.assert_allclose(
        mutual_information(Coupling(4)(seen, torch.randn(3, 4)).detach()), 0, atol=1e-6
    )


def test_fused_scores_are_the_mean_of_a_gaussian_posterior() -> None:
    fused, scores = Fused(3), torch.randn(2, 6, 3)
    with torch.no_grad():
        fused.log_precision.copy_(torch.tensor([0.5, -1.0, 2.0]))
        fused.gain.copy_(torch.tensor([1.0, -0.5, 2.0]))
    precision = fused.log_precision.detach().exp().double()
    readings = (standardised(scores) * fused.gain.detach()).double()
    # the normal equations of the stacked readings and the prior
    design, noise = torch.ones(4, 1).double(), torch.cat([torch.ones(1), precision]).diag()
    stacked = torch.cat([torch.zeros(2, 6, 1), readings], dim=-1).double()
    expected = (stacked @ noise @ design)[..., 0] / float(design.T @ noise @ design)
    torch.testing.assert_close(fused(scores).double().detach(), expected, rtol=1e-5, atol=1e-6)


def test_scorers_are_factors_of_a_graph() -> None:
    """The same posterior by messages in a factor graph: a prior, and a Gaussian factor for every scorer."""
    fused, scores = Fused(3), torch.tensor([[[0.4, 2.0, -1.0], [1.3, -0.2, 0.6]]])
    with torch.no_grad():
        fused.log_precision.copy_(torch.tensor([0.5, -1.0, 2.0]))
    readings = standardised(scores)[0, 0].double()
    model = Model()
    log_weight = model.latent(Gaussian.of(mean=0.0, precision=1.0))
    for reading, precision in zip(readings, fused.log_precision.detach().exp().double(), strict=True):
        model.observe(normal(log_weight, float(precision)), reading[None])
    found = infer(model)[log_weight]
    assert float(fused(scores)[0, 0].detach()) == pytest.approx(float(found.mean), rel=1e-5)


def test_an_unsure_scorer_is_not_heard_and_alike_scores_prefer_nothing() -> None:
    fused, scores = Fused(2), torch.randn(1, 4, 2)
    with torch.no_grad():
        fused.log_precision.copy_(torch.tensor([0.0, -40.0]))
    torch.testing.assert_close(fused(scores).detach(), standardised(scores)[..., 0] / 2)
    assert float(fused(torch.ones(1, 4, 2)).detach().abs().max()) == 0


def test_precision_loss_is_least_at_the_precision_of_the_errors() -> None:
    random = torch.Generator().manual_seed(0)
    for scale in (1e-3, 1.0, 1e3):
        error = scale * torch.randn(4000, generator=random, dtype=torch.float64)
        log = torch.zeros((), dtype=torch.float64, requires_grad=True)
        loss = precision_loss(error, log.expand_as(error)).mean()
        torch.testing.assert_close(loss, error.square().mean() / 2)
        best = -error.square().mean().log()
        at_best = best.clone().requires_grad_()
        precision_loss(error, at_best.expand_as(error)).mean().backward()
        assert abs(float(at_best.grad)) < 1e-9
        far = precision_loss(error, (best - 20).expand_as(error)).mean()
        assert float(far) > float(precision_loss(error, best.expand_as(error)).mean()) + 5


@pytest.mark.parametrize("scorer", [Salience, Coupling])
def test_a_query_of_another_width_is_refused(scorer: type) -> None:
    seen = Summary(torch.rand(2, 4, 13), torch.rand(2, 4, 13))
    with pytest.raises(ValueError, match="query: has 3 numbers, and the scorer takes 4; give as many"):
        scorer(4)(seen, torch.zeros(2, 3))
