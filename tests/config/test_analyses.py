"""What an analysis can ask for: one line for everything else."""

import math
from typing import Any

import pytest

from precisionflow.config import ConfigError
from precisionflow.config.analyses import Choice, Range
from tests.analysed import analysed, sensitivity

RATE = {"kind": "range", "low": 1e-4, "high": 1e-2}


@pytest.mark.parametrize(
    ("analysis", "line"),
    [
        ({"kind": "sensibility"}, "analysis.kind: unknown value 'sensibility'; allowed: sensitivity"),
        (sensitivity("morris", {}), "analysis.parameters: given a mapping; should"),
        (
            sensitivity("morris", {"seeds": RATE}),
            "analysis: 'seeds' cannot differ between runs; allowed: keys of task, model",
        ),
        (
            sensitivity("morris", {"task.kind": {"kind": "choice", "values": ["a", "b"]}}),
            "analysis: 'task.kind' cannot differ between runs",
        ),
        (
            sensitivity("morris", {"training.learning_rate": RATE | {"low": 0.5}}),
            "analysis.parameters.training.learning_rate: given a range from 0.5 to 0.01; write low below high",
        ),
        (
            sensitivity("morris", {"training.learning_rate": RATE | {"low": 0, "scale": "log"}}),
            "analysis.parameters.training.learning_rate: given a range from 0 with scale log; write low above 0",
        ),
        (
            sensitivity("sobol", samples=100),
            "analysis.method.samples: given 100; write a power of 2, such as 128",
        ),
        (
            sensitivity("sobol", samples=4),
            "analysis.method.samples: given 4; should be greater than or equal to 8",
        ),
        (
            sensitivity("morris", trajectories=1),
            "analysis.method.trajectories: given 1; should be greater than",
        ),
        (
            sensitivity("morris", {"model.hidden": {"kind": "choice", "values": [[8]]}}),
            "analysis.parameters.model.hidden.values: given [[8]]; should have at least 2",
        ),
    ],
)
def test_a_mistake_is_one_line(analysis: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as error:
        analysed(analysis)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("ablation", "line"),
    [
        (
            {"axes": {"loss": {"half": {"objective.beta": 0.5}}}},
            "ablation.axes: an analysis lays out the variants itself; leave the axes out",
        ),
        ({"looks": [2, 3]}, "ablation.looks: decide contrasts, of which an analysis makes none"),
        (
            {"datasets": {"a": {"training.learning_rate": 0.1}}},
            "analysis: sets 'training.learning_rate', and so does ablation.datasets.a; keep one of them",
        ),
        (
            {"datasets": {"a": {"training": {"learning_rate": 0.1}}}},
            "analysis: sets 'training.learning_rate', and so does ablation.datasets.a; keep one of them",
        ),
    ],
)
def test_what_does_not_go_with_an_analysis_is_one_line(ablation: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as error:
        analysed(sensitivity("morris"), ablation=ablation)
    assert str(error.value).startswith(line)


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_places_and_numbers_of_a_range_are_inverse(scale: str, unit: float) -> None:
    of = Range.model_validate({"low": 1 * unit, "high": 100 * unit, "scale": scale})
    for place in (0.0, 0.3, 1.0):
        assert of.place(of.value(place)) == pytest.approx(place, abs=1e-3)
    assert (of.value(0), of.value(1)) == (unit, 100 * unit)
    assert of.value(0.5) == pytest.approx(10 * unit if scale == "log" else 50.5 * unit)
    for outside in (101 * unit, "1", True, None):
        assert math.isnan(of.place(outside))


def test_places_of_listed_values_are_evenly_apart() -> None:
    of = Choice.model_validate({"values": [[1], "b", None]})
    assert [of.value(place) for place in (0.0, 0.2, 0.5, 1.0)] == [[1], [1], "b", None]
    assert [of.place(value) for value in ([1], "b", None)] == [0, 0.5, 1]
    assert math.isnan(of.place("c"))
