import pytest

from precisionflow.search.algorithms.medianstop import MedianStop, medianstop
from tests.search.studies import algorithm


def test_the_threshold_is_a_mean_of_means_of_first_reports():
    rule = medianstop(algorithm("medianstop", start_step="2"), "minimize")
    histories = [[4.0, 2.0, 0.0], [8.0, 8.0, -100.0], [1.0]]
    assert rule.threshold(histories) == pytest.approx((3 + 8 + 1) / 3)


def test_there_is_none_before_enough_trials_have_reported():
    rule = medianstop(algorithm("medianstop"), "minimize")
    assert (rule.min_trials_required, rule.start_step) == (3, 4)
    assert rule.threshold([[1.0], [2.0], []]) is None
    assert rule.threshold([[1.0], [2.0], [3.0]]) == 2.0
    assert not rule.stops([1e9] * 10, None)


@pytest.mark.parametrize(
    ("better", "reports", "stops"),
    [
        ("minimize", [9.0, 8.0, 7.0], False),
        ("minimize", [9.0, 8.0, 7.0, 6.0], True),
        ("minimize", [5.0, 8.0, 7.0, 6.0], False),
        ("minimize", [9.0, 8.0, 7.0, 4.0], False),
        ("maximize", [4.0, 3.0, 2.0, 1.0], True),
        ("maximize", [1.0, 2.0, 3.0, 6.0], False),
    ],
)
def test_a_trial_stops_when_its_best_is_worse(better, reports, stops):
    assert medianstop(algorithm("medianstop"), better).stops(reports, 5.0) is stops


def test_a_trial_as_good_as_the_threshold_goes_on_and_a_later_report_may_stop_it():
    for better, worse in (("minimize", 3.0), ("maximize", 1.0)):
        rule = MedianStop(better, min_trials_required=1, start_step=2)
        assert rule.threshold([[2.0], [2.0]]) == 2.0
        assert not rule.stops([2.0, 2.0], 2.0)
        assert rule.stops([worse] * 3, 2.0)
