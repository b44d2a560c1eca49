"""Stages with stale beliefs: what one process finds in turn, where staleness diverges, and the same over ranks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from precisionflow.inference.variational import (
    Categorical,
    Gaussian,
    Model,
    categorical,
    infer,
    linear,
    normal,
)
from precisionflow.inference.variational.staged import infer_staged, largest_rise
from precisionflow.training.ranks import Ranks
from tests.inference.variational.stages_on_ranks import PERIODS, drawn, main, numbers

PROGRAM = Path(__file__).with_name("stages_on_ranks.py")
COUPLING = 0.9


def coupled() -> Model:
    """Three Gaussians, each of precision 1 and coupled to the others by 0.9."""
    c = COUPLING
    own, between = 1 - c**2, c - c**2
    model, far = Model(), Gaussian.of(1.0, 1.0)
    first = model.latent(Gaussian.of(0.0, own - between**2 / own), start=far)
    second = model.latent(normal(linear((-between / own, first)), own), start=far)
    model.latent(normal(linear((-c, first), (-c, second)), 1.0), start=far)
    return model


def alone(model: Model) -> list[list]:
    return [[variable] for variable in model.variables]


@pytest.mark.parametrize("period", [1, 2, 5])
def test_stages_of_a_chain_end_where_updates_in_turn_end(period: int) -> None:
    stages = drawn()
    one = infer(stages.model, tolerance=1e-13)
    found = infer_staged(stages.model, stages.parts, period=period, step=0.5, tolerance=1e-13)
    assert found.converged
    assert found.elbo == pytest.approx(one.elbo, rel=1e-9)
    np.testing.assert_allclose(numbers(stages, found), numbers(stages, one), rtol=1e-3, atol=1e-3)


def test_stale_beliefs_let_the_free_energy_rise_without_bound() -> None:
    """The largest eigenvalue is 2.8: beliefs that all move at once overshoot from a step of 2 / 2.8 on."""
    model = coupled()
    fresh = infer(model, iterations=20, tolerance=1e-14)
    assert largest_rise(fresh.free_energies) < 1e-12
    stale = infer_staged(model, alone(model), exchanges=20)
    assert largest_rise(stale.free_energies) > 100
    assert not stale.converged
    careful = infer_staged(model, alone(model), step=0.6, exchanges=300)
    assert careful.converged
    assert careful.elbo == pytest.approx(infer(model).elbo, abs=1e-8)


@pytest.mark.parametrize("period", [2, 4])
def test_small_steps_add_up_between_exchanges(period: int) -> None:
    """p steps of s to an optimum that stands still are one of 1 - (1 - s)^p: what was stable alone is not any more."""
    model = coupled()
    several = infer_staged(model, alone(model), period=period, step=0.5, exchanges=12, tolerance=1e-300)
    at_once = infer_staged(model, alone(model), step=1 - 0.5**period, exchanges=12, tolerance=1e-300)
    np.testing.assert_allclose(several.free_energies, at_once.free_energies, rtol=1e-9)
    assert largest_rise(several.free_energies) > 0
    once = infer_staged(model, alone(model), step=0.5, exchanges=12, tolerance=1e-300)
    assert largest_rise(once.free_energies) < 1e-12


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What one process with all stages finds, then what each of two with half of them does."""
    folder = tmp_path_factory.mktemp("stages")
    ranks = [
        subprocess.Popen([sys.executable, str(PROGRAM), str(folder), str(rank), "2"]) for rank in range(2)
    ]
    main(folder, Ranks())
    assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]
    return [json.loads((folder / f"{name}.json").read_text()) for name in ("0_of_1", "0_of_2", "1_of_2")]


@pytest.mark.parametrize("period", [str(period) for period in PERIODS])
def test_stages_on_ranks_believe_what_they_do_in_one_process(found: list[dict], period: str) -> None:
    """To the last bit: a rank computes what the process would for its stages."""
    one, *ranks = (of[period] for of in found)
    assert ranks == [one, one]


def test_a_mixture_that_begins_alike_in_all_stages_is_refused() -> None:
    """Where states start apart, chances and means that are updated at once are apart in turn, and settle."""
    values = torch.tensor([-4.0, -5.0, 4.0, 5.0])
    for start in (None, Categorical.of([[0.9, 0.1]] * 2 + [[0.1, 0.9]] * 2)):
        model = Model()
        means = model.latent(Gaussian.of(torch.zeros(2), 0.1), name="means")
        which = model.latent(categorical([0.5, 0.5]), plates=(4,), start=start)
        model.observe(normal(means, 1.0), values, which=which)
        if start is None:
            with pytest.raises(ValueError, match="all states of which= begin with the same means"):
                infer_staged(model, alone(model), step=0.5)
        else:
            found = infer_staged(model, alone(model), step=0.5)
            torch.testing.assert_close(found[means].mean, infer(model)[means].mean, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"period": 0}, "stages: period: given 0; give a whole number, 1 or more"),
        ({"step": 0.0}, r"step: has to lie in \(0, 1\], given 0"),
        ({"step": 1.5}, "given 1.5"),
        ({"exchanges": 0}, "stages: exchanges: given 0; give"),
        ({"tolerance": -1.0}, r"tolerance: has to lie in \[0, 1\), given -1"),
    ],
)
def test_what_cannot_be_staged_is_refused(given: dict, said: str) -> None:
    model = coupled()
    with pytest.raises(ValueError, match=said):
        infer_staged(model, alone(model), **given)
    with pytest.raises(ValueError, match="stages: have to hold every variable of the model once"):
        infer_staged(model, alone(model)[:2])
