"""Whole numbers of the Python interface: what is none is one line, wherever it is given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from precisionflow.inference.allocation.buckets import bucketed
from precisionflow.inference.allocation.budget import Bounds, rounded, water_filling, whole
from precisionflow.inference.allocation.patches import cut
from precisionflow.inference.allocation.planned import Change, planned
from precisionflow.inference.allocation.posterior import exact, levels, potentials, priced
from precisionflow.inference.allocation.refine import refine
from precisionflow.inference.allocation.utility import Utility
from precisionflow.inference.counts import is_count
from precisionflow.inference.planning.belief import observed, predicted
from precisionflow.inference.planning.expected_free_energy import Objective
from precisionflow.inference.planning.policies import Sophisticated
from precisionflow.inference.variational import Gaussian, Model, infer
from precisionflow.inference.variational.staged import infer_staged
from tests.planning_models import random_model

NUMBERS = (
    2.5,
    2.0,
    float("nan"),
    float("inf"),
    True,
    "2",
    None,
    -1,
    [2],
    np.float64(2),
    torch.tensor([1, 2]),
)
AT, BOUNDS = levels(Bounds(4, 28), grain=4), Bounds(4, 28)
UTILITY = Utility(torch.ones(3), torch.ones(3))


def of_model(call: Callable[[Model], Any]) -> Any:
    model = Model()
    model.latent(Gaussian.of(0.0, 1.0), name="x")
    return call(model)


def planner(horizon: Any) -> Any:
    return Sophisticated(random_model(0).joint, Objective(), horizon=horizon)


def actions(given: Any) -> Any:
    joint = random_model(0).joint
    return predicted(joint, joint.prior[None], np.array([given]))


CALLS: dict[str, Callable[[Any], Any]] = {
    "iterations": lambda n: of_model(lambda model: infer(model, iterations=n)),
    "plates": lambda n: of_model(lambda model: model.latent(Gaussian.of(0.0, 1.0), plates=(n,))),
    "period": lambda n: of_model(lambda model: infer_staged(model, [model.variables], period=n)),
    "exchanges": lambda n: of_model(lambda model: infer_staged(model, [model.variables], exchanges=n)),
    "held": lambda n: of_model(lambda model: infer_staged(model, [model.variables], held=[n])),
    "budget of real tokens": lambda n: water_filling(UTILITY, n, BOUNDS),
    "budget": lambda n: whole(UTILITY, n, BOUNDS),
    "budget of a price": lambda n: priced(potentials(UTILITY, AT), n, AT),
    "budget of a posterior": lambda n: exact(potentials(UTILITY, AT), n, AT),
    "budget of a plan": lambda n: planned(potentials(UTILITY, AT)[None, None], AT, n, Change(0.1)),
    "fewest": lambda n: whole(UTILITY, 60, Bounds(n, 28)),
    "most": lambda n: whole(UTILITY, 60, Bounds(4, n)),
    "grain": lambda n: levels(BOUNDS, grain=n),
    "total": lambda n: rounded(torch.ones(3), n),
    "lengths": lambda n: bucketed(torch.tensor([3, 4]), lengths=n),
    "tokens of a micro-batch": lambda n: bucketed(
        torch.tensor([1, 1]), lengths=1, most=[] if n is None else n
    ),
    "rounds": lambda n: refine(
        lambda of: of.double(), (1, 3), budget=60, threshold=1.0, rounds=n, bounds=BOUNDS
    ),
    "edge": lambda n: cut(torch.zeros(1, 3, 4, 4), n),
    "horizon": planner,
    "action": actions,
}


@pytest.mark.parametrize("given", NUMBERS, ids=repr)
@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_what_is_no_whole_number_is_one_line(call: Callable[[Any], Any], given: Any) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*(give|have to be) [^\n]*$"):
        call(given)


@pytest.mark.parametrize("given", [2, np.int64(2), torch.tensor(2)], ids=repr)
def test_whole_numbers_of_numpy_and_torch_count(given: Any) -> None:
    assert is_count(given)
    assert not is_count(given, least=3)
    assert len(of_model(lambda model: infer_staged(model, [model.variables], exchanges=given)).free_energies)


@pytest.mark.parametrize("given", [0.0, 5, -1])
def test_outcomes_that_there_are_not_are_one_line(given: float) -> None:
    model = random_model(0)
    seen = np.array([[given] + [0] * (len(model.likelihood) - 1)])
    with pytest.raises(ValueError, match=rf"observation of modality 0: given {given}; give whole numbers"):
        observed(model, seen)
