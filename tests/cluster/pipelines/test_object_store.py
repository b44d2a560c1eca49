"""KFP's object store as each release has it: found, reached at its S3 port, listed, read; its logs."""

import contextlib
import io
from collections.abc import Iterator

import pytest
from kfp_server_api import V2beta1Run, V2beta1RuntimeConfig

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.port_forward import _target
from precisionflow.cluster.pipelines import object_store as room
from precisionflow.cluster.pipelines.logs import _print_stored, stored_logs
from precisionflow.cluster.pipelines.object_store import object_store
from tests.invented_cluster import Table
from tests.invented_store import RELEASES, recorded, store

ROOT = "mlpipeline/v2/artifacts/mine/r1"
LOGS = {
    "2.14.3": {f"{ROOT}/train/u1/executor-logs": b"step 7\n"},
    "2.15.0": {f"{ROOT}/train/u1/executor-logs": b"step 7\n"},
    "2.17.0": {
        f"{ROOT}/train/u1/executor-logs-10": b"step 12\n",
        f"{ROOT}/train/u1/executor-logs-0": b"step 2\n",
        f"{ROOT}/train/u1/executor-logs-2": b"step 4\n",
    },
}
PRINTED = {
    "2.14.3": "== train (stored)\nstep 7\n",
    "2.15.0": "== train (stored)\nstep 7\n",
    "2.17.0": "== train (stored)\nstep 2\n== train (stored, try 3)\nstep 4\n== train (stored, try 11)\nstep 12\n",
}


@contextlib.contextmanager
def installed(release: str, table: Table, patch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A cluster of that release whose store answers at its own port alone."""
    recorded(release, table)
    port = 9000 if release == "2.14.3" else 8333
    model = {f"{ROOT}/train/u1/model/weights": b"w", f"{ROOT}2/other": b"not of this run"}
    with store({**LOGS[release], **model}, region="minio", key="minio") as address:

        @contextlib.contextmanager
        def forwarded(connection: Connection, **service: str) -> Iterator[str]:
            _, reached = _target(connection, **service)
            yield address if reached == port else "127.0.0.1:9"

        patch.setattr(room, "forwarded", forwarded)
        yield table.connection()


@pytest.mark.parametrize("release", RELEASES)
def test_objects_of_a_run_are_listed_and_read(
    release: str, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        installed(release, table, monkeypatch) as connection,
        object_store(connection, root=f"minio://{ROOT}") as found,
    ):
        keys = found.keys(f"minio://{ROOT}")
        assert "train/u1/model/weights" in keys
        assert len(keys) == 1 + len(LOGS[release])
        assert found.read(f"minio://{ROOT}/train/u1/model/weights") == b"w"


@pytest.mark.parametrize("release", RELEASES)
def test_stored_logs_of_every_try_are_printed(
    release: str, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = V2beta1RuntimeConfig(pipeline_root="minio://mlpipeline/v2/artifacts")
    spec = {"pipelineInfo": {"name": "mine"}}
    run = V2beta1Run(run_id="r1", runtime_config=config, pipeline_spec=spec)
    screen = io.StringIO()
    with installed(release, table, monkeypatch) as connection:
        shown = _print_stored(run, task="train", connection=connection, screen=screen)
    assert screen.getvalue() == PRINTED[release]
    assert shown == len(LOGS[release])


def test_only_logs_are_logs() -> None:
    others = ["train/u/executor-logs-x", "train/u/my-executor-logs", "train/u/executor-logs/part"]
    assert stored_logs(others) == []


def test_a_store_that_is_nowhere_is_one_line(table: Table) -> None:
    expected = r"^minio://b/p: neither service seaweedfs nor minio-service is in namespace here or kubeflow"
    with (
        pytest.raises(ClusterError, match=expected),
        object_store(table.connection(), root="minio://b/p"),
    ):
        pass


def test_a_secret_without_the_key_is_one_line(table: Table) -> None:
    recorded("2.17.0", table)
    place = "/api/v1/namespaces/here/secrets/mlpipeline-minio-artifact"
    table.answers["GET", place] = (200, {"metadata": {"name": "s"}, "data": {"accesskey": "bWluaW8="}})
    with (
        pytest.raises(ClusterError, match=r"^secret mlpipeline-minio-artifact .*: has no key 'secretkey'"),
        object_store(table.connection(), root="minio://b/p"),
    ):
        pass
