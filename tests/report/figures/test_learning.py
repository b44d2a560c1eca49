"""Learning curves: what the curves hold."""

from precisionflow.report.figures.learning import mean_and_range


def test_curve_is_mean_and_range_at_the_steps_that_every_run_has() -> None:
    steps, mean, low, high = mean_and_range([{10: 3.0, 20: 2.0, 30: 9.0}, {10: 1.0, 20: 1.0}])
    assert [x.tolist() for x in (steps, mean, low, high)] == [[10, 20], [2.0, 1.5], [1.0, 1.0], [3.0, 2.0]]


def test_long_curves_are_thinned_to_both_ends() -> None:
    steps, *_ = mean_and_range([dict.fromkeys(range(1, 5001), 0.0)], points=50)
    assert (len(steps), steps[0], steps[-1]) == (50, 1, 5000)
