"""Whether Kubeflow is there: the API server, Pipelines, Argo Workflows, Trainer, JobSet, Katib."""

import json
import shlex
from dataclasses import dataclass
from typing import get_args

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.access.rest import Json, forbidden, get, items, post
from precisionflow.cluster.doctor.finding import Findings, bad, note, ok
from precisionflow.config.cluster import Cluster

SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
HEALTH = "apis/v2beta1/healthz"
_TRAINER = "https://github.com/kubeflow/trainer.git/manifests/overlays"
PIPELINES = 'apply -k "github.com/kubeflow/pipelines/manifests/kustomize/env/platform-agnostic?ref=2.17.0"'
"""What installs KFP, its object store and its service account."""


@dataclass(frozen=True)
class Part:
    """A part of Kubeflow: the kind that its CRD brings, and the controller that acts on it."""

    what: str
    group: str
    version: str
    resource: str
    controller: str
    install: str
    """What `kubectl` is told to install it."""


PARTS = (
    Part(
        "Argo Workflows",
        "argoproj.io",
        "v1alpha1",
        "workflows",
        "workflow-controller",
        PIPELINES,
    ),
    Part(
        "Trainer",
        "trainer.kubeflow.org",
        "v1alpha1",
        "trainjobs",
        "kubeflow-trainer-controller-manager",
        f'apply --server-side -k "{_TRAINER}/manager?ref=v2.3.0"',
    ),
    Part(
        "JobSet",
        "jobset.x-k8s.io",
        "v1alpha2",
        "jobsets",
        "jobset-controller-manager",
        f'apply --server-side -k "{_TRAINER}/manager?ref=v2.3.0"',
    ),
    Part(
        "Katib",
        "kubeflow.org",
        "v1beta1",
        "experiments",
        "katib-controller",
        'apply -k "github.com/kubeflow/katib.git/manifests/v1beta1/installs/katib-standalone?ref=v0.19.0"',
    ),
)


def kubectl(connection: Connection, words: str) -> str:
    """A command for the cluster that is examined."""
    context = connection.access.context
    return f"kubectl --context {shlex.quote(context)} {words}" if context else f"kubectl {words}"


def provide(connection: Connection, account: str | None = None) -> str:
    """What gives the namespace of runs its rights, its workspace and MLflow's address."""
    if connection.namespace == "kubeflow":
        return kubectl(connection, "apply -k manifests/runs")
    where = connection.namespace
    words = f"s/namespace: kubeflow/namespace: {where}/; s/name: precisionflow-runs/&-{where}/"
    if account and account != "pipeline-runner":
        words += f"; s/name: pipeline-runner/name: {account}/"
    return (
        f"kubectl kustomize manifests/runs | sed {shlex.quote(words)} | {kubectl(connection, 'apply -f -')}"
    )


def reach(connection: Connection) -> Findings:
    """Version of the API server, and who asks; ClusterError where it doesn't answer or doesn't know the user."""
    with explained("Kubernetes API"):
        version = get(connection.api, "/version") or {}
        user = whoami(connection)
    settings = connection.api.configuration
    yield ok("Kubernetes API", f"{version.get('gitVersion')} at {settings.host}")
    if not settings.verify_ssl:
        yield note("Kubernetes API", "its certificate is not verified, the kubeconfig says so")
    yield ok("you", f"are {user['username']}, runs go to namespace {connection.namespace}")


def whoami(connection: Connection) -> Json:
    """Name and groups of the user; ApiException 401 for a credential that the server doesn't take."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return dict(post(connection.api, SELF, body)["status"]["userInfo"])


def check_pipelines(connection: Connection) -> Findings:
    """KFP's API answers, where runs will be sent."""
    what, host, where = "Kubeflow Pipelines", connection.access.host, connection.namespace
    if host:
        yield ok(what, f"{_sort(_health(host))}, API at {host}")
        return
    health = get(connection.api, f"/api/v1/namespaces/{where}/services/ml-pipeline:http/proxy/{HEALTH}")
    if health is not None:
        deployment = get(connection.api, f"/apis/apps/v1/namespaces/{where}/deployments/ml-pipeline")
        yield ok(what, f"{_sort(health)}, {_image(deployment) if deployment else 'API'} in {where}")
    elif get(connection.api, "/api/v1/namespaces/kubeflow/services/ml-pipeline") is None:
        yield bad(what, f"no service ml-pipeline in {where} or kubeflow", kubectl(connection, PIPELINES))
    else:
        context = f" --context {shlex.quote(connection.access.context)}" if connection.access.context else ""
        mend = f"precisionflow doctor --namespace kubeflow{context}"
        yield bad(what, f"no service ml-pipeline in {where}, there is one in kubeflow", mend)


