"""Variational inference against its bars: chains, mixtures, many patches, and F over 10^5 random models.

CPU time of one thread, the least of 15 repetitions, as other work only adds to it. States and observations of the chain
have two numbers; its error is against Kalman and RTS one step after another. An iteration of the mixture updates
weights, states, means and full precisions. Patches have 20 values of each channel, and a Gaussian mean and a Gamma
precision as said. Iterations are timed without F. Freed memory is kept for what comes next (`keep_freed_memory`), but
for one figure that says so.
`--peer PYTHON` times BayesPy in an environment that has it, on the same data:

    python3 -m venv bayespy && bayespy/bin/pip install bayespy==0.6.6
    python benchmarks/variational.py --peer bayespy/bin/python
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from measured import Measured, arguments, present
from torch import Tensor

from precisionflow.inference.variational import (
    Categorical,
    Dirichlet,
    Gamma,
    Gaussian,
    GaussianVector,
    Model,
    Wishart,
    categorical,
    coloured,
    infer,
    normal,
    sequential,
)
from precisionflow.inference.variational.chains import Chain, Moments, log_evidence, smoothed
from precisionflow.inference.variational.families import Plates
from precisionflow.inference.variational.updates import start, updated
from precisionflow.training.device import keep_freed_memory

sys.path.append(str(Path(__file__).parents[1]))
from tests.random_models import rises

REPETITIONS = 15
CHAINS = {10_000: 25.0, 50_000: 150.0}
VALUES, STATES, WIDTH = 2000, 40, 10
PATCHES, CHANNELS, PLACES, ITERATIONS = 10_000, 13, 20, 10
MANY, MANY_REPETITIONS = 100, 5
LINEAR = 3.0
"""Time of a patch among many over that of one among few, as much as memory alone costs on a busy machine."""
ANYTIME = (1, 3, 10, 30, 100)
"""Iterations of a mixture after which its free energy is told; the last is what the others lack."""
MODELS_AT_ONCE = 100
PEER = Path(__file__).parent / "peers" / "bayespy_models.py"


def milliseconds(do: Callable[[], object], repetitions: int = REPETITIONS) -> float:
    """The least of all repetitions, after one that warms up."""
    do()
    spent = []
    for _ in range(repetitions):
        begun = time.process_time()
        do()
        spent.append(time.process_time() - begun)
    return 1000 * min(spent)


def rotating_chain() -> Chain:
    """A state that turns by 0.1 a step and is seen with noise."""
    angle = torch.tensor(0.1, dtype=torch.float64)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).reshape(2, 2)
    eye = torch.eye(2, dtype=torch.float64)
    return Chain(0.99 * turn, 0.1 * eye, eye, eye, torch.zeros(2), eye)


def one_after_the_other(chain: Chain, y: Tensor) -> Moments:
    """Kalman filter and RTS smoother."""
    f, h, eye = chain.transition, chain.observation, torch.eye(len(chain.mean), dtype=torch.float64)
    means, covariances, ahead = [], [], []
    mean, covariance = chain.mean, chain.covariance
    for row in y:
        ahead.append((mean, covariance))
        gain = covariance @ h.mT @ torch.linalg.inv(h @ covariance @ h.mT + chain.observation_noise)
        mean, covariance = mean + gain @ (row - h @ mean), (eye - gain @ h) @ covariance
        means.append(mean)
        covariances.append(covariance)
        mean, covariance = f @ mean, f @ covariance @ f.mT + chain.noise
    for t in reversed(range(len(y) - 1)):
        m, p = ahead[t + 1]
        gain = covariances[t] @ f.mT @ torch.linalg.inv(p)
        means[t] = means[t] + gain @ (means[t + 1] - m)
        covariances[t] = covariances[t] + gain @ (covariances[t + 1] - p) @ gain.mT
    return Moments(torch.stack(means), torch.stack(covariances))


def chains() -> list[Measured]:
    """Milliseconds of smoothing, and the largest error of means and covariances."""
    results, chain = [], rotating_chain()
    for steps, bar in CHAINS.items():
        y = torch.randn(steps, 2, dtype=torch.float64)
        results.append(
            Measured(f"smoother, {steps} steps", milliseconds(partial(smoothed, chain, y)), "ms", bar)
        )
    y = torch.randn(min(CHAINS), 2, dtype=torch.float64)
    pairs = zip(smoothed(chain, y), one_after_the_other(chain, y), strict=True)
    error = max((a - b).abs().max().item() for a, b in pairs)
    return [*results, Measured(f"smoother, error at {len(y)} steps", error, "1", 1e-10)]


def mixture_data() -> Tensor:
    return 4 * torch.randn(STATES, WIDTH).double()[torch.arange(VALUES) % STATES] + torch.randn(VALUES, WIDTH)


def mixture(values: Tensor) -> Model:
    model, eye = Model(), torch.eye(WIDTH, dtype=torch.float64)
    weights = model.latent(Dirichlet.of(torch.ones(STATES)))
    chosen = torch.randn(VALUES, STATES, dtype=torch.float64).softmax(dim=1)
    which = model.latent(categorical(weights), plates=(VALUES,), start=Categorical.of(chosen))
    begin = GaussianVector.of(values[:STATES], eye)
    means = model.latent(GaussianVector.of(torch.zeros(STATES, WIDTH), 0.01 * eye), start=begin)
    precisions = model.latent(Wishart.of(torch.full((STATES,), float(WIDTH)), eye))
    model.observe(normal(means, precisions), values, which=which)
    return model


def drawn(count: int, places: int = PLACES) -> Tensor:
    """Places of channels of patches."""
    return torch.randn(places, CHANNELS, count, dtype=torch.float64)


def patches(values: Tensor, *, means: Plates, precisions: Plates) -> Model:
    """A Gaussian mean and a Gamma precision of each of these plates."""
    model = Model()
    mean = model.latent(Gaussian.of(0.0, 0.1), plates=means)
    precision = model.latent(Gamma.of(2.0, 1.0), plates=precisions)
    model.observe(normal(mean, precision), values)
    return model


def iterations(model: Model, count: int) -> Callable[[], object]:
    """Passes over all variables, without F."""
    classes, begun = sequential(model), start(model)

    def run() -> object:
        beliefs = begun
        for _ in range(count):
            beliefs = updated(model, beliefs, classes)
        return beliefs

    return run


def never_rising(models: int) -> list[Measured]:
    """Largest rise of F over 1 + |F| of any iteration of any model."""
    worst, tried, seed = 0.0, 0, 0
    while tried < models:
        rise, count = rises(seed, MODELS_AT_ONCE)
        worst, tried, seed = max(worst, rise.item()), tried + count, seed + 1
    return [
        Measured(f"largest rise of F over 1 + |F|, {tried} random models", worst, "1", 1e-10),
        Measured("structures among them", seed, "1"),
    ]


def of_patches() -> list[Measured]:
    """Milliseconds of ten iterations by what has a belief of its own; from here on freed memory is kept."""
    each, patch = (CHANNELS, PATCHES), (PATCHES,)
    few = patches(drawn(PATCHES, places=1), means=each, precisions=each)
    given_back = milliseconds(iterations(few, ITERATIONS))
    keep_freed_memory()
    results = [Measured("mean and precision of each channel, freed memory given back", given_back, "ms")]
    for name, means, precisions, bar in (
        ("mean and precision of each channel", each, each, 5.0),
        ("precision of each channel, mean of the patch", patch, each, 5.0),
        ("mean and precision of the patch", patch, patch, 1.0),
    ):
        spent = milliseconds(
            iterations(patches(drawn(PATCHES), means=means, precisions=precisions), ITERATIONS)
        )
        measure = f"{PATCHES} patches, {CHANNELS} channels, {ITERATIONS} iterations: {name}"
        results.append(Measured(measure, spent, "ms", bar))
    return results


def growing() -> list[Measured]:
    """Time of 10^6 patches over 100 times that of 10^4, and the same of one addition, which only moves memory."""
    results, spent = [], []
    for count, repetitions in ((PATCHES, REPETITIONS), (MANY * PATCHES, MANY_REPETITIONS)):
        one = drawn(count, places=1)
        spent.append(milliseconds(partial(torch.add, one, one), repetitions))
    results.append(Measured("the same of adding as many numbers", spent[1] / (MANY * spent[0]), "1"))
    for name, plates in (("the patch", ()), ("each channel", (CHANNELS,))):
        spent = []
        for count, repetitions in ((PATCHES, REPETITIONS), (MANY * PATCHES, MANY_REPETITIONS)):
            of = (*plates, count)
            model = patches(drawn(count, places=1), means=of, precisions=of)
            spent.append(milliseconds(iterations(model, ITERATIONS), repetitions))
        few, many = spent
        measure = f"{MANY * PATCHES} patches over {MANY} times {PATCHES}: mean and precision of {name}"
        results.append(Measured(measure, many / (MANY * few), "1", LINEAR))
    return results


def anytime(values: Tensor) -> list[Measured]:
    """Nats of a value that the mixture's bound lacks where inference is stopped early."""
    energies = infer(mixture(values), iterations=max(ANYTIME), tolerance=1e-300).free_energies
    last = energies[-1]
    return [
        Measured(
            f"mixture stopped after {of} iterations: nats that the bound lacks",
            (energies[min(of, len(energies)) - 1] - last) / VALUES,
            "nats",
        )
        for of in ANYTIME[:-1]
    ]


