"""A submission that KFP refuses half-way leaves nothing: a schedule that it cannot read, a version it will not take."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.pipelines.submit import start, succeeded
from tests.invented_cluster import ApiServer, Json

SCHEDULE = {"error": "bad", "code": 3, "message": "Invalid input error: Schedule is invalid: 99 99 * * * *"}
SCHEDULED = (
    r"^submitting one with --cron '99 99 \* \* \* \*': refused \(Invalid input error: Schedule is .*\); mend"
)


class Pipelines(ApiServer):
    """KFP's API at an address of its own, which keeps what is made until it is removed."""

    def __init__(self) -> None:
        super().__init__()
        self.there: list[str] = []
        self.made: dict[str, Json] = {}
        """Kind -> what was sent last to make one."""
        self.refused: dict[str, tuple[int, Json]] = {}
        """End of a path -> how the server refuses to make something there."""
        self.known: dict[str, Json] = {}
        """Kind -> what a list of it holds."""
        self.asked: list[str] = []
        """Queries of lists."""

    def answer(self, verb: str, path: str, *, query: str, body: Json) -> tuple[int, Any]:
        kind = path.rstrip("/").rpartition("/")[2].split(":")[0]
        if verb == "GET":
            self.asked.append(query)
            return 200, {"multi_user": False} if kind == "healthz" else self.known.get(kind, {})
        if verb == "DELETE":
            self.there.remove(kind)
            return 200, {}
        self.made[kind] = body
        if kind in self.refused:
            return self.refused[kind]
        names = {
            "pipelines": {"pipeline_id": "p"},
            "upload_version": {"pipeline_version_id": "v"},
            "experiments": {"experiment_id": "e"},
            "runs": {"run_id": "r"},
            "recurringruns": {"recurring_run_id": "c"},
        }[kind]
        self.there += names.values()
        return 200, names


@pytest.fixture
def pipelines() -> Iterator[Pipelines]:
    made = Pipelines()
    with made.running():
        yield made


def connected(pipelines: Pipelines) -> Connection:
    connection = Connection(Access(namespace="here", host=pipelines.address))
    connection.__dict__["api"] = client.ApiClient(client.Configuration())
    return connection


def submitted(pipelines: Pipelines, folder: Path, *, cron: str | None) -> str:
    (folder / "compiled.yaml").write_text("pipelineInfo: {name: mine}\n")
    options: dict[str, Any] = {"pipeline": "mine", "version": "v1", "run_name": "one"}
    return start(folder / "compiled.yaml", **options, cron=cron, connection=connected(pipelines))


def run_of(number: int, state: str, version: str | None) -> Json:
    found: Json = {"run_id": f"r{number}", "display_name": f"run {number}", "state": state}
    if version:
        found["pipeline_version_reference"] = {"pipeline_id": "p", "pipeline_version_id": version}
    return found


def test_a_run_that_has_done_the_same_is_the_newest_of_its_version_that_succeeded(
    pipelines: Pipelines,
) -> None:
    """Not one that failed, runs still, is of another version, or has no version at all."""
    connection = connected(pipelines)

    def found() -> str | None:
        run = succeeded("mine", "1234", connection=connection)
        return run and str(run.run_id)

    assert found() is None
    pipelines.known["pipelines"] = {"pipelines": [{"pipeline_id": "p"}]}
    assert found() is None
    pipelines.known["versions"] = {"pipeline_versions": [{"pipeline_version_id": "v"}]}
    pipelines.known["experiments"] = {"experiments": [{"experiment_id": "e"}]}
    assert found() is None
    others = [(1, "RUNNING", "v"), (2, "FAILED", "v"), (3, "SUCCEEDED", "w"), (4, "SUCCEEDED", None)]
    same = [(5, "SUCCEEDED", "v"), (6, "SUCCEEDED", "v")]
    pipelines.known["runs"] = {"runs": [run_of(*one) for one in others]}
    assert found() is None
    pipelines.known["runs"] = {"runs": [run_of(*one) for one in [*others, *same]]}
    assert found() == "r5"
    assert "experiment_id=e" in pipelines.asked[-1]
    assert "created_at+desc" in pipelines.asked[-1].replace("%20", "+"), "the newest come first"
    assert pipelines.there == []


def test_a_run_and_a_schedule(pipelines: Pipelines, tmp_path: Path) -> None:
    assert submitted(pipelines, tmp_path, cron=None) == "r"
    assert submitted(pipelines, tmp_path, cron="0 0 3 * * *") == "c"
    assert pipelines.there == ["p", "v", "e", "r", "p", "v", "e", "c"]


def test_a_schedule_runs_one_at_a_time_and_catches_up_with_nothing(
    pipelines: Pipelines, tmp_path: Path
) -> None:
    submitted(pipelines, tmp_path, cron="0 0 3 * * *")
    sent = pipelines.made["recurringruns"]
    assert sent["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (sent["max_concurrency"], sent["no_catchup"], sent["mode"]) == ("1", True, "ENABLE")
    assert sent["pipeline_version_reference"] == {"pipeline_id": "p", "pipeline_version_id": "v"}
    assert "parameters" not in sent["runtime_config"], "the experiment is the version's default argument"


@pytest.mark.parametrize(
    ("kind", "cron", "answer", "told"),
    [
        ("recurringruns", "99 99 * * * *", (400, SCHEDULE), SCHEDULED),
        (
            "runs",
            None,
            (401, {"message": "token expired"}),
            r"^submitting one: not logged in \(token expired\); ",
        ),
        (
            "experiments",
            None,
            (403, {"message": "no"}),
            r"^submitting one: forbidden \(no\); ask for that right",
        ),
        ("upload_version", None, (500, {"message": "disk full"}), r"^submitting one: disk full; "),
    ],
)
def test_what_kfp_refuses_is_one_line_and_nothing_stays(
    kind: str, cron: str | None, answer: tuple[int, Json], told: str, pipelines: Pipelines, tmp_path: Path
) -> None:
    pipelines.refused[kind] = answer
    with pytest.raises(ClusterError, match=told) as caught:
        submitted(pipelines, tmp_path, cron=cron)
    assert "\n" not in str(caught.value)
    assert json.dumps(pipelines.there) == "[]"
