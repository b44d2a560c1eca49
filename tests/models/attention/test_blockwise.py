"""Posterior means by blocks against the whole matrix: any block size, every prior, gradients of all that is learned."""

import pytest
import torch
from torch import nn

from precisionflow.models.attention.log_prior import EVERY_EDGE, LogPrior
from precisionflow.models.attention.lowerings import blockwise
from precisionflow.models.attention.lowerings.pointwise import Pointwise
from precisionflow.models.attention.potentials.student_t_isotropic import Logarithm
from precisionflow.models.attention.priors.absolute import Absolute
from precisionflow.models.attention.priors.padding import padding
from precisionflow.models.attention.priors.relative import Relative
from precisionflow.models.attention.priors.window import Window
from precisionflow.models.attention.sites import Sites

BATCH, HEADS, QUERIES, WIDTH = 2, 3, 5, 2
STUDENT = Pointwise(Logarithm())


BLOCKS = [
    (1, 1, 1, 0),
    (2, 2, 20, 0),
    (2, 2, 60, 1000),
    (3, 3, 45, 0),
    (128, 128, 2**19, 1000),
    (4, 1, 8, 1000),
]


@pytest.fixture(params=BLOCKS, ids=str)
def blocks(request, monkeypatch):
    """Most and fewest rows of a block, its entries (one head, some, one sequence, both), how many are kept."""
    most, fewest, entries, kept = request.param
    monkeypatch.setattr(blockwise, "KEPT", kept)
    monkeypatch.setattr(blockwise, "ROWS", most)
    monkeypatch.setattr(blockwise, "FEWEST_ROWS", fewest)
    monkeypatch.setattr(blockwise, "SKIPPING_ROWS", most)
    monkeypatch.setattr(blockwise, "CACHED", entries)


def sides(keys: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    queries = torch.rand(BATCH, HEADS, QUERIES, 1 + WIDTH, generator=generator, dtype=torch.float64) + 0.5
    others = torch.rand(BATCH, HEADS, keys, 2 * WIDTH, generator=generator, dtype=torch.float64) + 1
    return [side.requires_grad_() for side in (queries, *others.split(WIDTH, dim=-1))]


AT = Sites(torch.arange(QUERIES))
HIDDEN = Sites(AT.positions, torch.tensor([[True] * 5, [True] * 3 + [False] * 2]))


def learned(prior: nn.Module) -> nn.Module:
    nn.init.normal_(prior.log_prior, generator=torch.Generator().manual_seed(1))
    return prior.double()


PRIORS = {
    "full": lambda: EVERY_EDGE,
    "causal": lambda: LogPrior(causal=True),
    "window": lambda: Window(before=1, after=1).log(AT, AT),
    "padding": lambda: padding(HIDDEN, HIDDEN),
    "relative": lambda: learned(Relative(heads=HEADS, largest=2)).log(AT, AT) * LogPrior(causal=True),
    "absolute": lambda: learned(Absolute(heads=HEADS, places=4)).log(AT, AT) * padding(AT, HIDDEN),
}


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("prior", PRIORS)
def test_any_blocks_give_the_whole_as_often_as_they_are_asked(prior):
    log_prior, (queries, keys, values) = PRIORS[prior](), sides(QUERIES)
    inputs = [queries, keys, values, *log_prior.learned]
    found = STUDENT.expectation(queries, keys, values, log_prior)
    matrix = log_prior.matrix(QUERIES, QUERIES, device=values.device, dtype=values.dtype)
    expected = (STUDENT.log_potentials(queries, keys) + matrix).softmax(-1) @ values
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    torch.autograd.grad((found * weights).sum(), inputs, retain_graph=True)
    for mine, theirs in zip(
        torch.autograd.grad((found * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("keys", [1, 4])
def test_gradients_are_those_of_finite_differences(monkeypatch, keys):
    monkeypatch.setattr(blockwise, "ROWS", 2)
    few = [side[:1, :2, :4].detach().requires_grad_() for side in sides(keys)]
    assert torch.autograd.gradcheck(lambda *of: STUDENT.expectation(*of, EVERY_EDGE), few)


def test_keys_out_of_reach_are_not_looked_at(monkeypatch):
    monkeypatch.setattr(blockwise, "SKIPPING_ROWS", 2)
    seen = []

    def looking(queries, keys):
        seen.append((queries.shape[1], keys.shape[1]))
        return STUDENT.block(queries, keys)

    blockwise.expectation(looking, *sides(QUERIES), LogPrior(causal=True))
    assert seen == [(2, 2), (2, 4), (1, 5)]


def test_keys_outside_a_window_are_not_looked_at(monkeypatch):
    monkeypatch.setattr(blockwise, "SKIPPING_ROWS", 1)
    seen = []

    def looking(queries, keys):
        seen.append(keys.shape[1])
        return STUDENT.block(queries, keys)

    blockwise.expectation(looking, *sides(QUERIES), Window(before=1, after=0).log(AT, AT))
    assert seen == [1, 2, 2, 2, 2]


def test_the_rows_of_a_block_fit_its_entries(monkeypatch):
    """Two blocks' entries hold the log prior of all heads; fewer rows than the fewest are never taken."""
    monkeypatch.setattr(blockwise, "FEWEST_ROWS", 1)
    rows = []

    def looking(queries, keys):
        rows.append(queries.shape[1])
        return STUDENT.block(queries, keys)

    for entries, expected in ((15, 2), (24, 3), (1, 1), (100, 5)):
        monkeypatch.setattr(blockwise, "CACHED", entries)
        rows.clear()
        blockwise.expectation(looking, *sides(QUERIES), EVERY_EDGE)
        assert rows[0] == expected
