"""Choices of settling: all ways reach one point on a convex network, and each does what it says on the way."""

import itertools
from functools import partial

import pytest
import torch
from linear_network import linear_network, squared_error
from torch import nn

from precisionflow.config.learning import (
    Backpropagation,
    FixedPrecision,
    GaussNewton,
    Gradient,
    LaplaceLaw,
    LearnedPrecision,
    Momentum,
    PredictedPrecision,
    PredictiveCoding,
    Secant,
    StudentTLaw,
)
from precisionflow.config.likelihoods import GaussianNLL
from precisionflow.config.networks import MLP
from precisionflow.inference.predictive_coding.descent import descent
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.inference.predictive_coding.settle import Settled, begun, check_stable, settle
from precisionflow.models.likelihoods.objective import density, objective
from precisionflow.models.networks.layered import Layered
from precisionflow.models.networks.mlp import mlp
from precisionflow.training.batches import Batch
from precisionflow.training.rules.learner import learner
from precisionflow.training.rules.predictive_coding import predictive_coding

PRECISION = 3.0
coding = partial(PredictiveCoding, precision=FixedPrecision(value=PRECISION))


@pytest.fixture
def linear():
    """A network of linear maps, a batch, and the errors where its energy is lowest (see test_settle)."""
    model, batch = linear_network(3, 4, 5, 2)
    first, second, out = (layer.weight.detach() for layer in (*model.layers, model.readout))
    residual = batch.inputs @ (out @ second @ first).T - batch.target
    both = torch.cat([out @ second, out], dim=1)
    inverse = torch.linalg.inv(both @ both.T / PRECISION + torch.eye(2, dtype=torch.float64))
    return model, batch, -(residual @ inverse) @ both / PRECISION


def settled(linear, config, **settings):
    model, batch, _ = linear
    clamped = Clamped(model, squared_error, batch.inputs, batch.target)
    made = laws(config, states=model.states)
    return settle(
        clamped, begun(clamped, config, made).start, made, config=config, steps=config.steps, **settings
    )


def changed(config, **fields):
    return PredictiveCoding.model_validate(config.model_dump() | fields)


def lessons(model, batch, config):
    """All lessons on a batch, the weights as they are."""
    rule, carried, taught = predictive_coding(config, states=model.states), None, []
    while not taught or carried is not None:
        taught.append(rule(model, squared_error, batch, carried))
        carried = taught[-1].carried
    return taught


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"settles": "states", "step_size": 0.3, "iterations": 600},
        {"start": "zeros"},
        {"settles": "states", "start": "zeros", "step_size": 0.3, "iterations": 600},
        {"descent": Momentum(share=0.5)},
        {"descent": Secant(), "step_size": 0.9},
        {"settles": "states", "descent": Secant(), "step_size": 0.9, "iterations": 900},
        {"descent": Secant(per="channel"), "step_size": 0.9},
        {"settles": "states", "descent": Secant(per="channel"), "step_size": 0.9, "iterations": 900},
        {"decay": 0.999},
    ],
    ids=str,
)
def test_every_way_settles_to_the_one_minimum(linear, settings):
    found = settled(linear, coding(**{"iterations": 300, "step_size": 0.2} | settings))
    torch.testing.assert_close(torch.cat(found.errors, dim=1), linear[2], rtol=1e-6, atol=1e-7)
    for error, score in found.layers:
        torch.testing.assert_close(score, PRECISION * error)


def test_incremental_lessons_follow_the_errors_to_the_minimum(linear):
    """One lesson for each step, the errors of a lesson those of settling so far; with still weights the same point."""
    model, batch, closed = linear
    taught = lessons(model, batch, coding(settles="incremental", iterations=150, step_size=0.2))
    assert len(taught) == 150
    for steps in (1, 7, 149):
        reference = settled(linear, coding(iterations=steps, step_size=0.2)).errors
        for mine, other in zip(taught[steps - 1].carried.errors, reference, strict=True):
            torch.testing.assert_close(mine, other)
    torch.testing.assert_close(torch.cat(taught[-2].carried.errors, dim=1), closed, rtol=1e-6, atol=1e-7)
    energies = [lesson.energy for lesson in taught]
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(energies))


