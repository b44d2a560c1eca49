"""One temperature for all logits, found again."""

import numpy as np
import pytest
import torch

from precisionflow.evaluation.recalibration.temperature import log_tempered, temperature


def test_temperature_undoes_sharpened_probabilities() -> None:
    true = np.random.default_rng(2).dirichlet(np.ones(5), size=20_000)
    target = (np.random.default_rng(3).random((len(true), 1)) > np.cumsum(true, axis=1)[:, :-1]).sum(axis=1)
    sharp = np.exp(log_tempered(np.log(true), 0.4))
    found = temperature(sharp, target)
    assert found == pytest.approx(1 / 0.4, rel=0.05)
    np.testing.assert_allclose(np.exp(log_tempered(np.log(sharp), 2.5)), true, atol=1e-9)
    logits = torch.tensor(np.log(sharp))
    losses = [
        float(torch.nn.functional.cross_entropy(logits / t, torch.tensor(target)))
        for t in (found * 0.97, found, found * 1.03)
    ]
    assert losses[1] == min(losses)


@pytest.mark.parametrize("rows", [1, 10, 129])
@pytest.mark.parametrize("confidence", [0.6, 0.99, 1 - 1e-12])
def test_rows_that_are_all_right_are_trusted_as_the_rule_of_succession_says(
    rows: int, confidence: float
) -> None:
    stated = np.tile([confidence, 1 - confidence], (rows, 1))
    found = temperature(stated, np.zeros(rows, dtype=int))
    (after,) = np.exp(log_tempered(np.log(stated[:1]), found))
    assert after[0] == pytest.approx((rows + 1) / (rows + 2), rel=1e-4)


def test_a_temperature_does_not_depend_on_the_order_of_rows_and_classes() -> None:
    random = np.random.default_rng(0)
    stated = random.dirichlet(np.ones(4), size=50)
    target = random.integers(4, size=50)
    found = temperature(stated, target)
    rows, classes = random.permutation(50), random.permutation(4)
    assert temperature(stated[rows], target[rows]) == pytest.approx(found, rel=1e-6)
    assert temperature(stated[:, classes], np.argsort(classes)[target]) == pytest.approx(found, rel=1e-6)


def test_few_rows_without_an_error_do_not_make_the_others_certain() -> None:
    """The loss of calibrated probabilities after a temperature of 60 rows that happen to be right."""
    random = np.random.default_rng(1)
    true = random.dirichlet(np.full(4, 0.1), size=40_000)
    target = (random.random((len(true), 1)) > true.cumsum(axis=1)[:, :-1]).sum(axis=1)
    right = np.flatnonzero(true.argmax(axis=1) == target)[:60]
    log_true = np.log(np.maximum(true, 1e-300))
    found = temperature(true[right], target[right])

    def loss(factor: float) -> float:
        stated = log_tempered(log_true, factor)
        return -float(stated[np.arange(len(target)), target].mean())

    assert 0.1 < found < 1
    assert loss(found) < 1.6 * loss(1.0)
