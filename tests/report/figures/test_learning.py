"""Learning curves: what the curves hold."""

from collections.abc import Mapping

import numpy as np

from precisionflow.report.figures.learning import Curve, mean_and_range
from precisionflow.report.histories import measured


def curve(*runs: Mapping[int, float], points: int = 120) -> Curve:
    """Of runs by step, whose entries come in any order."""
    entries = [(run, step, value) for run, of in enumerate(runs) for step, value in of.items()]
    order = np.random.default_rng(0).permutation(len(entries))
    run, step, value = (np.array(column)[order] for column in zip(*entries, strict=True))
    return mean_and_range(measured(run, step, value), runs=len(runs), points=points)


def test_curve_goes_on_past_the_first_stop_and_a_stopped_run_keeps_its_last_value() -> None:
    found = curve({10: 3.0, 20: 2.0, 30: 9.0}, {10: 1.0, 20: 1.0})
    assert [x.tolist() for x in found] == [[10, 20, 30], [2.0, 1.5, 5.0], [1.0, 1.0, 1.0], [3.0, 2.0, 9.0]]


def test_a_run_that_starts_late_is_waited_for_and_one_between_steps_keeps_the_one_before() -> None:
    found = curve({1: 8.0, 4: 4.0, 6: 2.0}, {3: 1.0, 6: 3.0})
    assert found.steps.tolist() == [3, 4, 6]
    assert found.mean.tolist() == [4.5, 2.5, 2.5]


def test_a_run_without_a_metric_leaves_no_curve() -> None:
    assert len(curve({10: 3.0}, {}).steps) == 0
    none = np.zeros(0, dtype=int)
    assert len(mean_and_range(measured(none, none, np.zeros(0)), runs=2).steps) == 0


def test_of_a_step_that_comes_twice_the_last_entry_counts_and_so_does_the_last_step_of_a_run() -> None:
    run, step, value = np.array([0, 1, 0, 0]), np.array([5, 5, 9, 9]), np.array([1.0, 2.0, 3.0, 4.0])
    found = measured(run, step, value)
    assert found.value.tolist() == [1.0, 4.0, 2.0]
    assert found.last.tolist() == [4.0, 2.0]


def test_long_curves_are_thinned_to_both_ends() -> None:
    steps, *_ = curve(dict.fromkeys(range(1, 5001), 0.0), points=50)
    assert (len(steps), steps[0], steps[-1]) == (50, 1, 5000)
