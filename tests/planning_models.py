"""Random generative models, and what planning computes written out from its definitions."""

import itertools

import numpy as np

from precisionflow.inference.planning.categorical import log_softmax
from precisionflow.inference.planning.model import DiscreteModel


def random_model(
    seed: int,
    *,
    states: tuple[int, ...] = (3, 2),
    outcomes: tuple[int, ...] = (3, 2),
    controls: tuple[int, ...] = (2, 1),
    learned: bool = False,
    zeros: bool = True,
) -> DiscreteModel:
    """Dirichlet tables, some with zeros; preferences over observations and states."""
    random = np.random.default_rng([seed, 18])

    def tables(size: int, *rest: int) -> np.ndarray:
        drawn = random.gamma(0.5, size=(size, *rest)) + 1e-9
        if zeros and size > 1:
            drawn[0][random.random(rest) < 0.3] = 0
        return drawn / drawn.sum(axis=0)

    counts = [random.gamma(2.0, size=(size, *states)) + 0.05 if learned else None for size in outcomes]
    return DiscreteModel(
        likelihood=[
            tables(size, *states) if count is None else count / count.sum(axis=0)
            for size, count in zip(outcomes, counts, strict=True)
        ],
        transition=[tables(size, size, number) for size, number in zip(states, controls, strict=True)],
        log_preference=[log_softmax(random.normal(size=size)) for size in outcomes],
        prior=[random.dirichlet(np.ones(size)) for size in states],
        counts=counts if learned else (),
        log_state_preference=log_softmax(random.normal(size=states).reshape(-1)).reshape(states),
    )


def random_states(model: DiscreteModel, seed: int) -> np.ndarray:
    """A belief about the joint state with some zeros."""
    random = np.random.default_rng([seed, 19])
    belief = random.gamma(0.5, size=int(np.prod(model.states)))
    belief[random.random(len(belief)) < 0.2] = 0
    belief[0] += 0.01
    return belief / belief.sum()


def joint_likelihood(model: DiscreteModel) -> np.ndarray:
    """p(o | s) of all combinations of outcomes, written out."""
    rows = []
    for outcome in itertools.product(*(range(len(table)) for table in model.likelihood)):
        tables = (table[o].reshape(-1) for table, o in zip(model.likelihood, outcome, strict=True))
        rows.append(np.prod(list(tables), axis=0))
    return np.array(rows)


def mutual_information(likelihood: np.ndarray, states: np.ndarray) -> float:
    """sum_s,o q(s) p(o | s) ln p(o | s) / q(o)."""
    joint = likelihood * states
    product = joint.sum(axis=1, keepdims=True) * states
    used = joint > 0
    return float((joint[used] * np.log(joint[used] / product[used])).sum())
