"""Pathways against closed forms of linear networks; backprop where nothing goes up."""

from functools import partial

import pytest
import torch
from linear_network import linear_network, squared_error
from torch import nn

from precisionflow.config.layers import layers_with_errors
from precisionflow.config.learning import FixedPrecision, PredictiveCoding
from precisionflow.config.networks import Transformer
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.inference.predictive_coding.pathways import pathways
from precisionflow.inference.predictive_coding.settle import begun, settle
from precisionflow.models.likelihoods.categorical import cross_entropy
from precisionflow.models.networks.layered import Layered
from precisionflow.models.networks.transformer import TokenReadout, transformer
from precisionflow.training.batches import Batch
from precisionflow.training.rules.predictive_coding import predictive_coding

PRECISION = 3.0
coding = partial(PredictiveCoding, precision=FixedPrecision(value=PRECISION), step_size=0.2, iterations=200)
one = torch.eye(2, dtype=torch.float64)


@pytest.fixture
def linear():
    """s0 = A x + e0, s1 = B s0 + e1, output C s1; a batch."""
    return linear_network(3, 4, 5, 2)


def settled(linear, config):
    model, batch = linear
    clamped = Clamped(
        model, squared_error, batch.inputs, batch.target, pathways=pathways(config, range(len(model.states)))
    )
    made = laws(config, states=model.states)
    return settle(clamped, begun(clamped, config, made).start, made, config=config, steps=config.steps).errors


def closed_form(linear, pathway, cut_above):
    """The errors where the gradients that are left vanish; r is the residual of the plain forward pass.

    With M the map from the errors that the readout sees to the output, the residual there is (M M^T / p + 1)^-1 r.
    """
    model, batch = linear
    first, second, out = (layer.weight.detach() for layer in (*model.layers, model.readout))
    r = batch.inputs @ (out @ second @ first).T - batch.target
    through_both = out @ second
    match pathway, cut_above:
        case "bottom_up", _:
            after = r @ torch.linalg.inv(out @ out.T / PRECISION + one)
            return [torch.zeros(6, 4, dtype=torch.float64), -after @ out / PRECISION]
        case "top_down", (0,):
            after = r @ torch.linalg.inv(out @ out.T / PRECISION + one)
        case "top_down", (1,):
            after = r @ torch.linalg.inv(through_both @ through_both.T / PRECISION + one)
        case "top_down", _:
            after = r
    return [-after @ through_both / PRECISION, -after @ out / PRECISION]