def _health(host: str) -> Json:
    """What KFP's API at an address says about itself."""
    from urllib.request import urlopen

    with (
        explained(f"Kubeflow Pipelines at {host}"),
        urlopen(f"{host.rstrip('/')}/{HEALTH}", timeout=20) as answer,
    ):
        return dict(json.load(answer))


def _sort(health: Json) -> str:
    return "for several users" if health.get("multi_user") else "standalone"


def _image(deployment: Json) -> str:
    """Image of a deployment's first container, without its registry."""
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"]).rsplit("/", 1)[-1]


def check_parts(connection: Connection) -> Findings:
    """Each part's kind is served in the version that we write, and its controller runs."""
    for part in PARTS:
        group = get(connection.api, f"/apis/{part.group}")
        kinds = get(connection.api, f"/apis/{part.group}/{part.version}") or {}
        install = kubectl(connection, part.install)
        kind = f"{part.resource}.{part.group}"
        if part.resource not in {resource["name"] for resource in kinds.get("resources", [])}:
            served = [str(version["version"]) for version in (group or {}).get("versions", [])]
            only = f" (its group is served in {', '.join(served)})" if served else ""
            yield bad(part.what, f"{kind} {part.version} is not installed{only}", install)
            continue
        yield from _controller(connection, part, f"{kind} {part.version}")


def _controller(connection: Connection, part: Part, served: str) -> Findings:
    """The deployment that acts on the kind: without it nothing that is made is ever looked at."""
    from kubernetes.client import ApiException

    path = "/apis/apps/v1/deployments"
    try:
        found = items(connection.api, path, fieldSelector=f"metadata.name={part.controller}")
    except ApiException as error:
        if not forbidden(error):
            raise
        yield ok(part.what, f"{served} (you may not look at its controller)")
        return
    if not found:
        yield bad(
            part.what,
            f"{served} is served, but no deployment {part.controller} acts on it",
            kubectl(connection, part.install),
        )
        return
    for deployment in found:
        where = deployment["metadata"]["namespace"]
        if deployment["status"].get("availableReplicas"):
            yield ok(part.what, f"{served}, {_image(deployment)} in {where}")
        else:
            look = kubectl(connection, f"-n {where} rollout restart deployment/{part.controller}")
            yield bad(part.what, f"{served}, but {part.controller} in {where} has no pod that is ready", look)


def check_runtimes(connection: Connection) -> Findings:
    """The training runtimes that an experiment can name."""
    wanted = get_args(Cluster.model_fields["runtime"].annotation)
    listed = items(connection.api, "/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes")
    there = {runtime["metadata"]["name"] for runtime in listed}
    missing = [name for name in wanted if name not in there]
    if missing:
        install = f'apply --server-side -k "{_TRAINER}/runtimes?ref=v2.3.0"'
        yield bad("training runtimes", f"no {', no '.join(missing)}", kubectl(connection, install))
    else:
        yield ok("training runtimes", ", ".join(wanted))


def check_object_store(connection: Connection) -> Findings:
    """Where KFP keeps artifacts: its own store answers, or another one is named."""
    launcher = get(connection.api, f"/api/v1/namespaces/{connection.namespace}/configmaps/kfp-launcher")
    root = ((launcher or {}).get("data") or {}).get(
        "defaultPipelineRoot"
    ) or "minio://mlpipeline/v2/artifacts"
    if not root.startswith("minio://"):
        yield note("object store", f"artifacts go to {root}; it is not asked")
        return
    for namespace in dict.fromkeys((connection.namespace, "kubeflow")):
        if get(connection.api, f"/api/v1/namespaces/{namespace}/services/minio-service") is None:
            continue
        count = ready_endpoints(connection, namespace, "minio-service")
        if count:
            yield ok("object store", f"{root}, minio-service in {namespace}, {count} ready")
        else:
            look = f"-n {namespace} get pods,endpointslices -l app=minio"
            yield bad(
                "object store",
                f"minio-service in {namespace} has no pod that is ready",
                kubectl(connection, look),
            )
        return
    yield bad("object store", f"{root} needs the service minio-service", kubectl(connection, PIPELINES))


def ready_endpoints(connection: Connection, namespace: str, service: str) -> int:
    """Pods behind a service that take requests."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    slices = items(connection.api, path, labelSelector=f"kubernetes.io/service-name={service}")
    endpoints = [endpoint for each in slices for endpoint in each.get("endpoints") or []]
    return sum(endpoint.get("conditions", {}).get("ready") is not False for endpoint in endpoints)
