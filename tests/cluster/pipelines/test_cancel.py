"""What a cancelled run has made is removed, of the kinds that the cluster has."""

from precisionflow.cluster.access.kinds import EXPERIMENTS, TRAINJOBS
from precisionflow.cluster.pipelines.cancel import remove_jobs
from tests.invented_cluster import Table


def test_jobs_of_a_run_are_removed_where_only_the_trainer_is_installed(table: Table) -> None:
    place = f"/apis/{TRAINJOBS.api_version}/namespaces/here/{TRAINJOBS.plural}"
    table.answers["GET", place] = (200, {"items": [{"metadata": {"name": name}} for name in ("a", "b")]})
    table.answers["DELETE", f"{place}/a"] = (200, {})
    assert remove_jobs("r1", connection=table.connection()) == ["trainjobs/a", "trainjobs/b"]
    katib = f"/apis/{EXPERIMENTS.api_version}/namespaces/here/{EXPERIMENTS.plural}"
    assert table.asked == [
        ("GET", place),
        ("DELETE", f"{place}/a"),
        ("DELETE", f"{place}/b"),
        ("GET", katib),
    ]
    assert set(table.queries) == {
        "labelSelector=precisionflow.org%2Frun%3Dr1",
        "propagationPolicy=Background",
    }