def test_between_incremental_lessons_the_weights_of_the_network_move(linear):
    model, batch, _ = linear
    rule = predictive_coding(coding(settles="incremental", iterations=3), states=model.states)
    first = rule(model, squared_error, batch, None)
    with torch.no_grad():
        model.readout.weight.mul_(2.0)
    second = rule(model, squared_error, batch, first.carried)
    assert second.energy != pytest.approx(lessons(model, batch, rule.config)[1].energy.item(), rel=1e-3)


def test_a_signal_travels_one_layer_an_iteration_through_states_and_all_through_errors(linear):
    for settles, reached in (("states", [False, True]), ("errors", [True, True])):
        found = settled(linear, coding(settles=settles, iterations=1, step_size=0.1))
        assert [bool(error.any()) for error in found.errors] == reached


def test_the_step_size_decays_from_each_iteration_to_the_next(linear):
    """Two steps of sizes 0.4 and 0.1, by the update's formula."""
    model, batch, _ = linear
    found = settled(linear, coding(iterations=2, step_size=0.4, decay=0.25)).errors
    clamped, errors = Clamped(model, squared_error, batch.inputs, batch.target), None
    for size in (0.4, 0.1):
        passed = clamped.passed(errors)
        gradients = torch.autograd.grad(passed.loss, passed.variables)
        errors = [
            (1 - size) * error - size / PRECISION * gradient
            for error, gradient in zip(passed.errors, gradients, strict=True)
        ]
    for mine, reference in zip(found, errors, strict=True):
        torch.testing.assert_close(mine, reference)


def test_the_step_size_goes_on_decaying_between_incremental_lessons(linear):
    """Step by step from where the one before ended, as the two steps at once."""
    model, batch, _ = linear
    config = coding(iterations=2, step_size=0.4, decay=0.25)
    clamped = Clamped(model, squared_error, batch.inputs, batch.target)
    made = laws(config, states=model.states)
    found = begun(clamped, config, made).start
    for taken in range(2):
        errors = settle(clamped, found, made, config=config, steps=1, taken=taken).errors
        found = clamped.passed(errors)
    for mine, reference in zip(errors, settled(linear, config).errors, strict=True):
        torch.testing.assert_close(mine, reference)


@pytest.mark.parametrize("first", [2.0, -2.0])
def test_an_energy_that_settling_raised_by_half_stops_training(linear, first):
    config = coding(iterations=1)
    one = settled(linear, config)
    energies = Settled(one.layers, [torch.tensor([first])], 1)
    check_stable(energies, torch.tensor(first + 0.99), config=config, targets=1)
    with pytest.raises(ValueError, match="iteration 1 raised the energy"):
        check_stable(energies, torch.tensor(first + 1.01), config=config, targets=1)


def test_layer_and_iteration_are_named_as_the_configuration_counts_them(linear):
    """The layer by its place in the network, the iteration over all lessons on a batch."""
    config = coding(iterations=1)
    (first, *rest), *_ = settled(linear, config)
    layers = [first._replace(error=1e3 * torch.ones_like(first.error)), *rest]
    energies = Settled(layers, [torch.tensor([1.0])], 1)
    places = range(4, 4 + len(layers))
    with pytest.raises(ValueError, match=r"iteration 3 raised .* with the largest errors in layer 4;"):
        check_stable(energies, torch.tensor(9.0), config=config, targets=1, places=places, taken=2)


@pytest.mark.parametrize("first", [0.0, 1e-6, -1e-6, 3.0])
def test_an_energy_near_zero_may_rise_by_half_a_nat_a_target(linear, first):
    """As that of a density may be at any step of a good training; ranks add their targets."""
    config = coding(iterations=1)
    energies = Settled(settled(linear, config).layers, [torch.tensor([first])], 1)
    for targets, total in ((8, torch.clone), (4, lambda x: torch.cat([x[:-1], 2 * x[-1:]]))):
        check_stable(energies, torch.tensor(first + 3.99), config=config, targets=targets, total=total)
        with pytest.raises(ValueError, match="iteration 1 raised the energy"):
            check_stable(energies, torch.tensor(first + 4.01), config=config, targets=targets, total=total)


def test_the_iteration_that_is_named_is_the_one_that_went_beyond_the_bound(linear):
    """Not a rise too small to be seen in what is printed."""
    config = coding(iterations=1)
    met = [torch.tensor([energy]) for energy in (2.0, 2.000001, 2.5)]
    energies = Settled(settled(linear, config).layers, met, 3)
    with pytest.raises(ValueError, match=r"iteration 3 raised the energy from 2.5 to 3.5, with"):
        check_stable(energies, torch.tensor(3.5), config=config, targets=1)


