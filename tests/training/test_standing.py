"""Where a training stands: what is kept of networks that go on and of those that are gone, written and read."""

import math

import pytest
import torch

from precisionflow.training.ranks import Ranks
from precisionflow.training.rules.monitored import AttentionRow, SettlingRow
from precisionflow.training.standing import Interval, Standing

CALIBRATION = (640, 0.01, 0.5, 0.9, 0.95, 1.0)
OF_HEADS = [1.5, 2.5]


def vector(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def in_the_middle() -> Standing:
    """Four networks; 1 stopped after step 20 and is gone, the others stand at step 30."""
    standing = Standing.start(4, measures=2)
    losses = {10: (4.0, 1.0, 3.0, 2.0), 20: (3.0, 1.5, 3.5, 1.0)}
    for step, values in losses.items():
        standing.step = step
        for outcome, value in zip(standing.outcomes, values, strict=True):
            outcome.history.append((step, "validation_loss", value))
            outcome.settling.append(
                SettlingRow(step, 1, [value, 0.5], [0.1], [], [2.0], 0.75, *CALIBRATION, OF_HEADS)
            )
            outcome.attention.append(AttentionRow(step, 1, 0, 4, 7, value, -value))
        standing.judge(vector(*values), patience=1)
    standing.leave(torch.tensor([False, True, False, False]), patience=1, validate_every=10)
    standing.step = 30
    for network, value in zip(standing.networks, (2.0, 4.0, 0.5), strict=True):
        standing.outcomes[network].history.append((30, "validation_loss", value))
    standing.judge(vector(2.0, 4.0, 0.5), patience=1)
    standing.interval.add(torch.arange(6.0).reshape(3, 2), seconds=0.25)
    return standing


def test_several_networks_some_gone_are_read_as_they_were_written(tmp_path):
    before = in_the_middle()
    before.write(tmp_path)
    after = Standing.read(tmp_path)
    assert after.networks == [0, 2, 3]
    assert after.outcomes == before.outcomes
    assert [len(outcome.history) for outcome in after.outcomes] == [3, 2, 3, 3]
    assert after.outcomes[3].attention[1] == AttentionRow(20, 1, 0, 4, 7, 1.0, -1.0)
    assert after.outcomes[3].settling[1] == SettlingRow(
        20, 1, [1.0, 0.5], [0.1], [], [2.0], 0.75, *CALIBRATION, OF_HEADS
    )
    assert (after.step, after.interval.steps, after.interval.seconds) == (30, 1, 0.25)
    for name in ("best_loss", "best_step", "stale"):
        assert torch.equal(getattr(after, name), getattr(before, name)), name
        assert getattr(after, name).dtype == getattr(before, name).dtype
    assert torch.equal(after.interval.sums, before.interval.sums)


def test_losses_that_nothing_was_better_than_survive(tmp_path):
    Standing.start(2, measures=1).write(tmp_path)
    assert Standing.read(tmp_path).best_loss.tolist() == [math.inf, math.inf]
    assert Standing.read(tmp_path).outcomes[1].history == []


@pytest.mark.parametrize(
    "file", ["progress.json", "history.parquet", "settling.parquet", "attention.parquet"]
)
def test_a_file_that_is_missing_is_named(file, tmp_path):
    in_the_middle().write(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(ValueError, match=rf"{file}: cannot be read \(.*delete the checkpoint"):
        Standing.read(tmp_path)


def test_a_network_that_stopped_keeps_its_best_and_forgets_what_came_after_its_patience():
    standing = Standing.start(2, measures=1)
    for step, values in {5: (1.0, 9.0), 10: (2.0, 8.0), 15: (3.0, 7.0)}.items():
        standing.step = step
        for outcome, value in zip(standing.outcomes, values, strict=True):
            outcome.history.append((step, "validation_loss", value))
            outcome.settling.append(SettlingRow(step, 0, [], [], [], [], 1.0, *CALIBRATION))
            outcome.attention.append(AttentionRow(step, 0, 0, 0, 1, 0.0, 0.0))
        standing.judge(vector(*values), patience=1)
    standing.leave(torch.tensor([True, True]), patience=1, validate_every=5)
    stopped, going = standing.outcomes
    assert (stopped.loss, stopped.steps) == (1.0, 10)
    assert [step for step, *_ in stopped.history] == [5, 10]
    assert [row.step for row in stopped.settling] == [row.step for row in stopped.attention] == [5, 10]
    assert (going.loss, going.steps) == (7.0, 15)
    assert standing.networks == []


def test_a_network_that_has_stopped_is_never_kept_again():
    standing = Standing.start(1, measures=1)
    kept = [bool(standing.judge(vector(loss), patience=2)) for loss in (3.0, 4.0, 5.0, 1.0)]
    assert kept == [True, False, False, False]
    assert standing.best_loss.tolist() == [3.0]


def test_without_patience_the_last_is_kept_whatever_it_is():
    standing = Standing.start(1, measures=1)
    assert [bool(standing.judge(vector(loss), patience=None)) for loss in (3.0, 4.0, 5.0)] == [True] * 3
    assert standing.best_loss.tolist() == [5.0]


def interval() -> Interval:
    of = Interval.empty(2, 2)
    for step in range(4):
        of.add(torch.tensor([[1.0, 10.0], [2.0, step]]), seconds=0.5 + step)
    return of


def test_means_are_over_steps():
    means, seconds = interval().means(Ranks())
    assert means.tolist() == [[1.0, 10.0], [2.0, 1.5]]
    assert seconds == 2.0


class Twins(Ranks):
    """Two ranks; the other measured the same plus 2 in everything."""

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return 2 * values + 2


def test_means_are_over_ranks_too_and_a_share_is_what_every_rank_goes_on_with():
    twins = Twins(0, 2)
    means, _ = interval().means(twins)
    assert means.tolist() == [[1.25, 10.25], [2.25, 1.75]], "four steps of two ranks"
    shared = interval()
    shared.share(twins)
    assert shared.sums.tolist() == [[5.0, 41.0], [9.0, 7.0]]
    assert (shared.steps, shared.seconds) == (4, 9.0)
    again, seconds = shared.means(Ranks())
    assert torch.equal(again, means)
    assert seconds == 2.25


class Beside(Ranks):
    """The first of two ranks, the other of which met its first loss that is not finite after two steps."""

    def greatest(self, value: int) -> int:
        return max(value, -2)


@pytest.mark.parametrize(
    ("step", "ranks", "found"), [(1, Ranks(), 1), (3, Ranks(), 3), (1, Beside(), 1), (3, Beside(), 2)]
)
def test_steps_are_counted_up_to_the_first_loss_that_is_not_finite_on_a_rank(step, ranks, found):
    """The steps before a checkpoint count as well; another measure does not."""
    losses = torch.ones(4, 2, 2)
    losses[step:, 1, 0] = torch.tensor([torch.inf, -torch.inf, torch.nan])[: 4 - step]
    losses[0, 0, 1] = torch.nan
    interval = Interval(torch.zeros(2, 2, dtype=torch.float64))
    apart = [Interval.empty(1, 2), Interval.empty(1, 2)]
    for each in losses:
        interval.add(each, seconds=0.0)
        for of, values in zip(apart, each, strict=True):
            of.add(values[None], seconds=0.0)
    assert interval.finite_steps(ranks)[1] == found
    assert interval.finite_steps(Ranks()) == [4, step]
    later = Interval(torch.zeros(2, 2, dtype=torch.float64), steps=5)
    later.add_side_by_side(apart)
    assert later.finite_steps(Ranks()) == [9, 5 + step]
    assert later.steps == 9
