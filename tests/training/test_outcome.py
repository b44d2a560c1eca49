"""History of a cell from those of its networks."""

from precisionflow.training.outcome import mean_history
from precisionflow.training.standing import Outcome


def outcome(*losses: float) -> Outcome:
    history = []
    for place, loss in enumerate(losses):
        step = 10 * (place + 1)
        history += [(step, "validation_loss", loss), (step, "seconds_per_step", 0.25)]
    return Outcome(history=history)


def test_an_ensembles_history_ends_with_its_last_member():
    """A member that has stopped counts with its last loss and costs nothing."""
    assert mean_history([outcome(6.0, 3.0), outcome(3.0), outcome(9.0, 6.0, 1.0)]) == [
        (10, "validation_loss", 6.0),
        (10, "seconds_per_step", 0.75),
        (20, "validation_loss", 4.0),
        (20, "seconds_per_step", 0.5),
        (30, "validation_loss", 7 / 3),
        (30, "seconds_per_step", 0.25),
    ]