@pytest.mark.parametrize("settles", ["errors", "states"])
@pytest.mark.parametrize("descent", [Gradient(), Momentum(share=0.8), Secant(), Secant(per="channel")])
@pytest.mark.parametrize("asked", ["watched", "tolerance"])
def test_energies_on_the_way_are_those_of_the_values_after_each_step(linear, settles, descent, asked):
    """Momentum takes its gradient elsewhere."""
    model, batch, _ = linear
    config = coding(settles=settles, descent=descent, step_size=0.1, iterations=6)
    made = laws(config, states=model.states)
    clamped = Clamped(model, squared_error, batch.inputs, batch.target)
    stops = (settled(linear, changed(config, iterations=steps)).errors for steps in range(1, 6))
    after = [float(clamped.energy(clamped.passed(errors), made).detach()) for errors in stops]
    if asked == "tolerance":
        seen = settled(linear, changed(config, tolerance=1e-12))
    else:
        seen = settled(linear, config, watched=True)
    assert [float(energy) for energy in seen.energies[1:]] == pytest.approx(after)


def test_the_tolerance_compares_the_energies_that_are_recorded(linear):
    """Of the last two, and of none before."""
    config = coding(descent=Momentum(share=0.8), step_size=0.1, iterations=500, tolerance=1e-3)
    energies = [float(energy) for energy in settled(linear, config).energies]
    changes = [abs(before - after) / before for before, after in itertools.pairwise(energies)]
    assert changes[-1] <= 1e-3 < min(changes[:-1])


def test_momentum_and_secant_are_ahead_of_plain_gradients_where_steps_have_to_be_small(linear):
    """Readout four times as steep: curvatures of the loss many times that of the law."""
    with torch.no_grad():
        linear[0].readout.weight.mul_(4.0)
    plain, momentum, secant = (
        settled(linear, coding(iterations=12, step_size=size, **settings)).energies[-1]
        for size, settings in (
            (0.02, {}),
            (0.02, {"descent": Momentum(share=0.7)}),
            (0.9, {"descent": Secant()}),
        )
    )
    assert momentum < plain
    assert secant < plain


def test_a_step_size_beyond_stability_ends_in_one_line_that_names_what_to_lower(linear):
    model, batch, _ = linear
    with pytest.raises(
        ValueError,
        match=r"^learning.step_size: given 30; iteration 1 raised the energy from [\d.]+ to [\d.e+]+, with the largest "
        r"errors in layer \d; lower learning.step_size",
    ):
        lessons(model, batch, coding(iterations=4, step_size=30.0))
    assert lessons(model, batch, coding(iterations=4, step_size=0.3))


def test_a_precision_may_grow_from_layer_to_layer():
    made = laws(coding(precision=FixedPrecision(value=8.0, growth=0.5)), states=[(2,), (3,), (4,)])
    state = torch.zeros(1)
    assert [law.precision(state).item() for law in made.layers] == [8.0, 4.0, 2.0]


@pytest.fixture
def rows():
    torch.manual_seed(0)
    model = mlp(MLP(hidden=(6, 5, 4)), features=3, heads=density(GaussianNLL()).heads).double()
    batch = Batch(torch.randn(9, 3, dtype=torch.float64), torch.randn(9, dtype=torch.float64))
    return model, batch, objective(GaussianNLL())


def gradients(model, batch, minimised, learning):
    lesson = learner(model, minimised, learning)(batch)
    return torch.autograd.grad(lesson.surrogate, list(model.parameters())), lesson


def test_with_no_layer_by_predictive_coding_learning_is_bitwise_backprop(rows):
    mine, lesson = gradients(*rows, coding(layers=()))
    reference, plain = gradients(*rows, Backpropagation())
    assert all(torch.equal(one, other) for one, other in zip(mine, reference, strict=True))
    assert torch.equal(lesson.loss, plain.loss)


