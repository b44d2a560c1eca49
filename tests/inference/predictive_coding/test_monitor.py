"""What is seen of settled errors, against sums by hand; the gradient beside backprop's."""

import math

import pytest
import torch
from linear_network import linear_network, squared_error
from torch import nn

from precisionflow.config.learning import (
    FixedPrecision,
    LearnedPrecision,
    PredictedPrecision,
    PredictiveCoding,
)
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.inference.predictive_coding.monitor import _by_place, seen
from precisionflow.inference.predictive_coding.settle import settle
from precisionflow.models.networks.layered import Layered
from precisionflow.training.batches import Batch
from precisionflow.training.rules.monitored import geometric_mean, root_mean_square
from precisionflow.training.rules.predictive_coding import predictive_coding as rule


class Tokens(Layered):
    """Two layers of two channels at four places at most, and a readout of each place."""

    def __init__(self):
        super().__init__(
            [nn.Linear(3, 2), nn.Sequential(nn.Linear(2, 2), nn.Tanh())], nn.Linear(2, 1), states=2 * [(4, 2)]
        )


@pytest.fixture
def tokens():
    """Three samples of three places, of which some are padding."""
    torch.manual_seed(0)
    mask = torch.tensor([[True, True, False], [True, False, False], [True, True, False]])
    inputs, target = torch.randn(3, 3, 3, dtype=torch.float64), torch.randn(3, 3, 1, dtype=torch.float64)
    return Tokens().double(), Batch(inputs, target, mask, counts=mask.double())


def settled(model, batch, config):
    clamped = Clamped(model, squared_error, batch.inputs, batch.target, batch.mask, batch.factors)
    made = laws(config, states=model.states).double()
    return clamped, settle(clamped, clamped.passed(), made, config=config, steps=config.steps), made


def test_norms_and_precisions_are_those_of_the_places_that_are_there(tokens):
    model, batch = tokens
    config = PredictiveCoding(precision=PredictedPrecision(initial=8.0), iterations=4, step_size=0.3)
    clamped, found, made = settled(model, batch, config)
    with torch.no_grad():
        made[1].precision.weight += 0.7 * torch.randn_like(made[1].precision.weight)
    shown = seen(clamped, found, made, states=model.states)
    predictions = clamped.passed(found.errors).predictions
    for layer, (error, prediction) in enumerate(zip(found.errors, predictions, strict=True)):
        norms = [
            math.sqrt(sum(float(error[n, place].square().sum()) for n in there) / len(there))
            for place, there in ((0, (0, 1, 2)), (1, (0, 2)))
        ]
        assert shown.norms[layer].tolist() == pytest.approx(norms), "place 2 is padding, place 3 nowhere"
        stated = made[layer].precision(prediction)[..., 0]
        means = [geometric_mean(stated[:, 0].tolist()), geometric_mean(stated[[0, 2], 1].tolist())]
        assert shown.precisions[layer].tolist() == pytest.approx(means)
    assert shown.precisions[1][0] != pytest.approx(8.0, rel=1e-2)


def test_a_row_of_weight_three_is_told_as_three_copies(tokens):
    """A row of no weight is told nowhere."""
    model, batch = tokens
    config = PredictiveCoding(precision=PredictedPrecision(initial=8.0), iterations=3, step_size=0.2)
    made = rule(config, states=model.states).double()
    with torch.no_grad():
        made.laws[1].precision.weight += 0.7 * torch.randn_like(made.laws[1].precision.weight)

    def told(rows: list[int], importance: list[float] | None) -> list[list[list[float]]]:
        mask = batch.mask[rows]
        weights = None if importance is None else torch.tensor(importance, dtype=torch.float64)
        given = Batch(
            batch.inputs[rows], batch.target[rows, :, 0], mask, counts=mask.double(), importance=weights
        )
        losses = lambda output, target: 0.5 * (output[..., 0] - target).square()  # noqa: E731
        record = made.monitored(model, losses, given, step=0)
        counted = mask.sum().item()
        return [
            [
                [counted * each for each in row.energy + row.quadratic_energy],
                row.error_norm + row.precision,
                [row.pit_error, row.coverage_50, row.coverage_90, row.coverage_95, row.dispersion],
            ]
            for row in record.layers
        ]

    weighted, copied = told([0, 1, 2], [3.0, 1.0, 0.0]), told([0, 0, 0, 1], None)
    for layer, copies in zip(weighted, copied, strict=True):
        for one, of_copies in zip(layer, copies, strict=True):
            assert one == pytest.approx(of_copies, nan_ok=True)


