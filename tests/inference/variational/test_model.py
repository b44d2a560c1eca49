"""What cannot be a model: one line each."""

import math

import pytest
import torch

from precisionflow.inference.variational import (
    Categorical,
    Dirichlet,
    Gamma,
    Gaussian,
    GaussianVector,
    Model,
    Shared,
    Wishart,
    categorical,
    infer,
    linear,
    normal,
)
from precisionflow.inference.variational.exact import exact
from precisionflow.inference.variational.staged import infer_staged


class Parts:
    """A variable of each family."""

    def __init__(self):
        self.model = Model()
        latent = self.model.latent
        self.number = latent(Gaussian.of(0.0, 1.0), name="number")
        self.vector = latent(GaussianVector.of([0.0, 0.0], torch.eye(2)), name="vector")
        self.precision = latent(Gamma.of(1.0, 1.0), name="precision")
        self.matrix = latent(Wishart.of(3.0, torch.eye(2)), name="matrix")
        self.weights = latent(Dirichlet.of([1.0, 1.0, 1.0]), name="weights")
        self.state = latent(categorical(self.weights), name="state", plates=(4,))


@pytest.mark.parametrize(
    ("do", "line"),
    [
        (lambda p: normal(p.precision, 1.0), "mean precision is Gamma, which has no conjugate update"),
        (lambda p: normal(p.number, p.number), "precision number is Gaussian, which has no conjugate update"),
        (lambda p: normal(p.vector, p.precision), "no conjugate update; take a Wishart variable"),
        (lambda p: normal(p.number, p.matrix), "no conjugate update; take a Gamma variable"),
        (lambda _: normal(0.0, 1.0), "mean and precision are numbers; take Gaussian.of"),
        (lambda p: normal(p.vector, torch.eye(3)), "mean has 2 numbers, precision 3"),
        (lambda p: normal(0.0, p.matrix), "mean has to be a vector beside a precision of vectors"),
        (lambda p: normal(p.number, 0.0), "normal: precision has to be above 0, given 0"),
        (lambda p: linear((1.0, p.precision)), "precision is Gamma, its terms have to be Gaussian"),
        (lambda p: linear((1.0, p.number), (torch.eye(2), p.vector)), "all numbers or all vectors"),
        (lambda _: linear(), "needs one or more variables"),
        (
            lambda p: linear((1.0, p.number), (2.0, p.number)),
            "a variable stands twice; add its coefficients up",
        ),
        (lambda p: linear((torch.ones(2, 3), p.vector)), r"a matrix with 2 columns, given shape \(2, 3\)"),
        (lambda p: linear((torch.eye(2), p.vector), offset=[1.0]), "parts have 1 and 2 numbers"),
        (lambda p: linear((math.inf, p.number)), "coefficient of number: has NaN or infinite numbers"),
        (
            lambda p: categorical(p.precision),
            "probabilities precision is Gamma, which has no conjugate update",
        ),
        (lambda p: categorical([0.5, 0.5], given=(p.number,)), "given number is Gaussian"),
        (
            lambda p: categorical(torch.full((3, 3, 2), 0.5), given=(p.state, p.state)),
            "a parent stands twice in given",
        ),
        (lambda _: categorical([0.5, 0.6]), "have to sum to 1 over the last axis, given 1.1"),
        (lambda p: categorical([[0.5, 0.5]], given=(p.state,)), r"those of the parents' states, \(3,\)"),
        (lambda p: p.model.latent(Gaussian.of(0.0, 0.0)), "precision has to be above 0, given 0"),
        (
            lambda p: p.model.latent(Gamma.of(1.0, 1.0), name="weights"),
            "'weights' stands in the model already",
        ),
        (
            lambda p: p.model.latent(Gamma.of([1.0, 2.0], 1.0), plates=(3,)),
            r"plates \(2,\) and \(3,\) do not fit one another",
        ),
        (
            lambda p: p.model.latent(Gamma.of(1.0, 1.0), start=Gaussian.of(0.0, 1.0)),
            "start is Gaussian of shape",
        ),
        (
            lambda p: p.model.latent(Gamma.of(1.0, 1.0), start=Gamma.of([1.0, 2.0], 1.0)),
            r"start has plates \(2,\)",
        ),
        (
            lambda p: p.model.observe(normal(p.number, 1.0), [1.0, math.nan], name="y"),
            "y: has NaN or infinite",
        ),
        (
            lambda p: p.model.observe(normal(p.vector, torch.eye(2)), [1.0, 2.0, 3.0]),
            "vectors of 3 numbers, their",
        ),
        (
            lambda p: p.model.observe(normal(p.vector, torch.eye(2)), 1.0),
            r"has shape \(\), needs 2 numbers for each",
        ),
        (
            lambda p: p.model.observe(normal(p.number, 1.0), [], name="y"),
            r"y: has shape \(0,\), needs 1 numbers",
        ),
        (
            lambda p: p.model.observe(categorical(p.weights), torch.zeros(0, dtype=int)),
            "whole numbers from 0 to 2",
        ),
        (
            lambda p: normal(linear(([1.0, 2.0], p.number), offset=[1.0] * 3), 1.0).plates,
            r"linear: plates \(3,\) and \(2,\) and \(\) do not fit one another",
        ),
        (lambda p: p.model.observe(Gamma.of(1.0, 1.0), 1.0), "these data have no conjugate update"),
        (lambda p: p.model.observe(categorical(p.weights), [0, 3]), "whole numbers from 0 to 2"),
        (lambda p: p.model.observe(categorical(p.weights), [0.5]), "whole numbers from 0 to 2"),
        (
            lambda p: p.model.observe(normal(p.model.latent(Gaussian.of([0.0] * 3, 1.0)), 1.0), [1.0, 2.0]),
            r"plates \(2,\) do not take those of its parents, \(3,\)",
        ),
        (
            lambda p: p.model.observe(normal(p.number, 1.0), [1.0] * 4, which=p.weights),
            "which= is weights, Dirichlet; it has to be a Categorical variable",
        ),
        (
            lambda p: p.model.observe(Gaussian.of([0.0, 1.0], 1.0), [1.0] * 4, which=p.state),
            r"which= has 3 states; parents need plates \(3,\), not \(2,\)",
        ),
        (
            lambda p: p.model.observe(Gaussian.of([0.0] * 3, 1.0), [1.0] * 5, which=p.state),
            r"plates \(5,\) are not those of which=, \(4,\)",
        ),
        (lambda p: p.model.observe(normal(p.number, 1.0), None, name="y"), "y: given None; give a number"),
        (
            lambda p: p.model.observe(categorical(p.weights), ["a"], name="y"),
            r"y: given \['a'\]; give a number",
        ),
        (
            lambda p: p.model.latent(Gaussian.of(0.0, 1.0), plates=(0,)),
            r"plates \(0,\) have to be whole numbers",
        ),
        (
            lambda p: p.model.latent(Gaussian.of(0.0, 1.0), plates=(-1,)),
            r"plates \(-1,\) have to be whole numbers",
        ),
        (
            lambda p: p.model.observe(normal(Parts().number, 1.0), [1.0], name="y"),
            "y: is predicted by number of another model; make it in this one",
        ),
        (
            lambda p: p.model.latent(categorical(Parts().weights), plates=(2,), name="z"),
            "z: is predicted by weights of another model",
        ),
        (
            lambda p: p.model.observe(Gaussian.of([0.0] * 3, 1.0), [1.0] * 4, which=Parts().state, name="y"),
            "y: is predicted by state of another model",
        ),
        (lambda p: infer(p.model, tolerance=-1.0), r"tolerance: has to lie in \[0, 1\), given -1"),
        (lambda p: infer(p.model, tolerance=math.nan), r"tolerance: has to lie in \[0, 1\), given nan"),
        (lambda p: exact(p.model), "the model has Categorical, Dirichlet, Gamma"),
        (lambda _: infer(Model()), "infer: the model has no variable; give it one"),
        (lambda p: infer(p.model, iterations=0), "iterations: given 0; give a whole number, 1 or more"),
        (lambda _: exact(Model()), "exact: the model has no variable; give it one"),
        (
            lambda _: categorical(torch.zeros(0, 2)),
            "have to be at least 0, one for each state of one or more",
        ),
        (
            lambda p: p.model.latent(GaussianVector.of(torch.zeros(0), torch.zeros(0, 0))),
            "square matrix of one row or more",
        ),
        (
            lambda p: p.model.latent(Gaussian.of(torch.zeros(0), 1.0)),
            r"plates \(0,\) have to be whole numbers, 1 or more",
        ),
        (lambda p: p.model.latent(p.number.start, plates=("a",)), "have to be whole numbers, 1 or more each"),
        (lambda p: linear((1.0, p.number, 2.0)), "linear: a term has 3 parts; give a coefficient and a"),
        (lambda p: infer(p.model, shared=Shared((), abs)), "shared: has no variable; name those"),
    ],
)
def test_what_cannot_be_is_one_line(do, line):
    with pytest.raises(ValueError, match=line) as raised:
        do(Parts())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("do", "line"),
    [
        (lambda p: p.model.latent(3.0), "latent: given 3.0, which is float; give a family, such as"),
        (lambda p: p.model.observe("x", [0.0], name="y"), "y: given 'x', which is str; give a family"),
        (lambda p: p.model.latent(p.number.start, start=0.5), "start: given 0.5, which is float; give a Gau"),
        (
            lambda p: p.model.latent(p.number.start, plates=3),
            "plates: given 3, which is int; give a tuple of",
        ),
        (
            lambda p: p.model.latent(normal(p.number, 1.0), which=1),
            "which=: given 1, which is int; give a Cat",
        ),
        (
            lambda p: linear(p.number),
            "linear: term: given Variable.*; give a coefficient and a variable, such",
        ),
        (lambda p: linear((p.number, 1.0)), "variable of a term: given 1.0, which is float; give a variable"),
        (
            lambda p: categorical([0.5, 0.5], given=p.state),
            "categorical: given: given Variable.*; give a tuple",
        ),
        (lambda _: exact(3), "exact: given 3, which is int; give a model"),
        (lambda _: infer(3), "infer: given 3, which is int; give a model"),
        (lambda p: infer(p.model, schedule=None), "schedule: given None, which is NoneType; give a function"),
        (lambda p: infer(p.model, step="a"), "step: given 'a', which is str; give a number"),
        (lambda p: infer(p.model, shared=3), "shared: given 3, which is int; give a Shared"),
        (
            lambda p: infer_staged(p.model, [3]),
            "stages: stage: given 3, which is int; give a list of variables",
        ),
    ],
)
def test_what_is_of_another_kind_is_one_line(do, line):
    with pytest.raises(TypeError, match=line) as raised:
        do(Parts())
    assert "\n" not in str(raised.value)


def test_too_many_states_to_enumerate_are_one_line():
    model = Model()
    model.latent(categorical([0.5, 0.5]), plates=(17,))
    with pytest.raises(ValueError, match="131072 joint states are more than the 65536"):
        exact(model)


def test_a_variable_starts_at_what_its_parents_predict():
    parts = Parts()
    on_both = parts.model.latent(normal(linear((2.0, parts.number), offset=3.0), parts.precision))
    assert on_both.start.mean.item() == pytest.approx(3.0)
    assert on_both.start.variance.item() == pytest.approx(1.0)
    given = parts.model.latent(categorical(torch.eye(3), given=(parts.state,)))
    torch.testing.assert_close(given.start.mean.expand(4, 3), torch.full((4, 3), 1 / 3).double())
    assert given.family is Categorical