def test_layers_without_an_error_learn_by_backprop_from_the_next_error_above(rows):
    """An error on the middle layer alone: at the settled point the whole network learns the energy's gradient.

    It is what a network learns whose first two layers are one.
    """
    model, batch, minimised = rows
    config = coding(layers=(1,), iterations=200, step_size=0.2)
    mine, _ = gradients(model, batch, minimised, config)
    layers = list(model.layers)
    joined = Layered(
        [nn.Sequential(*layers[:2])], nn.Sequential(layers[2], model.readout), states=[model.states[1]]
    )
    reference, _ = gradients(joined, batch, minimised, config.model_copy(update={"layers": None}))
    for one, other in zip(mine, reference, strict=True):
        torch.testing.assert_close(one, other)
    whole, _ = gradients(model, batch, minimised, config.model_copy(update={"gradient": "energy"}))
    for one, other in zip(mine, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)
    every, _ = gradients(model, batch, minimised, config.model_copy(update={"layers": None}))
    assert not torch.allclose(mine[0], every[0], rtol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"settles": "states", "law": LaplaceLaw()}, "laplace has no slope at 0"),
        ({"settles": "states", "descent": GaussNewton()}, "gauss_newton steps on errors"),
        ({"settles": "incremental", "tolerance": 1e-3}, "leave learning.tolerance at 0"),
        ({"settles": "incremental", "descent": Momentum()}, "learning.descent.kind at gradient"),
        ({"settles": "incremental", "iterations": 1, "gradient": "energy"}, "takes no step; take 2"),
        ({"layers": (1, 1)}, "names a layer twice"),
        (
            {"layers": (), "pathway": "top_down"},
            "top_down cuts above an error, and with .* there is none; name l",
        ),
        (
            {"layers": (), "pathway": "bottom_up"},
            "bottom_up cuts above an error, and with .* there is none; name",
        ),
    ],
    ids=str,
)
def test_choices_that_do_not_go_together_are_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message):
        coding(**settings)


def test_a_layer_that_does_not_exist_is_refused_in_one_line(rows):
    with pytest.raises(
        ValueError, match=r"^learning.layers: there is no layer 3; the network has 3, 0 to 2$"
    ):
        learner(rows[0], rows[2], coding(layers=(0, 3)))


@pytest.mark.parametrize(("curvature", "found"), [(0.25, 0.25), (40.0, 40.0), (-3.0, 0.0)])
def test_the_secant_of_a_quadratic_is_its_curvature_where_that_is_positive(curvature, found):
    down, at = descent(Secant()), [torch.tensor([1.0, -2.0]), torch.tensor([0.5])]
    moved = [at[0] + torch.tensor([0.3, 0.1]), at[1]]
    assert [float(of) for of in down.curvatures(at, [curvature * x for x in at])] == [0.0, 0.0]
    second = down.curvatures(moved, [curvature * x for x in moved])
    assert [float(of) for of in second] == pytest.approx([found, 0.0]), "what does not move tells nothing"


STEEP = torch.tensor([0.25, 40.0, 3.0], dtype=torch.float64)
"""Curvature of the loss in each of three channels."""


@pytest.mark.parametrize("rows", [(1,), (5,), (2, 4)], ids=["one row", "rows", "rows and places"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_secant_of_a_channel_is_its_own_curvature_at_every_scale(rows, scale, dtype):
    """Moves of a state: what is rounded off them is in units of the move."""
    torch.manual_seed(0)
    down, at = descent(Secant(per="channel")), scale * torch.randn(*rows, 3).to(dtype)
    down.curvatures([torch.zeros_like(at)], [torch.zeros_like(at)])
    (found,) = down.curvatures([at], [at.double().mul(STEEP).to(dtype)])
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    of_type = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 4e-3}
    torch.testing.assert_close(found.double(), STEEP, rtol=of_type[dtype], atol=0)


def test_a_channel_that_tells_no_curvature_has_its_layers():
    """One stood still, in one the loss falls ever steeper; a layer of which nothing moved, or all falls so, has 0."""
    move = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 2.0]])
    change = torch.tensor([[6.0, 5.0, -1.0], [8.0, 5.0, -2.0]])
    down, zeros = descent(Secant(per="channel")), [torch.zeros_like(move)] * 3
    down.curvatures(zeros, zeros)
    mixed, still, falling = down.curvatures([move, zeros[0], move], [change, change, -move])
    whole = (move * change).sum() / move.square().sum()
    torch.testing.assert_close(mixed, torch.stack([torch.tensor(7.0), whole, whole]))
    assert not still.any()
    assert not falling.any()


