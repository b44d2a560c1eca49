"""Stages of many rows: each row by itself, gradients of what is believed beforehand, what was drawn."""

import numpy as np
import pytest
import torch

from precisionflow.config.allocation import StageAllocator
from precisionflow.config.drawn_tables import StageChains
from precisionflow.config.tasks import StageAllocation
from precisionflow.data.sources.stage_chains import draw_stages
from precisionflow.inference.allocation.encoder_decoder import StagePrecisions, spend

SOURCE = StageChains(encoder=1, decoder=2, channels=4, gain=0.8)
TASK = StageAllocation(source=SOURCE)
CONFIG = StageAllocator(budget=600, updates=200)


def numbers(rows: int, source: StageChains = SOURCE) -> torch.Tensor:
    drawn = draw_stages(source, rows, np.random.default_rng(0))
    return torch.from_numpy(np.concatenate([part.reshape(rows, -1) for part in drawn], axis=1))


def test_stages_are_drawn_with_their_precisions() -> None:
    source = StageChains(channels=4000, reading=50.0)
    drawn = draw_stages(source, 3, np.random.default_rng(0))
    before = np.concatenate([drawn.given[:, None], drawn.readings[:, :-1]], axis=1)
    left = drawn.readings - source.gain * before
    # the reading before is one of the state before, but for what is given
    of_readings = (1 + source.gain**2 * (np.arange(source.stages) > 0)) / source.reading
    np.testing.assert_allclose(left.var(axis=2), 1 / drawn.precisions + of_readings, rtol=0.15)
    many = draw_stages(source.model_copy(update={"channels": 2}), 4000, np.random.default_rng(0))
    medians = np.median(many.precisions, axis=0)
    np.testing.assert_allclose(medians, [3, 3, 3, 30, 30, 30], rtol=0.1)
    np.testing.assert_allclose(np.log(many.precisions).std(axis=0), 1, rtol=0.1)


def test_rows_are_inferred_each_by_itself() -> None:
    layer, given = StagePrecisions(CONFIG, TASK), numbers(5)
    together = spend(CONFIG, TASK, layer, given)
    for row in range(5):
        alone = spend(CONFIG, TASK, layer, given[row : row + 1])
        for whole, part in zip(together, alone, strict=True):
            torch.testing.assert_close(whole[row : row + 1], part, rtol=1e-9, atol=1e-12)


def test_gradient_is_that_of_the_bound_where_inference_has_ended() -> None:
    layer, given = StagePrecisions(CONFIG, TASK), numbers(3)
    layer(given).sum().backward()
    for parameter in layer.parameters():
        assert parameter.grad is not None
        for stage in range(SOURCE.stages):
            values = []
            for move in (0.01, -0.01):
                with torch.no_grad():
                    parameter[stage] += move
                    values.append(layer(given).sum().item())
                    parameter[stage] -= move
            slope = (values[0] - values[1]) / 0.02
            assert float(parameter.grad[stage]) == pytest.approx(slope, rel=1e-2, abs=1e-4)


def test_beliefs_that_are_late_bound_the_readings_less_closely() -> None:
    layer_of = lambda delay: StagePrecisions(  # noqa: E731
        StageAllocator(budget=600, updates=8, delay=delay), TASK
    )
    bounds = [layer_of(delay)(numbers(20)).mean().item() for delay in (1, 4, 8)]
    assert bounds[0] > bounds[1] > bounds[2]


@pytest.mark.parametrize("share", ["inferred", "uniform", "told"])
def test_every_row_keeps_the_budget(share: str) -> None:
    config = CONFIG.model_copy(update={"share": share, "budget": 601})
    spent = spend(config, TASK, StagePrecisions(config, TASK), numbers(6))
    assert spent.tokens.sum(dim=1).tolist() == [601] * 6
    assert (int(spent.tokens.max()) - int(spent.tokens.min()) <= 1) == (share == "uniform")
