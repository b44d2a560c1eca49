"""Losses of a class and of what is learned beside it, against torch's own cross-entropy."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from precisionflow.config.likelihoods import CrossEntropy
from precisionflow.models.likelihoods.beside import Beside
from precisionflow.models.likelihoods.objective import objective
from precisionflow.records.schemas import NOT_COUNTED

CLASSES, OTHERS, FACTORS = 3, (5, 2), (0.5, 2.0)


@pytest.fixture
def stated() -> Beside:
    generator = torch.Generator().manual_seed(0)
    logits, *others = (torch.randn(4, 6, n, generator=generator) for n in (CLASSES, *OTHERS))
    return Beside(logits, others, FACTORS)


@pytest.fixture
def target() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    columns = [torch.randint(0, n, (4, 6), generator=generator) for n in (CLASSES, *OTHERS)]
    return torch.stack(columns, dim=-1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_each_column_adds_its_factor_times_its_cross_entropy(stated, target, smoothing):
    losses = objective(CrossEntropy(label_smoothing=smoothing)).losses(progress=0.5)(stated, target)
    expected = sum(
        factor * cross_entropy(logits.mT, target[..., place], reduction="none", label_smoothing=smoothing)
        for place, (logits, factor) in enumerate(
            zip((stated.logits, *stated.auxiliary), (1, *FACTORS), strict=True)
        )
    )
    torch.testing.assert_close(losses, expected)


def test_a_column_that_says_nothing_adds_nothing(stated, target):
    losses = objective(CrossEntropy()).losses(progress=0.5)
    without = target.clone()
    without[1, 2, 1:] = NOT_COUNTED
    less = losses(stated, target) - losses(stated, without)
    assert less[1, 2] > 0.1
    assert torch.count_nonzero(less) == 1
    alone = cross_entropy(stated.logits[1, 2], target[1, 2, 0])
    torch.testing.assert_close(losses(stated, without)[1, 2], alone)