def test_with_a_curvature_of_each_channel_a_diagonal_network_settles_in_one_step_after_the_first():
    """Newton's step: dLoss/de_c = w_c (w_c e_c + r_c), lowest at e_c = -w_c r_c / (p + w_c^2); not so by layer."""
    model, batch = linear_network(3, 3, 3)
    with torch.no_grad():
        for of, weights in ((model.layers[0], (1.0, 0.5, 2.0)), (model.readout, (0.1, -3.0, 20.0))):
            of.weight.copy_(torch.diag(torch.tensor(weights)))
    steep = model.readout.weight.detach().diagonal()
    residual = model(batch.inputs).detach() - batch.target
    closed = -steep * residual / (PRECISION + steep.square())
    config = coding(descent=Secant(per="channel"), step_size=1.0, iterations=1)
    first = settled((model, batch, None), config).errors[0]
    assert (first - closed).abs().max() > 1, "the first step has no curvature of the loss yet"
    second = changed(config, iterations=2)
    torch.testing.assert_close(settled((model, batch, None), second).errors[0], closed)
    by_layer = settled((model, batch, None), changed(second, descent=Secant())).errors[0]
    assert (by_layer - closed).abs().max() > 0.1


@pytest.mark.parametrize("per", ["layer", "channel"])
def test_shares_of_a_batch_have_the_secant_of_the_whole(per):
    """Each rank hands its two products to `total`, which adds those of the others."""
    torch.manual_seed(0)
    points, gradients = (torch.randn(2, 6, 3, dtype=torch.float64).abs() for _ in range(2))
    points, gradients = points.cumsum(dim=0), gradients.cumsum(dim=0)

    def found(total, rows):
        down = descent(Secant(per=per), total=total)
        return [down.curvatures([x[rows]], [g[rows]]) for x, g in zip(points, gradients, strict=True)][-1]

    halves, handed = (slice(0, 2), slice(2, 6)), []
    for rows in halves:
        found(lambda mine: handed.append(mine) or mine, rows)
    (whole,) = found(torch.clone, slice(0, 6))
    for rows in halves:
        torch.testing.assert_close(found(lambda _: sum(handed), rows), [whole])
        assert not torch.allclose(found(torch.clone, rows)[0], whole)


LEARNED = LearnedPrecision(initial=PRECISION, per="channel", lowest=0.1, highest=100.0)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"law": StudentTLaw(), "precision": LEARNED},
        {"precision": PredictedPrecision(initial=PRECISION, lowest=0.1, highest=100.0)},
        {"gradient": "energy", "precision": LEARNED},
        {"settles": "states", "descent": Momentum(share=0.5)},
        {"descent": Secant()},
        {"descent": Secant(per="channel"), "settles": "states"},
        {"settles": "incremental", "precision": LEARNED},
        {"start": "amortised"},
    ],
    ids=str,
)
def test_a_row_of_weight_three_teaches_what_three_copies_of_it_teach(settings):
    """And one of weight 0 nothing: weights, precisions and the guess of errors, at every lesson."""
    model, batch = linear_network(3, 4, 5, 2)
    config = coding(**{"iterations": 3, "step_size": 0.3} | settings)
    one, other, left = (batch.inputs[:1], batch.target[:1]), (batch.inputs[1:2], batch.target[1:2]), 2
    weighed = Batch(
        batch.inputs[: left + 1], batch.target[: left + 1], importance=torch.tensor([3.0, 1.0, 0.0])
    )
    copied = Batch(*(torch.cat([a, a, a, b]) for a, b in zip(one, other, strict=True)))
    torch.manual_seed(1)
    rule = predictive_coding(config, states=model.states).double()
    for parameter in rule.parameters():
        parameter.data = 0.1 * torch.randn_like(parameter)
    learning = [*model.parameters(), *rule.parameters()]
    found = []
    for given in (weighed, copied):
        carried, taught = None, []
        while not taught or carried is not None:
            lesson = rule(model, lambda output, target: (output - target).square() / 2, given, carried)
            gradients = torch.autograd.grad(lesson.surrogate, learning, materialize_grads=True)
            taught.append([given.counted * of for of in (lesson.energy, lesson.loss, *gradients)])
            carried = lesson.carried
        found.append(taught)
    for mine, expected in zip(*found, strict=True):
        for of, wanted in zip(mine, expected, strict=True):
            torch.testing.assert_close(of, wanted, rtol=1e-9, atol=1e-12)
    assert all(of.abs().max() > 1e-6 for of in found[0][0])
