"""Voices of a classifier: mixtures of softmaxes, entropy and its parts, Fisher information."""

import math

import numpy as np
import pytest
import torch
from scipy import special, stats

from precisionflow.config.likelihoods import CrossEntropy
from precisionflow.models.likelihoods.categorical import (
    Categorical,
    Voices,
    cross_entropy,
    log_probabilities,
    smoothed_cross_entropy,
)
from precisionflow.models.likelihoods.objective import objective

LOGITS = torch.randn(7, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 30.0, 1e6])
def test_members_speak_with_equal_weight(scale):
    each = special.softmax(scale * LOGITS.numpy(), axis=-1)
    voices = Voices(scale * LOGITS)
    np.testing.assert_allclose(voices.log_probabilities().exp(), each.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(voices.entropy(), stats.entropy(each.mean(axis=1), axis=-1), atol=1e-12)
    np.testing.assert_allclose(voices.aleatoric(), stats.entropy(each, axis=-1).mean(axis=1), atol=1e-12)
    mutual = stats.entropy(each, each.mean(axis=1, keepdims=True), axis=-1).mean(axis=1)
    np.testing.assert_allclose(voices.epistemic(), mutual, atol=1e-9)
    assert (voices.epistemic() >= 0).all()


def test_a_single_network_has_no_epistemic_part():
    voices = Categorical().predictive(LOGITS[:, 0])
    np.testing.assert_allclose(voices.epistemic(), 0, atol=1e-12)
    np.testing.assert_allclose(voices.energy(), -special.logsumexp(LOGITS[:, 0], axis=-1))


def test_opposed_members_are_all_epistemic():
    sure = torch.tensor([[[50.0, 0.0], [0.0, 50.0]]], dtype=torch.float64)
    assert Voices(sure).epistemic().item() == pytest.approx(math.log(2))
    assert Voices(sure).aleatoric().item() == pytest.approx(0, abs=1e-12)
    parts = [Categorical().predictive(sure[:, i]) for i in range(2)]
    assert torch.equal(Categorical().pooled(parts).logits, sure)


def test_the_fisher_root_is_that_of_the_hessian():
    logits = LOGITS[:, 0]
    root = Categorical().fisher_root(logits)
    for row, found in zip(logits, root.mT @ root, strict=True):
        hessian = torch.autograd.functional.hessian(
            lambda at: cross_entropy(at[None], torch.tensor([1])).sum(), row
        )
        torch.testing.assert_close(found, hessian)


def test_classes_may_stand_as_floats():
    target = torch.tensor([0, 3, 2, 1, 0, 1, 3])
    torch.testing.assert_close(
        cross_entropy(LOGITS[:, 0], target.float()),
        cross_entropy(LOGITS[:, 0], target).float(),
        check_dtype=False,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("places", [(7,), (3, 5)])
def test_smoothing_is_torchs(places, smoothing):
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(*places, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(4, places, generator=generator)
    expected = torch.nn.functional.cross_entropy(
        logits.movedim(-1, 1), target, label_smoothing=smoothing, reduction="none"
    )
    torch.testing.assert_close(smoothed_cross_entropy(logits, target, smoothing=smoothing), expected)
    losses = objective(CrossEntropy(label_smoothing=smoothing)).losses(progress=0.5)
    torch.testing.assert_close(losses(logits, target), expected)


@pytest.mark.parametrize("places", [(7,), (3, 5)])
def test_logarithms_of_probabilities_sum_to_one_over_the_classes(places):
    logits = torch.randn(*places, 4, generator=torch.Generator().manual_seed(1))
    found = log_probabilities(logits)
    assert found.dtype is torch.float64
    np.testing.assert_allclose(found, special.log_softmax(logits.double().numpy(), axis=-1))


def test_the_energy_is_the_mean_over_members():
    found = special.logsumexp(LOGITS.numpy(), axis=-1).mean(axis=1)
    np.testing.assert_allclose(Voices(LOGITS).energy(), -found)
