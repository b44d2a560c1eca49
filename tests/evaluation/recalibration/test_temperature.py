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