def test_energies_are_told_before_the_first_iteration_and_after_each_layer_by_layer(tokens):
    model, batch = tokens
    config = PredictiveCoding(precision=FixedPrecision(value=8.0, growth=2.0), iterations=3, step_size=0.2)
    clamped, found, made = settled(model, batch, config)
    shown = torch.stack(seen(clamped, found, made, states=model.states).energies)
    assert shown.shape == (4, 3)
    assert shown[0].tolist() == pytest.approx([0.0, 0.0, clamped.passed().loss.item()])
    there = batch.mask[..., None]
    by_hand = [
        0.5 * p * (there * e.square()).sum().item() for p, e in zip((8.0, 16.0), found.errors, strict=True)
    ]
    assert shown[-1].tolist() == pytest.approx([*by_hand, clamped.passed(found.errors).loss.item()])
    sums = shown.sum(dim=1)
    assert (sums[1:] < sums[:-1]).all()
    torch.testing.assert_close(sums[:-1], torch.stack(found.energies))


@pytest.mark.parametrize("per", ["layer", "channel"])
def test_the_quadratic_energy_weighs_each_error_by_its_own_precision(tokens, per):
    model, batch = tokens
    config = PredictiveCoding(precision=LearnedPrecision(initial=8.0, per=per), iterations=4, step_size=0.3)
    clamped, found, made = settled(model, batch, config)
    with torch.no_grad():
        made[1].precision.offset += torch.randn_like(made[1].precision.offset)
    shown = seen(clamped, found, made, states=model.states)
    (_, error), (_, prediction) = found.errors, clamped.passed(found.errors).predictions
    each = 0.5 * made[1].precision(prediction) * error.square()
    by_hand = [each[:, 0].sum().item(), each[[0, 2], 1].sum().item()]
    assert shown.quadratic_energies[1].tolist() == pytest.approx(by_hand), "place 2 is padding"
    errors, *_, dispersion = shown.calibrations[1]
    assert errors == 5 * 2
    assert dispersion == pytest.approx(2 * sum(by_hand) / errors)
    assert shown.calibrations[2].errors == 0, "the output's loss has no law"


def test_of_a_fixed_gaussian_the_quadratic_energy_is_the_energy(tokens):
    """Nats a target, over all positions."""
    model, batch = tokens
    config = PredictiveCoding(precision=FixedPrecision(value=8.0), iterations=3, step_size=0.2)
    record = rule(config, states=model.states).double().monitored(model, squared_error, batch, step=7)
    for row in record.layers[:-1]:
        assert sum(row.quadratic_energy) == pytest.approx(row.energy[-1])
        assert len(row.quadratic_energy) == 2
    assert record.layers[-1].quadratic_energy == []


def test_ranks_add_their_sums(tokens):
    """Two ranks that hold the same: energies twice, means the same."""
    model, batch = tokens
    clamped, found, made = settled(model, batch, PredictiveCoding(iterations=2))
    one = seen(clamped, found, made, states=model.states)
    two = seen(clamped, found, made, states=model.states, total=lambda sums: 2 * sums)
    torch.testing.assert_close(torch.stack(two.energies), 2 * torch.stack(one.energies))
    torch.testing.assert_close(two.norms, one.norms)
    torch.testing.assert_close(two.precisions, one.precisions)
    torch.testing.assert_close(two.quadratic_energies, [2 * of for of in one.quadratic_energies])
    assert two.calibrations[1].errors == 2 * one.calibrations[1].errors
    assert two.calibrations[1][1:] == pytest.approx(one.calibrations[1][1:])


def monitored(config, *sizes):
    model, batch = linear_network(*sizes)
    return rule(config, states=model.states).monitored(model, squared_error, batch, step=7), model, batch


def test_a_record_has_a_row_for_each_layer_and_one_for_the_output():
    config = PredictiveCoding(precision=LearnedPrecision(initial=5.0), iterations=3)
    record, model, batch = monitored(config, 3, 4, 5, 2)
    assert record.iterations == 3
    assert [(row.step, row.layer) for row in record.layers] == [(7, 0), (7, 1), (7, 2)]
    first, _, output = record.layers
    assert (len(first.energy), len(first.error_norm), first.precision) == (4, 1, pytest.approx([5.0]))
    assert (output.error_norm, output.precision) == ([], [])
    loss = squared_error(model(batch.inputs), batch.target).mean().item() / 2
    assert output.energy[0] == pytest.approx(loss), "a mean over targets"
    names = {name: value for _, name, value in record.entries(7)}
    assert names["energy_output"] == output.energy[-1]
    assert names["energy_layer_1"] == record.layers[1].energy[-1]
    assert names["precision_layer_0"] == pytest.approx(5.0)
    of_layers = ("energy", "error_norm", "precision", "pit_error", "coverage_90", "dispersion")
    assert set(names) == {
        "iterations",
        "gradient_cosine",
        *(f"{of}_layer_{layer}" for of in of_layers for layer in (0, 1)),
        "energy_output",
    }
    assert names["dispersion_layer_1"] == record.layers[1].dispersion


