"""Random conjugate models, many of one structure at once: the last plate tells them apart."""

import torch
from torch import Generator, Tensor

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
    linear,
    normal,
    sequential,
)
from precisionflow.inference.variational.factors import Beliefs, Variable
from precisionflow.inference.variational.families import Plates
from precisionflow.inference.variational.schedules import Classes
from precisionflow.inference.variational.updates import start, updated

WIDTH = 2


class Draw:
    """Random numbers of a seed, for `count` models."""

    def __init__(self, seed: int, count: int) -> None:
        self.count = count
        self.of = Generator().manual_seed(seed)

    def whole(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.of))

    def normal(self, *shape: int) -> Tensor:
        """Of mean 0 and a variance from 1/4 to 4."""
        size = 2 ** float(torch.rand((), generator=self.of) * 2 - 1)
        return size * torch.randn(*shape, generator=self.of, dtype=torch.float64)

    def positive(self, *shape: int) -> Tensor:
        """Log-normal."""
        return self.normal(*shape).exp()

    def matrix(self, *plates: int) -> Tensor:
        """Symmetric and positive definite."""
        root = self.normal(*plates, WIDTH, WIDTH)
        return root @ root.mT + 0.1 * torch.eye(WIDTH, dtype=torch.float64)


def numbers_model(draw: Draw) -> Model:
    """Gaussian numbers, each on those before; precisions known or Gamma, some shared; data on the last."""
    model, plates, before = Model(), (draw.count,), []
    shared = model.latent(Gamma.of(1 + draw.positive(draw.count), draw.positive(draw.count)))
    for _ in range(draw.whole(1, 4)):
        precision = [draw.positive(draw.count), shared][draw.whole(0, 1)]
        if before and draw.whole(0, 3):
            terms = [(draw.normal(draw.count), x) for x in before]
            given = normal(linear(*terms, offset=draw.normal(draw.count)), precision)
        else:
            given = Gaussian.of(draw.normal(draw.count), draw.positive(draw.count))
        before.append(model.latent(given, start=Gaussian.of(draw.normal(*plates), draw.positive(*plates))))
    model.observe(normal(before[-1], shared), draw.normal(draw.whole(1, 5), draw.count))
    model.observe(normal(before[0], draw.positive(draw.count)), draw.normal(2, draw.count))
    return model


def vectors_model(draw: Draw) -> Model:
    """Gaussian vectors, each on those before, with a Wishart precision; data on the last."""
    model, before = Model(), []
    start = Wishart.of(WIDTH + draw.positive(draw.count), draw.matrix(draw.count))
    shared = model.latent(Wishart.of(WIDTH + 1.0, draw.matrix(draw.count)), start=start)
    for _ in range(draw.whole(1, 3)):
        precision = [draw.matrix(draw.count), shared][draw.whole(0, 1)]
        terms = [(draw.normal(draw.count, WIDTH, WIDTH), x) for x in before]
        prior = GaussianVector.of(draw.normal(draw.count, WIDTH), draw.matrix(draw.count))
        before.append(model.latent(normal(linear(*terms), precision) if before else prior))
    model.observe(normal(before[-1], shared), draw.normal(draw.whole(1, 5), draw.count, WIDTH))
    return model


def states_model(draw: Draw) -> Model:
    """Categoricals: one with Dirichlet probabilities, one given it, states of both in tables of observed ones."""
    model, states = Model(), draw.whole(2, 4)

    def table(*shape: int) -> Tensor:
        return draw.normal(*shape).softmax(dim=-1)

    weights = model.latent(Dirichlet.of(draw.positive(draw.count, states)))
    first = model.latent(
        categorical(weights), plates=(3, draw.count), start=Categorical.of(table(3, draw.count, states))
    )
    second = model.latent(categorical(table(draw.count, states, 3), given=(first,)))
    both = categorical(table(draw.count, states, 3, 2), given=(first, second))
    model.observe(both, torch.randint(0, 2, (3, draw.count), generator=draw.of))
    return model


def mixture_model(draw: Draw) -> Model:
    """One mixture, of numbers or of vectors, which are seen, or of which data are linear functions."""
    model, states, count = Model(), draw.whole(2, 4), draw.whole(3, 12)
    rows = model.latent(Dirichlet.of(draw.positive(2, states)))
    group = model.latent(categorical([0.4, 0.6]), plates=(count,))
    which = model.latent(
        categorical(rows, given=(group,)), start=Categorical.of(draw.normal(count, states).softmax(dim=-1))
    )
    if draw.whole(0, 1):
        means = model.latent(Gaussian.of(draw.normal(states), draw.positive(states)))
        precisions = model.latent(Gamma.of(draw.positive(states), draw.positive(states)))
        model.observe(normal(means, precisions), draw.normal(count), which=which)
    elif draw.whole(0, 1):
        vectors = model.latent(GaussianVector.of(draw.normal(states, WIDTH), draw.matrix(states)))
        matrices = model.latent(Wishart.of(WIDTH + draw.positive(states), draw.matrix(states)))
        hidden = model.latent(normal(vectors, matrices), which=which)
        model.observe(
            normal(linear((draw.normal(3, WIDTH), hidden)), torch.eye(3).double()), draw.normal(count, 3)
        )
    else:
        vectors = model.latent(GaussianVector.of(draw.normal(states, WIDTH), draw.matrix(states)))
        matrices = model.latent(Wishart.of(WIDTH + draw.positive(states), draw.matrix(states)))
        model.observe(normal(vectors, matrices), draw.normal(count, WIDTH), which=which)
    return model


KINDS = (numbers_model, vectors_model, states_model, mixture_model)


def rises(seed: int, count: int, *, iterations: int = 8) -> tuple[Tensor, int]:
    """Largest rise of F over 1 + |F| of random models, and how many there were: the kind follows from the seed.

    The schedule and the size of the steps are drawn too.
    """
    draw = Draw(seed, count)
    kind = KINDS[seed % len(KINDS)]
    model = kind(draw)
    models = 1 if kind is mixture_model else count
    classes: Classes = [sequential, coloured][draw.whole(0, 1)](model)
    step = [1.0, float(torch.rand((), generator=draw.of).clamp(min=0.01))][draw.whole(0, 1)]
    beliefs, energies = start(model), []
    for _ in range(iterations):
        energies.append(free_energies(model, beliefs, models))
        beliefs = updated(model, beliefs, classes, step=step)
    energies.append(free_energies(model, beliefs, models))
    f = torch.stack(energies)
    return ((f[1:] - f[:-1]) / (1 + f[1:].abs())).max(), models


def free_energies(model: Model, beliefs: Beliefs, models: int) -> Tensor:
    """F of each model."""

    def each(values: Tensor, plates: Plates) -> Tensor:
        return values.expand(plates).reshape(-1, models).sum(dim=0)

    energy = sum(each(factor.energy(beliefs), factor.plates) for factor in model.factors)
    variables: list[Variable] = model.variables
    return energy - sum(each(beliefs[x].entropy(), x.plates) for x in variables)
