"""BayesPy's milliseconds and evidence lower bounds on data of `benchmarks/variational.py`, which stand on stdin.

{mixture: {values, states}, chain: {transition, noise, values}, gaussian: {values}}
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np
from bayespy.inference import VB
from bayespy.nodes import (
    Categorical,
    Dirichlet,
    Gamma,
    Gaussian,
    GaussianARD,
    GaussianMarkovChain,
    Mixture,
    Wishart,
)


def milliseconds(do: Callable[[], object]) -> float:
    """The least of five, after one that warms up."""
    spent = []
    for _ in range(6):
        begun = time.process_time()
        do()
        spent.append(time.process_time() - begun)
    return 1000 * min(spent[1:])


def mixture(values: list[list[float]], states: int) -> float:
    """One update of every variable, without the lower bound."""
    y = np.array(values)
    count, width = y.shape
    weights = Dirichlet(np.ones(states))
    which = Categorical(weights, plates=(count,))
    means = Gaussian(np.zeros(width), 0.01 * np.identity(width), plates=(states,))
    precisions = Wishart(width, np.identity(width), plates=(states,))
    Mixture(which, Gaussian, means, precisions).observe(y)
    which.initialize_from_random()
    return milliseconds(lambda: [node.update() for node in (weights, means, precisions, which)])


def chain(
    transition: list[list[float]], noise: list[float], values: list[list[float]]
) -> tuple[float, float]:
    """(one smoothing pass, log p of the values in nats); states are seen with precision 1."""
    y = np.array(values)
    width = len(transition)
    states = GaussianMarkovChain(
        np.zeros(width), np.identity(width), np.array(transition), 1 / np.array(noise), n=len(y)
    )
    seen = Gaussian(states, np.identity(width))
    seen.observe(y)
    return milliseconds(states.update), float(VB(states, seen).compute_lowerbound())


def gaussian(values: list[float]) -> float:
    """The bound of values of unknown mean and precision at its maximum, in nats."""
    mean, precision = GaussianARD(0, 1e-3), Gamma(1e-3, 1e-3)
    seen = GaussianARD(mean, precision, plates=(len(values),))
    seen.observe(np.array(values))
    inference = VB(seen, mean, precision)
    inference.update(repeat=200, tol=1e-14, verbose=False)
    return float(inference.compute_lowerbound())


if __name__ == "__main__":
    given = json.load(sys.stdin)
    of_chain, evidence = chain(**given["chain"])
    found = {
        "mixture": mixture(**given["mixture"]),
        "chain": of_chain,
        "bounds": {"chain": evidence, "gaussian": gaussian(**given["gaussian"])},
    }
    print(json.dumps(found))
