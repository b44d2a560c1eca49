"""Length of training that follows the rows."""

import itertools
import math

import pytest

from precisionflow.config.training import Training
from precisionflow.training.schedule import of_rows

ROWS = (1, 7, 63, 64, 65, 308, 1_599, 9_568, 45_730, 10**6)


@pytest.mark.parametrize(
    ("rows", "steps", "batch_size"),
    [(246, 100, 10), (500, 100, 10), (501, 100, 20), (1_000, 100, 20), (2_000, 134, 30), (10_000, 400, 30)],
)
def test_the_batch_grows_before_the_steps(rows, steps, batch_size):
    """2 epochs of at least 100 steps of 10 rows, at most 400 of 30."""
    training = Training(steps=100, epochs=2, most_steps=400, batch_size=10, largest_batch=35)
    found = of_rows(training, rows)
    assert (found.steps, found.batch_size) == (steps, batch_size)
    assert found.known_steps == steps


def test_the_epochs_are_reached_with_no_step_too_many_unless_a_limit_is_hit():
    for rows, epochs, most, largest in itertools.product(ROWS, (0.5, 3, 100), (None, 900), (None, 256)):
        training = Training(steps=300, epochs=epochs, most_steps=most, batch_size=64, largest_batch=largest)
        found = of_rows(training, rows)
        size = found.batch_size
        assert 300 <= found.steps <= (most or math.inf)
        assert size % 64 == 0
        assert 64 <= size <= (largest or 64)
        seen = min(size, rows)
        assert found.steps * seen >= epochs * rows or found.steps == most
        if found.steps > 300:
            assert (found.steps - 1) * seen < epochs * rows
            assert size == (largest or 64)
        elif size > 64:
            assert 300 * (size - 64) < epochs * rows


def test_a_fixed_length_does_not_follow_the_rows():
    training = Training(steps=70, warmup_steps=5)
    assert all(of_rows(training, rows) is training for rows in ROWS)
    assert training.known_steps == 70
    assert Training(steps=70, epochs=2).known_steps is None
    assert Training(steps=70, epochs=2, most_steps=70).known_steps == 70


def test_every_other_setting_stays():
    training = Training(epochs=900, schedule="one_cycle", learning_rate=0.3, patience=2, validate_every=7)
    found = of_rows(training, 1_000)
    follows = {"steps", "epochs", "batch_size"}
    assert found.model_dump(exclude=follows) == training.model_dump(exclude=follows)
    assert (found.steps, found.batch_size) == (math.ceil(900 * 1000 / 32), 32)
