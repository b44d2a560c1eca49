"""Precisions of stages are those that the states were drawn with, and tokens go to the stages that are unsure."""

import pytest
import torch

from precisionflow.inference.allocation.budget import Bounds
from precisionflow.inference.allocation.stages import chain, expected, tokens_of
from precisionflow.inference.variational.staged import infer_staged
from tests.inference.variational.stages_on_ranks import PRECISIONS, drawn


def test_tokens_of_stages_follow_their_precisions_and_keep_the_budget() -> None:
    stages = drawn(samples=2000, reading=1000.0)
    found = infer_staged(stages.model, stages.parts, step=0.5)
    precisions = expected(stages, found)
    # 10,000 errors of each stage
    torch.testing.assert_close(precisions, torch.tensor(PRECISIONS).double(), rtol=0.05, atol=0)
    tokens = tokens_of(stages, found, 700, token=2.0)
    assert int(tokens.sum()) == 700
    assert tokens.argsort(descending=True).tolist() == precisions.argsort().tolist()
    assert len(set(tokens.tolist())) == 4
    with pytest.raises(ValueError, match="budget: 255 tokens for 4 patches"):
        tokens_of(stages, found, 255, token=2.0)
    assert tokens_of(stages, found, 40, token=2.0, bounds=Bounds(1, 40)).sum() == 40


def test_independent_beliefs_understate_a_precision_that_readings_do_not_resolve() -> None:
    """Readings of precision 50: a stage of precision 1 is told, one of 100 is not."""
    stages = drawn(samples=2000, reading=50.0)
    found = infer_staged(stages.model, stages.parts, step=0.5)
    precisions = expected(stages, found)
    assert float(precisions[0]) == pytest.approx(PRECISIONS[0], rel=0.05)
    assert 20 < float(precisions[3]) < 50


def test_a_chain_without_a_reading_of_every_stage_is_refused() -> None:
    given = torch.zeros(3, 2)
    with pytest.raises(
        ValueError, match="stages: 2 gains and 1 priors for 1 readings; give one of each a stage"
    ):
        chain(given, [given], gains=(1.0, 1.0), reading=1.0)
    with pytest.raises(ValueError, match="stages: 0 gains and 0 priors for 0 readings"):
        chain(given, [], gains=(), reading=1.0)
