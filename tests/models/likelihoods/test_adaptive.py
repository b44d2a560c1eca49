"""Adaptive softmax: a distribution over all classes, whose loss needs a part of them; against torch's own."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from precisionflow.config import ConfigError, load
from precisionflow.config.likelihoods import AdaptiveSoftmax as Config
from precisionflow.models.attention.sites import Sites
from precisionflow.models.likelihoods.adaptive import AdaptiveSoftmax
from precisionflow.models.likelihoods.categorical import cross_entropy, log_probabilities
from precisionflow.models.likelihoods.objective import objective
from precisionflow.models.networks.adaptive import AdaptiveReadout, TiedAdaptiveReadout

CLASSES, WIDTH = 23, 8
AT = Sites(torch.arange(7))
CONFIG = Config(cutoffs=(5, 11), shrink=2)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def features(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(3, 7, WIDTH, generator=generator, dtype=torch.float64)


def readout(kind: type = AdaptiveReadout, config: Config = CONFIG) -> nn.Module:
    torch.manual_seed(0)
    embedding = nn.Embedding(CLASSES, WIDTH)
    return kind(nn.Identity(), embedding, config=config).double()


KINDS = [(AdaptiveReadout, CONFIG), (TiedAdaptiveReadout, Config(cutoffs=(5, 11)))]


@pytest.mark.parametrize(("kind", "config"), KINDS)
def test_probabilities_of_all_classes_sum_to_one_and_hold_the_loss(kind, config, features):
    output = readout(kind, config)(features, AT)
    stated = log_probabilities(output)
    assert stated.shape == (3, 7, CLASSES)
    torch.testing.assert_close(stated.exp().sum(-1), torch.ones(3, 7, dtype=torch.float64))
    for target in torch.arange(CLASSES):
        losses = objective(config).negative_log_likelihood(output, target.expand(3, 7))
        torch.testing.assert_close(losses, -stated[..., target])


def test_it_is_the_full_softmax_of_its_own_logarithms(features, generator):
    output = readout()(features, AT)
    target = torch.randint(CLASSES, (3, 7), generator=generator)
    full = cross_entropy(log_probabilities(output), target)
    torch.testing.assert_close(objective(CONFIG).negative_log_likelihood(output, target), full)


def test_losses_and_gradients_are_those_of_torch(features, generator):
    mine = readout()
    softmax = mine.softmax
    assert isinstance(softmax, AdaptiveSoftmax)
    torchs = nn.AdaptiveLogSoftmaxWithLoss(WIDTH, CLASSES, [5, 11], div_value=2, head_bias=True).double()
    with torch.no_grad():
        softmax.head.weight.copy_(torchs.head.weight)
        softmax.head.bias.copy_(torchs.head.bias)
        for tail, (project, logits) in zip(softmax.tails, torchs.tail, strict=True):
            tail[0].weight.copy_(project.weight)
            tail[1].weight.copy_(logits.weight)
            tail[1].bias.zero_()
    target = torch.randint(CLASSES, (3, 7), generator=generator)
    given = features.requires_grad_()
    losses = objective(CONFIG).negative_log_likelihood(mine(given, AT), target)
    theirs = torchs(given.flatten(0, 1), target.flatten())
    torch.testing.assert_close(losses.flatten(), -theirs.output)
    torch.testing.assert_close(
        log_probabilities(mine(given, AT)).flatten(0, 1), torchs.log_prob(given.flatten(0, 1))
    )
    (found,), (expected,) = (torch.autograd.grad(of, given) for of in (losses.mean(), theirs.loss))
    torch.testing.assert_close(found, expected)


def test_only_the_clusters_of_the_targets_are_computed(features):
    softmax = readout().softmax
    seen = []
    for index, tail in enumerate(softmax.tails):
        tail.register_forward_hook(lambda _m, given, _o, i=index: seen.append((i, len(given[0]))))
    target = torch.zeros(3, 7, dtype=torch.int64)
    target[0, :2], target[1, 0] = 6, 20
    softmax(features).negative_log_likelihood(target)
    assert dict(seen) == {0: 2, 1: 1}


def test_tied_weights_are_those_of_the_embedding(features):
    torch.manual_seed(0)
    embedding = nn.Embedding(CLASSES, WIDTH).double()
    tied = TiedAdaptiveReadout(nn.Identity(), embedding, config=Config(cutoffs=(5, 11))).double()
    losses = objective(CONFIG).negative_log_likelihood(tied(features, AT), torch.full((3, 7), 20))
    losses.sum().backward()
    used = embedding.weight.grad.abs().sum(dim=1) > 0
    assert used.tolist() == [True] * 5 + [False] * 6 + [True] * 12
    assert sum(p is embedding.weight for p in tied.parameters()) == 1


@pytest.mark.parametrize(("kind", "config"), KINDS)
def test_classes_start_with_the_law_of_zipf_and_mandelbrot(kind, config):
    def zero_linear(inputs: int, outputs: int) -> nn.Linear:
        linear = nn.Linear(inputs, outputs)
        nn.init.zeros_(linear.bias)
        return linear

    start = kind(nn.Identity(), nn.Embedding(CLASSES, WIDTH), zero_linear, config=config)
    for parameter in start.parameters():
        if parameter.ndim == 2:
            nn.init.zeros_(parameter)
    stated = log_probabilities(start(torch.zeros(3, 7, WIDTH), AT)).exp()
    law = 1 / (torch.arange(CLASSES, dtype=torch.float64) + 2.7)
    torch.testing.assert_close(stated, (law / law.sum()).expand(3, 7, -1), rtol=1e-5, atol=0)


def test_the_clusters_cover_all_classes():
    softmax = readout().softmax
    assert list(softmax.ranges) == list(pairwise((5, 11, CLASSES)))
    with pytest.raises(ValueError, match=r"^objective\.cutoffs: 23 leaves none of 23 classes for the last"):
        readout(config=Config(cutoffs=(5, 23)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["task.tokens.kind=bytes"],
            "objective.kind: adaptive_softmax needs .* task.tokens.kind bytes has none; use words",
        ),
        (["objective.shrink=4"], "objective.shrink: 4 needs weights of its own, and model.tied_readout"),
        (["objective.cutoffs=[9, 9]"], r"objective.cutoffs: \[9, 9\] should rise; sort them"),
    ],
)
def test_what_does_not_fit_is_told(settings, message):
    with pytest.raises(ConfigError, match=message):
        load("wikitext2", settings)
