"""A Katib experiment is gone when nothing of it is left."""

import pytest

from precisionflow.cluster.access.kinds import EXPERIMENTS, TRIALS, Kind
from precisionflow.cluster.katib.api import KatibExperiments
from tests.invented_cluster import Table


def place(kind: Kind) -> str:
    return f"/apis/{kind.api_version}/namespaces/here/{kind.plural}"


PLACES = {"experiment": place(EXPERIMENTS), "trial": place(TRIALS), "pod": "/api/v1/namespaces/here/pods"}


@pytest.mark.parametrize("left", [None, *PLACES])
def test_the_name_is_free_when_nothing_is_left_below_it(table: Table, left: str | None) -> None:
    for what, path in PLACES.items():
        table.answers["GET", path] = (200, {"items": [{"metadata": {"name": "a"}}] if what == left else []})
    assert KatibExperiments(table.connection()).gone("a") is (left is None)


def test_an_experiment_goes_before_its_trials_which_katib_would_make_anew(table: Table) -> None:
    table.answers["DELETE", f"{PLACES['experiment']}/a"] = (200, {})
    KatibExperiments(table.connection()).delete("a")
    assert table.queries == ["propagationPolicy=Background"]
