"""Platform of runs: the API server, KFP and its object store, the operators (Argo, Trainer, JobSet, Katib)."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from precisionflow.cluster.access.artifact_store import ArtifactStore, launcher_settings, service_of
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.access.kinds import (
    CLUSTER_RUNTIMES,
    EXPERIMENTS,
    JOBSETS,
    TRAINJOBS,
    WORKFLOWS,
    Kind,
)
from precisionflow.cluster.access.names import KFP_NAMESPACE, STORES
from precisionflow.cluster.access.rest import Json, forbidden, get, items, post
from precisionflow.cluster.doctor.commands import (
    INSTALL_KATIB,
    INSTALL_RUNTIMES,
    INSTALL_TRAINER,
    install_pipelines,
    kubectl,
    once,
)
from precisionflow.cluster.doctor.finding import Findings, bad, note, ok
from precisionflow.config.cluster import Cluster

SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@dataclass(frozen=True)
class Operator:
    """An operator of Kubeflow: the kind that its CRD brings, and the controller that acts on it."""

    what: str
    kind: Kind
    controller: str
    """Name of the controller's deployment."""
    install: Callable[[Connection], str]
    """Command that installs it."""


OPERATORS = (
    Operator("Argo Workflows", WORKFLOWS, "workflow-controller", install_pipelines),
    Operator("Trainer", TRAINJOBS, "kubeflow-trainer-controller-manager", once(INSTALL_TRAINER)),
    Operator("JobSet", JOBSETS, "jobset-controller-manager", once(INSTALL_TRAINER)),
    Operator("Katib", EXPERIMENTS, "katib-controller", once(INSTALL_KATIB)),
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
    if host or _has_pipelines(connection, where):
        with explained(f"{what} at {host}" if host else what):
            api = connection.pipelines_api
        if host:
            place = f"API at {host}"
        else:
            deployment = get(connection.api, f"/apis/apps/v1/namespaces/{where}/deployments/ml-pipeline")
            place = f"{_image(deployment) if deployment else 'API'} in {where}"
        yield ok(what, f"{'for several users' if api.tells_users_apart else 'standalone'}, {place}")
    elif not _has_pipelines(connection, KFP_NAMESPACE):
        found = f"no service ml-pipeline in {where} or {KFP_NAMESPACE}"
        yield bad(what, found, install_pipelines(connection))
    else:
        context = f" --context {shlex.quote(connection.access.context)}" if connection.access.context else ""
        mend = f"precisionflow doctor --namespace {KFP_NAMESPACE}{context}"
        profile = f"with Kubeflow's profiles say --namespace {where} --host ADDRESS"
        yield bad(
            what, f"no service ml-pipeline in {where}, there is one in {KFP_NAMESPACE}; {profile}", mend
        )


def _has_pipelines(connection: Connection, namespace: str) -> bool:
    return get(connection.api, f"/api/v1/namespaces/{namespace}/services/ml-pipeline") is not None


def _image(deployment: Json) -> str:
    """Image of a deployment's first container, without its registry."""
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"]).rsplit("/", 1)[-1]


def check_operators(connection: Connection) -> Findings:
    """Each operator's kind is served in the version that we write, and its controller runs."""
    for operator in OPERATORS:
        kind = operator.kind
        group = get(connection.api, f"/apis/{kind.group}")
        kinds = get(connection.api, f"/apis/{kind.api_version}") or {}
        wanted = f"{kind.resource} {kind.version}"
        if kind.plural not in {resource["name"] for resource in kinds.get("resources", [])}:
            served = [str(version["version"]) for version in (group or {}).get("versions", [])]
            only = f" (its group is served in {', '.join(served)})" if served else ""
            mend = operator.install(connection)
            yield bad(operator.what, f"{wanted} is not installed{only}", mend)
            continue
        yield from _controller(connection, operator, wanted)


def _controller(connection: Connection, operator: Operator, served: str) -> Findings:
    """The deployment that acts on the kind: without it nothing that is made is ever looked at."""
    from kubernetes.client import ApiException

    path = "/apis/apps/v1/deployments"
    try:
        found = items(connection.api, path, fieldSelector=f"metadata.name={operator.controller}")
    except ApiException as error:
        if not forbidden(error):
            raise
        yield ok(operator.what, f"{served} (you may not look at its controller)")
        return
    if not found:
        yield bad(
            operator.what,
            f"{served} is served, but no deployment {operator.controller} acts on it",
            operator.install(connection),
        )
        return
    for deployment in found:
        where = deployment["metadata"]["namespace"]
        if deployment["status"].get("availableReplicas"):
            yield ok(operator.what, f"{served}, {_image(deployment)} in {where}")
        else:
            look = kubectl(connection, f"-n {where} rollout restart deployment/{operator.controller}")
            yield bad(
                operator.what,
                f"{served}, but {operator.controller} in {where} has no pod that is ready",
                look,
            )


def check_runtimes(connection: Connection) -> Findings:
    """The training runtimes that an experiment can name."""
    wanted = get_args(Cluster.model_fields["runtime"].annotation)
    listed = items(connection.api, f"/apis/{CLUSTER_RUNTIMES.api_version}/{CLUSTER_RUNTIMES.plural}")
    there = {runtime["metadata"]["name"] for runtime in listed}
    missing = [name for name in wanted if name not in there]
    if missing:
        mend = kubectl(connection, INSTALL_RUNTIMES)
        yield bad("training runtimes", f"no {', no '.join(missing)}", mend)
    else:
        yield ok("training runtimes", ", ".join(wanted))


def check_object_store(connection: Connection) -> Findings:
    """Where KFP keeps artifacts: the service that leads there has a ready pod, or a store outside is named."""
    store = ArtifactStore.of(launcher_settings(connection))
    service = service_of(store, connection)
    if service is None:
        if store.kind == "minio" and store.endpoint is None:
            wanted = f"{store.root} needs the service {' or '.join(STORES)}"
            yield bad("object store", wanted, install_pipelines(connection))
        else:
            at = f" at {store.endpoint}" if store.endpoint else ""
            yield note("object store", f"artifacts go to {store.root}{at}; it is not asked")
        return
    count = ready_endpoints(connection, service.namespace, service.name)
    if count:
        where = f"{service.name} in {service.namespace}, port {service.port}"
        yield ok("object store", f"{store.root}, {where}, {count} ready")
    else:
        yield bad(
            "object store",
            f"{service.name} in {service.namespace} has no pod that is ready",
            kubectl(connection, f"-n {service.namespace} describe service {service.name}"),
        )


def ready_endpoints(connection: Connection, namespace: str, service: str) -> int:
    """Pods behind a service that take requests."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    slices = items(connection.api, path, labelSelector=f"kubernetes.io/service-name={service}")
    endpoints = [endpoint for each in slices for endpoint in each.get("endpoints") or []]
    return sum(endpoint.get("conditions", {}).get("ready") is not False for endpoint in endpoints)
