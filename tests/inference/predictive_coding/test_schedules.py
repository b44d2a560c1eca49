"""Schedules: precisions over layers and over training steps, iterations over training steps."""

from functools import partial

import pytest
import torch
from linear_network import linear_network, squared_error

from precisionflow.config.learning import FixedPrecision, LearnedPrecision, PredictiveCoding, StudentTLaw
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.training.batches import Batch
from precisionflow.training.rules.predictive_coding import predictive_coding

STATES = [(4,), (5,), (3,)]


@pytest.fixture
def linear():
    model, batch = linear_network(3, 4, 5, 3, 2)
    return model, partial(Batch, batch.inputs, batch.target)


def stated(made):
    return [law.precision(torch.zeros(1, dtype=torch.float64)).item() for law in made.layers]


def test_a_precision_may_be_raised_in_chosen_layers_beside_its_growth():
    config = PredictiveCoding(precision=FixedPrecision(value=8.0, growth=0.5, raised=(1,), raised_by=3.0))
    assert stated(laws(config, states=STATES)) == [8.0, 12.0, 2.0]


def test_a_raised_layer_that_does_not_exist_is_refused():
    config = PredictiveCoding(precision=FixedPrecision(raised=(0, 3)))
    with pytest.raises(
        ValueError,
        match=r"^learning.precision.raised: there is no layer 3 with an error of this precision; there are 0, 1, 2$",
    ):
        laws(config, states=STATES)


def test_a_precision_moves_to_its_last_value_by_the_same_factor_in_each_step():
    made = laws(PredictiveCoding(precision=FixedPrecision(value=2.0, growth=3.0, last=32.0)), states=STATES)
    assert stated(made) == pytest.approx([32.0, 96.0, 288.0]), "after training"
    for progress, value in ((0.0, 2.0), (0.25, 4.0), (0.5, 8.0), (1.0, 32.0)):
        made.advance(progress)
        assert stated(made) == pytest.approx([value, 3 * value, 9 * value])


def monitored(linear, config, progress):
    model, batch = linear
    rule = predictive_coding(config, states=STATES)
    return rule.monitored(model, squared_error, batch(progress=progress), step=0)


def test_a_batch_settles_under_the_precision_of_its_step(linear):
    """Settled errors and energy are those of a precision that was the same from the start: no constant between them."""
    moving = PredictiveCoding(precision=FixedPrecision(value=2.0, last=32.0), iterations=3)
    still = moving.model_copy(update={"precision": FixedPrecision(value=8.0)})
    assert monitored(linear, moving, 0.5) == monitored(linear, still, 0.0)
    model, batch = linear
    mine, other = (
        predictive_coding(config, states=STATES)(model, squared_error, batch(progress=0.5))
        for config in (moving, still)
    )
    torch.testing.assert_close(mine.energy, other.energy)
    torch.testing.assert_close(mine.surrogate, other.surrogate)


def test_a_fixed_precision_adds_no_constant_to_the_energy_of_a_learned_shape(linear):
    """At zero errors the energy is the loss."""
    config = PredictiveCoding(
        law=StudentTLaw(shape="learned"), precision=FixedPrecision(value=2.0, last=32.0), iterations=2
    )
    record = monitored(linear, config, 0.5)
    assert [row.energy[0] for row in record.layers[:-1]] == pytest.approx([0.0] * 3)


@pytest.mark.parametrize(
    ("first", "last", "taken"),
    [(2, None, [2, 2, 2, 2]), (1, 9, [1, 3, 5, 9]), (9, 1, [9, 7, 5, 1]), (2, 3, [2, 2, 2, 3])],
)
def test_iterations_move_to_their_last_number_in_a_line(linear, first, last, taken):
    config = PredictiveCoding(iterations=first, last_iterations=last)
    assert [monitored(linear, config, progress).iterations for progress in (0.0, 0.25, 0.5, 1.0)] == taken
    assert [config.steps_at(progress) for progress in (0.0, 0.25, 0.5, 1.0)] == taken


def test_lessons_of_incremental_settling_are_as_many_as_iterations(linear):
    model, batch = linear
    config = PredictiveCoding(settles="incremental", iterations=1, last_iterations=5)
    rule, carried, lessons = predictive_coding(config, states=STATES), None, 0
    while lessons == 0 or carried is not None:
        carried = rule(model, squared_error, batch(progress=0.5), carried).carried
        lessons += 1
    assert lessons == 3


def test_the_fewest_steps_decide_what_can_be_learned():
    assert PredictiveCoding(iterations=5, last_iterations=2, gradient="energy").fewest_steps == 1
    assert PredictiveCoding(iterations=2, last_iterations=5).fewest_steps == 2
    for settings in ({"precision": LearnedPrecision()}, {"settles": "incremental"}, {"start": "amortised"}):
        for iterations, last in ((4, 1), (1, 4)):
            with pytest.raises(ValueError, match=r"^1 validation error[\s\S]*learning\.(iterations|start)"):
                PredictiveCoding(iterations=iterations, last_iterations=last, gradient="energy", **settings)
