"""What a run asks for and a cluster lacks: one line before anything is sent, instead of pods that wait."""

from dataclasses import dataclass

from precisionflow.cluster.access.claims import refuse_absent_claim
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.kinds import CLUSTER_RUNTIMES, EXPERIMENTS, RUNTIMES, TRAINJOBS
from precisionflow.cluster.access.listening import refuse_unheard
from precisionflow.cluster.access.queues import KUEUE, served_version
from precisionflow.cluster.access.rest import Json, forbidden, is_absent, items
from precisionflow.config.cluster import Cluster


@dataclass(frozen=True)
class Asked:
    """What is looked for in the cluster."""

    cluster: Cluster
    """Settings of the experiment."""
    trainer: bool = False
    """Whether a variant trains on several nodes."""
    volume: str | None = None
    """Claim that pods mount."""
    searching: bool = False
    """Whether Katib searches first."""


def refuse_unmet(asked: Asked, connection: Connection) -> None:
    """ClusterError for the first thing that is not there; what the user may not look at is taken to be there."""
    cluster = asked.cluster
    with explained(f"looking for the quotas of namespace {connection.namespace}"):
        _refuse_beyond_quota(cluster, connection)
    if cluster.queue:
        with explained(f"looking for the queue {cluster.queue!r} (cluster.queue)"):
            _refuse_queue(cluster.queue, cluster.priority, connection)
    for name in cluster.pull_secrets:
        with explained(f"looking for the pull secret {name!r} (cluster.pull_secrets)"):
            _refuse_secret(name, connection)
    if asked.trainer:
        with explained("looking for Kubeflow Trainer, which engine.nodes > 1 needs"):
            _refuse_trainer(cluster, connection)
    if asked.searching:
        with explained("looking for Katib, which the search needs"):
            if is_absent(connection.api, f"/apis/{EXPERIMENTS.api_version}"):
                raise ClusterError(
                    "Katib, which the search needs, is not installed; `precisionflow doctor` says how"
                )
        refuse_unheard(connection)
    if asked.volume:
        refuse_absent_claim(asked.volume, connection)


def _refuse_beyond_quota(cluster: Cluster, connection: Connection) -> None:
    """ClusterError where one pod asks for more than a quota allows to all of them together: it would never be made."""
    from kubernetes.utils.quantity import parse_quantity

    quotas = _listed(f"/api/v1/namespaces/{connection.namespace}/resourcequotas", connection) or []
    for quota in quotas:
        spec = quota["spec"]
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue  # of some pods alone, which ones is not known here
        hard = spec.get("hard", {})
        for part in ("train", "evaluate", "other"):
            for name, amount in getattr(cluster, part).share.items():
                limits = [hard[key] for key in (name, f"requests.{name}", f"limits.{name}") if key in hard]
                least = min(limits, key=parse_quantity, default=None)
                if least is not None and parse_quantity(amount) > parse_quantity(least):
                    raise ClusterError(
                        f"cluster.{part}: a pod asks for {amount} {name}, and quota {quota['metadata']['name']} allows "
                        f"the whole namespace {connection.namespace} {least}; ask for less, or have the quota raised"
                    )


def _refuse_queue(queue: str, priority: str | None, connection: Connection) -> None:
    version = served_version(connection)
    if version is None:
        raise ClusterError(f"cluster.queue {queue!r}: Kueue is not installed; leave it out, or install Kueue")
    group, where = f"/apis/{KUEUE}/{version}", connection.namespace
    queues = _names_at(f"{group}/namespaces/{where}/localqueues", connection)
    _refuse_unknown(f"cluster.queue {queue!r}: is no LocalQueue of namespace {where}", queue, queues)
    if priority:
        classes = _names_at(f"{group}/workloadpriorityclasses", connection)
        _refuse_unknown(f"cluster.priority {priority!r}: is no WorkloadPriorityClass", priority, classes)


def _refuse_secret(name: str, connection: Connection) -> None:
    where = connection.namespace
    if is_absent(connection.api, f"/api/v1/namespaces/{where}/secrets/{name}"):
        raise ClusterError(
            f"cluster.pull_secrets {name!r}: namespace {where} has no such Secret; make it: `kubectl -n {where} "
            f"create secret docker-registry {name} --docker-server=HOST --docker-username=USER "
            "--docker-password=PASSWORD`"
        )


def _refuse_trainer(cluster: Cluster, connection: Connection) -> None:
    if is_absent(connection.api, f"/apis/{TRAINJOBS.api_version}"):
        raise ClusterError(
            "Kubeflow Trainer, which engine.nodes > 1 needs, is not installed; `precisionflow doctor` says how, "
            "or train on one node with --set engine.nodes=1"
        )
    group, where = f"/apis/{TRAINJOBS.api_version}", connection.namespace
    shared = _names_at(f"{group}/{CLUSTER_RUNTIMES.plural}", connection)
    own = _names_at(f"{group}/namespaces/{where}/{RUNTIMES.plural}", connection)
    runtimes = None if shared is None or own is None else shared + own
    _refuse_unknown(f"cluster.runtime {cluster.runtime!r}: is no training runtime", cluster.runtime, runtimes)
    if name := cluster.priority_class:
        classes = _names_at("/apis/scheduling.k8s.io/v1/priorityclasses", connection)
        _refuse_unknown(f"cluster.priority_class {name!r}: is no PriorityClass", name, classes)


def _names_at(path: str, connection: Connection) -> list[str] | None:
    found = _listed(path, connection)
    return None if found is None else [one["metadata"]["name"] for one in found]


def _listed(path: str, connection: Connection) -> list[Json] | None:
    """Objects in a list; none where the user may not look."""
    from kubernetes.client import ApiException

    try:
        return items(connection.api, path)
    except ApiException as error:
        if forbidden(error):
            return None
        raise


def _refuse_unknown(refusal: str, name: str, there: list[str] | None) -> None:
    if there is not None and name not in there:
        raise ClusterError(f"{refusal}; there are: {', '.join(there) or 'none'}")
