"""BayesPy's milliseconds on data of `benchmarks/variational.py`: {mixture: {values, states}, chain: {...}} on stdin."""

import json
import sys
import time
from collections.abc import Callable

import numpy as np
from bayespy.nodes import Categorical, Dirichlet, Gaussian, GaussianMarkovChain, Mixture, Wishart


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


def chain(transition: list[list[float]], noise: list[float], values: list[list[float]]) -> float:
    """One smoothing pass; states are seen with precision 1."""
    y = np.array(values)
    width = len(transition)
    states = GaussianMarkovChain(
        np.zeros(width), np.identity(width), np.array(transition), 1 / np.array(noise), n=len(y)
    )
    Gaussian(states, np.identity(width)).observe(y)
    return milliseconds(states.update)


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(json.dumps({"mixture": mixture(**given["mixture"]), "chain": chain(**given["chain"])}))
