"""Inference over ranks: two that share beliefs find what one process finds, with one sum for each class of updates."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from precisionflow.inference.allocation.budget import whole
from precisionflow.inference.variational import Gamma, Gaussian, Model, Shared, infer, normal
from precisionflow.inference.variational.elbo import free_energy
from precisionflow.inference.variational.updates import start
from precisionflow.training.ranks import Ranks
from tests.inference.variational.on_ranks import BUDGET, TOLERANCE, VALUES, main, utilities

PROGRAM = Path(__file__).with_name("on_ranks.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What one process finds, then what each of two does."""
    folder = tmp_path_factory.mktemp("ranks")
    ranks = [
        subprocess.Popen([sys.executable, str(PROGRAM), str(folder), str(rank), "2"]) for rank in range(2)
    ]
    main(folder, Ranks())
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    return [json.loads((folder / f"{name}.json").read_text()) for name in ("0_of_1", "0_of_2", "1_of_2")]


@pytest.mark.parametrize("model", ["mixture", "groups"])
def test_two_ranks_believe_what_one_process_does(found: list[dict], model: str) -> None:
    alone, *ranks = (of[model] for of in found)
    for rank in ranks:
        np.testing.assert_allclose(rank["free_energies"], alone["free_energies"], rtol=1e-12)
        np.testing.assert_allclose(rank["beliefs"], alone["beliefs"], rtol=1e-10, atol=1e-10)
    assert ranks[0]["beliefs"] == ranks[1]["beliefs"], "to the last bit, so that no rank goes another way"


@pytest.mark.parametrize("model", ["mixture", "groups"])
def test_an_iteration_takes_a_sum_for_each_class_one_for_f_and_one_more_where_that_changes_little(
    found: list[dict], model: str
) -> None:
    rank = found[1][model]
    begun, energies = 3, rank["free_energies"]
    asked = sum(abs(a - b) <= TOLERANCE * (1 + abs(b)) for a, b in pairwise(energies))
    assert rank["sums"] == begun + len(energies) * (rank["classes"] + 1) + asked


def test_tokens_of_two_ranks_are_those_of_one_budget(found: list[dict]) -> None:
    """As many in all, and no token gains more on the other rank."""
    best = utilities().total(whole(utilities(), BUDGET).double())
    ranks = [torch.tensor(of["tokens"]["own"]) for of in found[1:]]
    for tokens in (torch.tensor(found[0]["tokens"]["own"]), torch.cat(ranks, dim=-1)):
        assert tokens.sum(-1).tolist() == [BUDGET, BUDGET]
        torch.testing.assert_close(utilities().total(tokens.double()), best, rtol=1e-14, atol=0)
    assert abs(int(ranks[0].sum()) - 2 * BUDGET * ranks[0].shape[1] / VALUES) > 100, "no share of its own"


def test_mistakes_of_one_rank_are_told_by_all(found: list[dict]) -> None:
    _, first, last = found
    assert last["tokens"]["bad"].startswith("utility: weight: at (0, 0) given -1; ")
    assert first["tokens"]["bad"].startswith("utility: of another rank holds what is no number")
    for rank in (first, last):
        assert rank["started apart"].startswith("shared: shared variables do not start alike on all ranks")


def test_what_is_shared_alone_is_what_is_not_shared() -> None:
    model = Model()
    mean, precision = model.latent(Gaussian.of(0.0, 0.1)), model.latent(Gamma.of(2.0, 1.0))
    model.observe(normal(mean, precision), torch.arange(5.0))
    one = infer(model)
    both = infer(model, shared=Shared((mean, precision), lambda x: x))
    np.testing.assert_allclose(both.free_energies, one.free_energies, rtol=1e-13)


def test_data_of_two_ranks_count_twice_and_priors_once() -> None:
    """A sum that doubles is that of two ranks with the same data."""
    y = torch.arange(5.0)
    once, twice = Model(), Model()
    means = [model.latent(Gaussian.of(1.0, 0.5)) for model in (once, twice)]
    once.observe(normal(means[0], 2.0), y)
    twice.observe(normal(means[1], 2.0), torch.cat([y, y]))
    shared = Shared(means[:1], lambda x: 2 * x)
    found, wanted = infer(once, shared=shared), infer(twice)
    torch.testing.assert_close(found[means[0]].natural, wanted[means[1]].natural)
    assert found.elbo == pytest.approx(wanted.elbo, rel=1e-12)
    assert free_energy(once, start(once), shared).item() == pytest.approx(
        free_energy(twice, start(twice)).item()
    )


def test_what_cannot_be_shared_is_refused() -> None:
    model, other = Model(), Model()
    mean = model.latent(Gaussian.of(0.0, 1.0), name="mean")
    each = model.latent(normal(mean, 1.0), plates=(3,), name="each")
    model.observe(normal(each, 1.0), torch.zeros(3))
    with pytest.raises(
        ValueError, match="shared: each is predicted by mean, which is not shared; share it too"
    ):
        infer(model, shared=Shared((each,), lambda x: x))
    stranger = other.latent(Gaussian.of(0.0, 1.0), name="stranger")
    with pytest.raises(ValueError, match="shared: stranger is no variable of this model"):
        infer(model, shared=Shared((stranger,), lambda x: x))