@pytest.mark.parametrize("settles", ["errors", "states"])
@pytest.mark.parametrize("start", ["forward", "zeros"])
@pytest.mark.parametrize(
    ("pathway", "cut_above"),
    [("bottom_up", None), ("bottom_up", (0,)), ("top_down", (0,)), ("top_down", (1,)), ("top_down", None)],
)
def test_a_linear_network_settles_to_the_closed_form_of_what_is_left(
    linear, pathway, cut_above, settles, start
):
    config = coding(pathway=pathway, cut_above=cut_above, settles=settles, start=start, iterations=600)
    for found, expected in zip(settled(linear, config), closed_form(linear, pathway, cut_above), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def taught(model, losses, batch, config):
    lesson = predictive_coding(config, states=model.states)(model, losses, batch)
    weights = list(model.parameters())
    mine = torch.autograd.grad(lesson.surrogate, weights, allow_unused=True, materialize_grads=True)
    return dict(zip(model.state_dict(), mine, strict=True)), lesson


@pytest.mark.parametrize("gradient", ["local", "energy"])
@pytest.mark.parametrize("precision", [0.1, 10.0])
def test_where_nothing_goes_up_learning_is_backprop_at_every_precision(gradient, precision):
    """The errors settle to -dLoss/ds_i / precision of the forward pass, by (1 - (1 - step)^n) of it in n steps."""
    torch.manual_seed(0)
    config = Transformer(blocks=2, heads=2, width=8, zero_projections=False)
    readout = partial(TokenReadout, classes=7)
    model = transformer(config, vocabulary=7, context=6, readout=readout).double()
    windows = torch.randint(0, 7, (3, 7))
    batch = Batch(windows[:, :-1], windows[:, 1:])
    loss = cross_entropy(model(batch.inputs), batch.target).mean()
    backprop = dict(zip(model.state_dict(), torch.autograd.grad(loss, list(model.parameters())), strict=True))
    learning = coding(
        pathway="top_down",
        precision=FixedPrecision(value=precision),
        gradient=gradient,
        iterations=3,
        step_size=0.5,
    )
    mine, lesson = taught(model, cross_entropy, batch, learning)
    for name, reference in backprop.items():
        share = 1 - 0.5**3 if gradient == "local" and name.startswith("layers") else 1.0
        torch.testing.assert_close(mine[name], share * reference, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(lesson.loss, loss.detach())


def test_both_ways_do_not_learn_so_at_that_precision(linear):
    """The test above could not pass without its cut."""
    model, batch = linear
    mine, _ = taught(model, squared_error, batch, coding(precision=FixedPrecision(value=0.5)))
    cut, _ = taught(
        model, squared_error, batch, coding(precision=FixedPrecision(value=0.5), pathway="top_down")
    )
    assert torch.cosine_similarity(*(of["layers.1.weight"].flatten() for of in (mine, cut)), dim=0) < 0.99


def test_where_nothing_comes_down_the_last_layer_and_the_readout_learn_alone(linear):
    model, batch = linear
    mine, _ = taught(model, squared_error, batch, coding(pathway="bottom_up"))
    assert not mine["layers.0.weight"].any()
    assert mine["layers.1.weight"].abs().max() > 0.01
    joined = Layered([nn.Sequential(*model.layers)], model.readout, states=[(5,)])
    alone, _ = taught(joined, squared_error, batch, coding())
    torch.testing.assert_close(mine["layers.1.weight"], alone["layers.0.1.weight"])
    torch.testing.assert_close(mine["readout.weight"], alone["readout.weight"])


def test_a_cut_above_a_hybrid_layer_is_counted_from_the_inputs(linear):
    """An error on the second layer alone, nothing goes up: backprop below and above it."""
    model, batch = linear
    config = coding(layers=(1,), pathway="top_down", cut_above=(1,))
    mine, _ = taught(model, squared_error, batch, config)
    loss = squared_error(model(batch.inputs), batch.target).sum() / batch.target.numel()
    reference = torch.autograd.grad(loss, list(model.parameters()))
    for found, expected in zip(mine.values(), reference, strict=True):
        torch.testing.assert_close(found, expected)


def test_errors_that_no_loss_sees_may_raise_the_energy(linear):
    """It is no energy that they descend: -log p(e) rises to g^2 / 2 precision, and the loss stays."""
    model, batch = linear
    _, lesson = taught(
        model, squared_error, batch, coding(pathway="top_down", precision=FixedPrecision(value=0.1))
    )
    assert lesson.energy > 3 * lesson.loss


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"pathway": "top_down", "cut_above": (2,)},
            "cut_above: layer 2 has no error; layers with one: 0, 1$",
        ),
        ({"pathway": "bottom_up", "cut_above": (0, 1)}, "cut_above: bottom_up above layer 1, the last one"),
        (
            {"pathway": "top_down", "cut_above": (0,), "layers": (1,)},
            "layer 0 has no error; layers with one: 1$",
        ),
    ],
)
def test_a_cut_that_fits_no_layer_is_refused_in_one_line(settings, message):
    config = coding(**settings)
    with pytest.raises(ValueError, match=message):
        pathways(config, layers_with_errors(config, count=2))


def test_a_cut_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"learning.cut_above: learning.pathway bidirectional cuts nothing"):
        coding(cut_above=(0,))
    assert pathways(coding(), range(3)) is None
