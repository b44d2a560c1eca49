"""Invented Kubeflow 2.17: one finished run, as KFP's API, Argo 4, pods and the object store of that release tell it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import kfp_server_api as kfp
import yaml
from kubernetes import client

from tests.invented_cluster import NAMESPACE, Cluster, Json, listed
from tests.invented_store import RECORDED
from tests.invented_workflow import driver, node

RUN, PIPELINE, VERSION = "5f2c0d1e-run", "7c1a-pipeline", "9b3d-version"
API = f"{NAMESPACE}/services/ml-pipeline:http/proxy/apis/v2beta1"
BUCKET = "mlpipeline/v2/artifacts"
ABSENT = {"error": "not found", "code": 5, "message": "not found", "details": []}
"""What KFP's gateway answers with status 404."""


class Kubeflow(Cluster):
    """A cluster that has run a compiled pipeline once, under the name `mine`."""

    def __init__(self, folder: Path, pipeline: Path, *, variants: int) -> None:
        super().__init__(folder)
        content = list(yaml.safe_load_all(pipeline.read_text()))
        self.name = content[0]["pipelineInfo"]["name"]
        self.variants = variants
        for path, answer in yaml.safe_load((RECORDED / "kfp-2.17.0.yaml").read_text()).items():
            self.answers[f"{NAMESPACE}/{path}"] = answer
        reference = kfp.V2beta1PipelineVersionReference(pipeline_id=PIPELINE, pipeline_version_id=VERSION)
        states = [
            kfp.V2beta1RuntimeStatus(state=state, update_time="2026-07-08T10:00:00Z")
            for state in ("PENDING", "RUNNING", "SUCCEEDED")
        ]
        self.run = kfp.V2beta1Run(
            run_id=RUN,
            display_name="mine",
            experiment_id="e",
            pipeline_version_reference=reference,
            service_account="pipeline-runner",
            storage_state="AVAILABLE",
            state="SUCCEEDED",
            state_history=states,
            created_at="2026-07-08T10:00:00Z",
            scheduled_at="2026-07-08T10:00:00Z",
            finished_at="2026-07-08T10:02:05Z",
            run_details=kfp.V2beta1RunDetails(task_details=list(self._details())),
        )
        spec = {"pipeline_spec": content[0], "platform_spec": content[1]}
        version = kfp.V2beta1PipelineVersion(
            pipeline_id=PIPELINE, pipeline_version_id=VERSION, display_name="v", pipeline_spec=spec
        )
        sent = kfp.ApiClient().sanitize_for_serialization
        self.answers |= {
            f"{API}/healthz": {"multi_user": False, "pipeline_store": "database"},
            f"{API}/runs/{RUN}": sent(self.run),
            f"{API}/pipelines/{PIPELINE}/versions/{VERSION}": sent(version),
            "/apis/argoproj.io/v1alpha1/namespaces/runs/workflows": listed(self._workflow()),
            f"{NAMESPACE}/pods": listed(*self._pods()),
        }

    def remove_workflow(self) -> None:
        """As after `ttl_seconds_after_finished`: the workflow is gone, and its pods with it."""
        for path in ("/apis/argoproj.io/v1alpha1/namespaces/runs/workflows", f"{NAMESPACE}/pods"):
            self.answers[path] = listed()

    def objects(self, results: Path) -> dict[str, bytes]:
        """The store after the run: what each task left of a results folder, and its logs, one for each try."""
        root = f"{BUCKET}/{self.name}/{RUN}"
        artifacts = {"data": "prepare/u1/data", "aggregate": "aggregate/u4/table"}
        rooms = artifacts | {"report": "report/u5/results/report"}
        for room, task in {"model": "train/u2", "evaluation": "evaluate/u3"}.items():
            for number, folder in enumerate(sorted((results / room).glob("*/*/*"))):
                artifacts[f"{room} {number}"] = f"{task}{number}/{room}"
                rooms[f"{folder.relative_to(results)}"] = (
                    f"{task}{number}/{room}/{folder.relative_to(results / room)}"
                )
        found = {
            f"{root}/{place}/{file.relative_to(results / room)}": file.read_bytes()
            for room, place in rooms.items()
            for file in (results / room).rglob("*")
            if file.is_file()
        }
        listing = json.dumps([f"minio://{root}/{place}" for place in artifacts.values()])
        found[f"{root}/report/u5/results/contents.json"] = listing.encode()
        for number, text in enumerate(("lost\n", "precisionflow: train step 2/2\n")):
            found[f"{root}/train/u20/executor-logs-{number}"] = text.encode()
        return found

    def answer(self, verb: str, path: str, *, query: str, body: Json) -> tuple[int, Any]:
        """As an API server, for which two slashes are one: KFP's client begins its paths with a second one."""
        path = path.replace("//", "/")
        if (verb, path) == ("POST", f"{API}/runs"):
            self.made.append(body)
            return 200, {"run_id": f"run {len(self.made)}"}
        status, content = super().answer(verb, path, query=query, body=body)
        return (404, ABSENT) if status == 404 and path.startswith(API) else (status, content)

    def _found(self, path: str, query: str) -> Any:
        if path == f"{API}/runs":
            asked = json.loads(parse_qs(query).get("filter", ['{"predicates": []}'])[0])["predicates"]
            mine = all(one["stringValue"] == "mine" for one in asked)
            return {"runs": [self.answers[f"{API}/runs/{RUN}"]] if mine else [], "total_size": int(mine)}
        if path == f"{API}/recurringruns":
            return {}
        if of_run := re.fullmatch(rf"{NAMESPACE}/pods/(run-pod-\d+)/log", path):
            return f"precisionflow: said by {of_run[1]}\n"
        if path == f"{NAMESPACE}/pods":
            asked = parse_qs(query).get("labelSelector", [""])[0]
            if "managed-by" in asked:
                return self.answers.get(f"{path} {asked}", listed())
            assert f"pipeline/runid={RUN}" in asked
        return super()._found(path, query)

    def _nodes(self) -> Iterator[Json]:
        """Nodes as KFP 2.17's workflows have them under Argo 4: a driver and an executor, which is a Retry of pods."""
        yield node("exit-handler-1", "Succeeded", type="DAG")
        ran = {"parameters": [{"name": "execution-id", "value": "1"}, {"name": "condition", "value": "true"}]}
        yield node("exit-handler-1-driver", "Succeeded", type="Pod", outputs=ran)
        yield from _task("exit-handler-1.prepare", cached=True)
        for number in range(self.variants):
            item = f"exit-handler-1.for-loop-1.iteration-iterations({number}:{number}).iteration-item"
            yield node(item, "Succeeded", type="DAG")
            yield from _task(f"{item}.train", tries=2 if number == 0 else 1)
            yield from _task(f"{item}.evaluate")
        for verb in ("aggregate", "report", "register"):
            yield from _task(f"exit-handler-1.{verb}")
        yield from _task("finish")

    def _workflow(self) -> Json:
        nodes = {str(number): one for number, one in enumerate(self._nodes())}
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": "wf", "labels": {"pipeline/runid": RUN}},
            "spec": {},
            "status": {"phase": "Succeeded", "nodes": nodes},
        }

    def _pods(self) -> Iterator[Json]:
        """Pods of all tries, in the order in which they were made."""
        tries = [
            one["name"] for one in self._nodes() if one.get("type") == "Pod" and ".executor(" in one["name"]
        ]
        for number, name in enumerate(tries):
            metadata = client.V1ObjectMeta(
                name=f"run-pod-{number}",
                namespace="runs",
                labels={"pipeline/runid": RUN},
                annotations={"workflows.argoproj.io/node-name": name},
                creation_timestamp=f"2026-07-08T10:00:{number:02d}Z",
            )
            pod = client.V1Pod(metadata=metadata, status=client.V1PodStatus(phase="Succeeded"))
            yield client.ApiClient().sanitize_for_serialization(pod)

    def _details(self) -> Iterator[Any]:
        """KFP's own record of the tasks, which knows nothing of variants."""
        verbs = [
            "prepare",
            *["train", "evaluate"] * self.variants,
            "aggregate",
            "report",
            "register",
            "finish",
        ]
        for number, verb in enumerate(verbs):
            yield kfp.V2beta1PipelineTaskDetail(
                run_id=RUN,
                task_id=f"t{number}",
                display_name=verb,
                state="SUCCEEDED",
                start_time=f"2026-07-08T10:00:{number:02d}Z",
            )


def _task(name: str, *, tries: int = 1, cached: bool = False) -> Iterator[Json]:
    yield driver(name, cached=cached)
    yield node(name, "Succeeded", type="DAG")
    if cached:
        yield node(f"{name}.executor", "Skipped", type="Skipped")
        return
    yield node(f"{name}.executor", "Succeeded", type="Retry")
    for number in range(tries):
        last = number == tries - 1
        told = {} if last else {"message": "OOMKilled (exit code 137)"}
        yield node(f"{name}.executor({number})", "Succeeded" if last else "Failed", type="Pod", **told)
