"""Checks of the counts of trials."""

from precisionflow.search.checks.study import check_study
from precisionflow.search.study import parse_study
from tests.search.shipped import complaint, study


def test_katibs_own_parallel_count_is_checked_where_none_is_given() -> None:
    tree = study()
    del tree["spec"]["parallelTrialCount"]
    tree["spec"] |= {"maxTrialCount": 2, "maxFailedTrialCount": 1}
    assert "parallelTrialCount: Katib takes 3 where none is given; should be at most" in complaint(tree)
    tree["spec"]["maxTrialCount"] = 3
    check_study(parse_study(tree))
