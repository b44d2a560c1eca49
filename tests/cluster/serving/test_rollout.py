"""Rollout of a champion against an invented API server that knows one Deployment."""

from typing import Any

import pytest

from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.serving.rollout import CHAMPION, Rollout
from tests.invented_cluster import Json, Table

PATH = "/apis/apps/v1/namespaces/models/deployments/serve-perception"
ROLLED = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


class Rolling(Table):
    """Takes a JSON patch of the pods' annotations; its status is then the next of a list, the last for ever."""

    def __init__(self, annotations: Json | None, after: list[Json]) -> None:
        super().__init__()
        metadata = {} if annotations is None else {"annotations": annotations}
        template = {"template": {"metadata": metadata}, "replicas": 2}
        self.object: Json = {"metadata": {"generation": 1}, "spec": template, "status": {}}
        self.after, self.changes = after, list[Any]()

    def answer(self, verb: str, path: str, *, query: str, body: Json) -> tuple[int, Any]:
        if path != PATH:
            return super().answer(verb, path, query=query, body=body)
        if verb == "PATCH":
            self.changes.append(body)
            self.object["metadata"]["generation"] = 2
        elif self.changes:
            self.object["status"] = self.after.pop(0) if len(self.after) > 1 else self.after[0]
        return 200, self.object


def rolled_out(server: Rolling, *, name: str = "serve-perception", seconds: float = 5) -> bool:
    with server.running():
        return Rollout(server.connection(), "models", name).serve("maze/3", seconds=seconds)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precisionflow.cluster.access.patience.PAUSE_SECONDS", 0.01)


def test_pods_of_another_champion_are_replaced_and_waited_for() -> None:
    on_the_way = [
        ROLLED | {"observedGeneration": 1},
        ROLLED | {"updatedReplicas": 1, "replicas": 3},
        ROLLED | {"availableReplicas": 1},
    ]
    server = Rolling({"prometheus.io/scrape": "true", CHAMPION: "maze/2"}, [*on_the_way, ROLLED])
    assert rolled_out(server)
    place = "/spec/template/metadata/annotations/precisionflow.org~1champion"
    assert server.changes == [[{"op": "add", "path": place, "value": "maze/3"}]]
    assert server.after == [ROLLED]


def test_pods_without_annotations_get_them() -> None:
    server = Rolling(None, [ROLLED])
    assert rolled_out(server)
    place = "/spec/template/metadata/annotations"
    assert server.changes == [[{"op": "add", "path": place, "value": {CHAMPION: "maze/3"}}]]


def test_pods_of_this_champion_are_left_alone() -> None:
    server = Rolling({CHAMPION: "maze/3"}, [ROLLED])
    assert not rolled_out(server)
    assert server.changes == []


def test_what_stands_in_the_way_is_one_line() -> None:
    with pytest.raises(ClusterError, match=r"^deployment other: is not in namespace models; install it with"):
        rolled_out(Rolling({}, [ROLLED]), name="other")
    stuck = Rolling({}, [ROLLED | {"availableReplicas": 1}])
    with pytest.raises(
        ClusterError, match=r"^serve-perception in models: new pods are not ready after 0 s, the old"
    ):
        rolled_out(stuck, seconds=0.1)
