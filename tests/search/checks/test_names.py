"""Checks of names and of the counts of trials."""

import pytest

from precisionflow.search.checks.names import check_counts, check_names
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


def test_more_trials_at_once_or_failed_than_there_are_is_refused() -> None:
    tree = study()
    tree["spec"] |= {"maxTrialCount": 3, "parallelTrialCount": 3, "maxFailedTrialCount": 3}
    check_counts(parse_study(tree).spec)
    for key in ("parallelTrialCount", "maxFailedTrialCount"):
        tree["spec"] |= {"parallelTrialCount": 3, "maxFailedTrialCount": 3} | {key: 4}
        assert complaint(tree) == f"spec.{key}: given 4; should be at most spec.maxTrialCount, 3"
    del tree["spec"]["maxTrialCount"]
    check_counts(parse_study(tree).spec)


@pytest.mark.parametrize("name", ["a", "a" * 40, "a-1", "a9"])
def test_a_name_of_40_letters_digits_and_dashes_is_allowed(name: str) -> None:
    tree = study()
    tree["metadata"]["name"] = name
    check_names(parse_study(tree))
    tree["metadata"]["name"] = f"{name}-"
    assert complaint(tree).startswith(f"metadata.name: given '{name}-'")


@pytest.mark.parametrize("name", ["", "a" * 41, "1a", "a-", "-a", "a_b", "A"])
def test_another_name_is_refused(name: str) -> None:
    tree = study()
    tree["metadata"]["name"] = name
    assert complaint(tree).startswith(f"metadata.name: given {name!r}; should be at most 40")


@pytest.mark.parametrize("field", ["name", "reference"])
def test_a_placeholder_and_its_parameter_are_named_once(field: str) -> None:
    tree = study()
    first, second, *_ = tree["spec"]["trialTemplate"]["trialParameters"]
    second[field] = first[field]
    assert (
        complaint(tree) == f"spec.trialTemplate.trialParameters: names {first[field]!r} twice; name it once"
    )