def building() -> Measured:
    """CPU time of building a model of 10,000 plates over that of 10, of equally many data."""
    few, many = (
        milliseconds(partial(patches, drawn(n, places=20_000 // n), means=(n,), precisions=(n,)))
        for n in (10, 10_000)
    )
    return Measured("building a model of 10,000 plates over one of 10, equal data", many / few, "1", 2.0)


def of_variables() -> Measured:
    """CPU time of building a chain of 3,200 variables and of one iteration, over eight times that of 400."""

    def run(length: int) -> None:
        model = Model()
        state = model.latent(Gaussian.of(0.0, 1.0))
        for _ in range(length):
            state = model.latent(normal(state, 1.0))
            model.observe(normal(state, 1.0), [1.0])
        infer(model, schedule=coloured, iterations=1)

    few, many = (milliseconds(partial(run, length), 3) for length in (400, 3200))
    return Measured(
        "a chain of 3,200 variables over 8 of 400: building, one iteration", many / (8 * few), "1", 2.0
    )


def main() -> None:
    """Measure everything on one thread."""
    parser = arguments(__doc__)
    parser.add_argument("--peer", type=Path, metavar="PYTHON", help="of an environment that has BayesPy")
    parser.add_argument(
        "--models", type=int, default=100_000, help="random models in which F should not rise"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    results = [*of_patches(), *growing()]
    of_chains, values = chains(), mixture_data()
    of_mixture = milliseconds(iterations(mixture(values), 1))
    results += [
        *of_chains,
        Measured(f"mixture of {VALUES} values, {STATES} states, width {WIDTH}", of_mixture, "ms", 8.0),
    ]
    results += anytime(values)
    results += [building(), of_variables()]
    results += never_rising(given.models)
    if given.peer:
        results += peer(given.peer, values, mixture=of_mixture, chain=of_chains[0].value)
    present(results, given.json)


def peer(python: Path, values: Tensor, *, mixture: float, chain: float) -> list[Measured]:
    """BayesPy's milliseconds on the same data, ours over them, and how far apart the bounds are."""
    of, numbers = rotating_chain(), 3 + 0.5 * torch.randn(1000, dtype=torch.float64)
    seen = torch.randn(min(CHAINS), 2, dtype=torch.float64)
    given = {
        "mixture": {"values": values.tolist(), "states": STATES},
        "chain": {
            "transition": of.transition.tolist(),
            "noise": of.noise.diagonal().tolist(),
            "values": seen.tolist(),
        },
        "gaussian": {"values": numbers.tolist()},
    }
    command = [str(python), str(PEER)]
    done = subprocess.run(command, input=json.dumps(given), stdout=subprocess.PIPE, text=True, check=True)
    theirs, results = json.loads(done.stdout.splitlines()[-1]), []
    for name, ours in (("mixture", mixture), ("chain", chain)):
        results.append(Measured(f"BayesPy, {name}", theirs[name], "ms"))
        results.append(Measured(f"ours over BayesPy's, {name}", ours / theirs[name], "1", 1 / 20))
    model = Model()
    mean, precision = (
        model.latent(Gaussian.of(0.0, 1e-3)),
        model.latent(Gamma.of(1e-3, 1e-3)),
    )
    model.observe(normal(mean, precision), numbers)
    bounds = {
        "chain": float(log_evidence(of, seen)),
        "gaussian": float(infer(model, tolerance=1e-14).elbo),
    }
    for name, ours in bounds.items():
        apart = abs(ours / theirs["bounds"][name] - 1)
        results.append(Measured(f"bound over BayesPy's, {name}: off 1", apart, "1", 1e-8))
    return results


if __name__ == "__main__":
    main()
