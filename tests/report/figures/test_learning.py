"""Learning curves: what the curves hold."""

from precisionflow.report.figures.learning import mean_and_range


def test_curve_goes_on_past_the_first_stop_and_a_stopped_run_keeps_its_last_value() -> None:
    curve = mean_and_range([{10: 3.0, 20: 2.0, 30: 9.0}, {10: 1.0, 20: 1.0}])
    assert [x.tolist() for x in curve] == [[10, 20, 30], [2.0, 1.5, 5.0], [1.0, 1.0, 1.0], [3.0, 2.0, 9.0]]


def test_a_run_without_a_metric_leaves_no_curve() -> None:
    assert len(mean_and_range([{10: 3.0}, {}]).steps) == 0


def test_long_curves_are_thinned_to_both_ends() -> None:
    steps, *_ = mean_and_range([dict.fromkeys(range(1, 5001), 0.0)], points=50)
    assert (len(steps), steps[0], steps[-1]) == (50, 1, 5000)