def test_cosines_are_those_of_the_lessons_gradient_and_backprops():
    config = PredictiveCoding(precision=FixedPrecision(value=1.5), iterations=4, step_size=0.3)
    record, model, batch = monitored(config, 3, 4, 5, 2)
    lesson = rule(config, states=model.states)(model, squared_error, batch)
    loss = squared_error(model(batch.inputs), batch.target).sum()
    weights = list(model.parameters())
    mine, other = (torch.autograd.grad(of, weights) for of in (lesson.surrogate, loss))
    for row, one, two in zip(record.layers, mine, other, strict=True):
        expected = torch.cosine_similarity(one.flatten(), two.flatten(), dim=0)
        assert row.cosine == pytest.approx(expected.item())
        assert row.cosine < 0.9999
    both = (torch.cat([of.flatten() for of in side]) for side in (mine, other))
    assert record.cosine == pytest.approx(torch.cosine_similarity(*both, dim=0).item())


@pytest.mark.parametrize("layers", [(1,), (0, 2), None])
def test_before_any_step_the_energys_gradient_is_backprops_in_every_part(layers):
    record, *_ = monitored(PredictiveCoding(iterations=1, gradient="energy", layers=layers), 3, 4, 5, 4, 2)
    assert [row.layer for row in record.layers] == [*(layers or (0, 1, 2)), 3]
    assert [row.cosine for row in record.layers] == pytest.approx([1.0] * len(record.layers))
    assert record.iterations == 0
    assert [len(row.energy) for row in record.layers] == [1] * len(record.layers)


def test_weights_between_errors_belong_to_the_error_above_them():
    """Without the layers below 2 the record has their gradient in its first row."""
    config = PredictiveCoding(precision=FixedPrecision(value=1.5), iterations=4, step_size=0.3, layers=(1,))
    record, model, batch = monitored(config, 3, 4, 5, 4, 2)
    loss = squared_error(model(batch.inputs), batch.target).sum()
    lesson = rule(config, states=model.states)(model, squared_error, batch)
    mine, other = (torch.autograd.grad(of, list(model.parameters())) for of in (lesson.surrogate, loss))
    for row, cut in zip(record.layers, (slice(0, 2), slice(2, 4)), strict=True):
        one, two = (torch.cat([of.flatten() for of in side[cut]]) for side in (mine, other))
        assert row.cosine == pytest.approx(torch.cosine_similarity(one, two, dim=0).item())


def test_iterations_are_those_that_were_taken_before_the_tolerance_was_met():
    config = PredictiveCoding(
        precision=FixedPrecision(value=5.0), iterations=500, step_size=0.3, tolerance=1e-3
    )
    record, *_ = monitored(config, 3, 4, 5, 2)
    assert 1 < record.iterations < 100
    assert all(len(row.energy) == record.iterations + 1 for row in record.layers)
    energies = [sum(of) for of in zip(*(row.energy for row in record.layers), strict=True)]
    last, before = energies[-1], energies[-2]
    assert (before - last) <= 1e-3 * before < energies[-3] - before


def test_means_over_places():
    assert root_mean_square([3.0, 4.0]) == pytest.approx(math.sqrt(12.5))
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)


@pytest.mark.parametrize("longest", [1, 3, 4])
def test_sums_have_every_place_that_a_sample_may_have(longest):
    """Ranks, whose batches are of different lengths, add them."""
    values = torch.arange(2.0 * longest).view(2, longest)
    present = torch.ones(2, longest, dtype=torch.bool)
    present[1, -1] = False
    found = _by_place(values, present, 4)
    expected = values.sum(0)
    expected[-1] = values[0, -1]
    assert found.tolist() == expected.tolist() + [0.0] * (4 - longest)
    assert _by_place(values[:, 0], None, 1).tolist() == [values[:, 0].sum().item()]
