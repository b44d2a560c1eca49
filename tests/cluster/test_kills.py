"""The script that kills on a cluster: a kill that hit nothing is none, and what `gc` could not look at is not clean."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from precisionflow.cluster.access.errors import ClusterError
from tests.invented_cluster import Table, listed

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
FOLDER = "/api/v1/namespaces/here"


def named(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import cluster_kills
    import cluster_strikes

    monkeypatch.setattr(cluster_strikes, "LOOK", 0.001)
    return cluster_kills


@pytest.fixture
def desk(scripts: Any, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A desk at a cluster that holds nothing of ours, whose `gc` says what `said` has."""
    runs = sys.modules[scripts.Desk.__module__]
    for kind in runs.OURS:
        table.answers["GET", f"/apis/{kind.api_version}/namespaces/here/{kind.plural}"] = (200, listed())
    for plural in ("pods", "secrets"):
        table.answers["GET", f"{FOLDER}/{plural}"] = (200, listed())
    monkeypatch.setattr(runs, "GONE_SECONDS", 0.0)
    monkeypatch.setattr(runs.Desk, "__call__", lambda self, *_: self.said)
    made = runs.Desk(tmp_path, table.connection(), tmp_path / "images.json")
    made.__dict__["said"] = (0, "nothing\n")
    return made


def test_what_is_left_is_known_only_where_gc_could_look(desk: Any, table: Table) -> None:
    table.answers["GET", f"{FOLDER}/secrets"] = (200, listed(named("of-kfp")))
    before = desk.held()
    assert desk.collect(before) == []
    table.answers["GET", f"{FOLDER}/secrets"] = (200, listed(named("of-kfp"), named("ssh")))
    desk.__dict__["said"] = (0, "trainings/0123: 5 MB, 0 days old\n")
    assert desk.collect(before) == ["trainings/0123: 5 MB, 0 days old", "secrets/ssh"]
    desk.__dict__["said"] = (3, "precisionflow: looking for run r: no answer\n")
    with pytest.raises(ClusterError, match=r"^gc: precisionflow: looking for run r"):
        desk.collect(before)


def test_a_kill_that_finds_nothing_is_not_one_and_a_failed_run_is_submitted_again(
    scripts: Any, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hit = threading.Event()

    def submit(_desk: Any, _file: str, run: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(["echo", f"run {run} (id)"], stdout=subprocess.PIPE, text=True)

    def ended(_desk: Any, run: str) -> bool:
        assert hit.wait(5)
        return run.endswith("-2")

    monkeypatch.setattr(scripts.Desk, "submit", submit)
    monkeypatch.setattr(scripts.Desk, "ended", ended)
    monkeypatch.setattr(scripts.Desk, "run_id", lambda _desk, run: f"id of {run}")
    under = scripts.Round(desk, "e", 4)
    kills = {
        "hits": lambda _: hit.set(),
        "finds none": lambda under: sys.modules[scripts.Round.__module__].kill_of_run("-driver", under),
        "comes late": lambda _: pytest.fail("the experiment was over"),
    }
    moments = {"hits": 0.0, "finds none": 0.0, "comes late": 1e6}
    assert scripts.broken(under, "e.yaml", kills, moments=moments) == ("e-2", 2)
    assert list(under.struck) == ["hits"]
    assert under.run_id == "id of e-2"
