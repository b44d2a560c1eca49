"""Trials as Katib describes them, and the records that are kept of them."""

import math
from typing import Any

from precisionflow.cluster.katib.trials import ending, trial_of, unread
from tests.studies_of_katib import study


def trial(*conditions: str, **metrics: dict[str, str]) -> dict[str, Any]:
    observed = [{"name": name, **values} for name, values in metrics.items()]
    return {
        "metadata": {"name": "study-a"},
        "spec": {
            "parameterAssignments": [{"name": "lr", "value": "0.25"}, {"name": "decay", "value": "0.05"}]
        },
        "status": {
            "conditions": [{"type": kind, "status": "True"} for kind in conditions],
            "startTime": "2026-01-01T00:00:00Z",
            "completionTime": "2026-01-01T00:01:30Z",
            **({"observation": {"metrics": observed}} if observed else {}),
        },
    }


NLL = {"min": "0.25", "max": "9", "latest": "0.5"}


def test_how_a_trial_ended() -> None:
    assert ending(trial("Created", "Running")) is None
    assert ending(trial("Created", "Succeeded")) == "Succeeded"
    assert ending(trial("EarlyStopped", "Succeeded")) == "EarlyStopped"
    assert unread(trial("EarlyStopped"))
    assert not unread(trial("EarlyStopped", nll=NLL))


def test_a_trial_that_succeeded_has_the_value_of_its_strategy() -> None:
    found = trial_of(trial("Succeeded", nll=NLL), study(), end=2, cause="none")
    assert (found.state, found.value, found.cause, found.seconds) == ("succeeded", 0.25, "", 90)
    assert (found.name, found.end) == ("study-a", 2)
    assert found.parameters == {"lr": 0.25, "decay": 0.05}
    assert found.settings == ("training.learning_rate=0.25", "training.weight_decay=0.05")


def test_a_trial_that_failed_has_its_cause_and_no_value() -> None:
    found = trial_of(trial("Failed", nll=NLL), study(), end=2, cause="too hot")
    assert (found.state, found.cause) == ("failed", "too hot")
    assert math.isnan(found.value)


def test_a_metric_that_is_no_number_is_taken_as_it_was_last_or_left_out() -> None:
    gone = {"min": "unavailable", "max": "unavailable", "latest": "unavailable"}
    late = {"min": "unavailable", "max": "unavailable", "latest": "nan"}
    assert trial_of(trial("Succeeded", nll=NLL, crps=gone), study(), end=2, cause="").metrics == {"nll": 0.25}
    assert math.isnan(trial_of(trial("Succeeded", nll=late), study(), end=2, cause="").value)
