"""Namespace of runs: its label, room under its quota, volumes, nodes with resources."""

from decimal import Decimal

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.names import INJECTION
from precisionflow.cluster.access.rest import Json, get, items
from precisionflow.cluster.doctor.commands import kubectl, provide
from precisionflow.cluster.doctor.finding import Finding, Findings, bad, note, ok
from precisionflow.config.cluster import CLAIM, Cluster

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
GPUS = ("nvidia.com/gpu", "amd.com/gpu")
"""Resources that most GPUs are; others are told where a node offers them."""
ONE_MACHINE = (
    "cinder.csi.openstack.org",
    "csi.hetzner.cloud",
    "disk.csi.azure.com",
    "dobs.csi.digitalocean.com",
    "ebs.csi.aws.com",
    "kubernetes.io/aws-ebs",
    "kubernetes.io/azure-disk",
    "kubernetes.io/gce-pd",
    "linodebs.csi.linode.com",
    "local.csi.openebs.io",
    "openebs.io/local",
    "pd.csi.storage.gke.io",
    "rancher.io/local-path",
    "topolvm.io",
)
"""Provisioners whose file systems one machine mounts: ReadWriteOnce. Kubernetes does not say it of a class."""


def amount(quantity: str) -> Decimal:
    """A Kubernetes quantity as a number: 500m -> 0.5."""
    from kubernetes.utils.quantity import parse_quantity

    return Decimal(parse_quantity(quantity))


def check_namespace(connection: Connection) -> Findings:
    """The namespace is there, with which level of Pod Security, and Katib may add its collector to pods."""
    name = connection.namespace
    namespace = get(connection.api, f"/api/v1/namespaces/{name}")
    if namespace is None:
        yield bad("namespace", f"{name} is not there", kubectl(connection, f"create namespace {name}"))
        return
    labels = namespace["metadata"].get("labels", {})
    level = labels.get("pod-security.kubernetes.io/enforce", "none")
    yield ok("namespace", f"{name}, Pod Security {level}")
    if labels.get(INJECTION) == "enabled":
        yield ok("namespace label", f"{INJECTION}=enabled")
    else:
        mend = kubectl(connection, f"label --overwrite namespace {name} {INJECTION}=enabled")
        yield bad(
            "namespace label", f"{INJECTION} is not enabled, so Katib reads no metrics of trials here", mend
        )


def check_quota(connection: Connection) -> Findings:
    """Room under each quota is enough for one training pod."""
    quotas = items(connection.api, f"/api/v1/namespaces/{connection.namespace}/resourcequotas")
    if not quotas:
        yield ok("quota", "none in force")
    train = Cluster().train
    needed = {"cpu": amount(train.cpu), "memory": amount(train.memory), "pods": Decimal(1)}
    for quota in quotas:
        name, status = quota["metadata"]["name"], quota.get("status", {})
        hard, used = status.get("hard", {}), status.get("used", {})
        short = [
            f"{used.get(key, '0')} of {limit} {key} is used"
            for key, limit in hard.items()
            if amount(limit) - amount(used.get(key, "0")) < needed.get(key.split(".")[-1], Decimal(0))
        ]
        if short:
            look = kubectl(connection, f"-n {connection.namespace} edit resourcequota {name}")
            asks = f"a training pod asks for cpu {train.cpu}, memory {train.memory}"
            yield bad("quota", f"{name}: {', '.join(short)}; {asks}", look)
        else:
            yield ok(
                "quota", f"{name}: " + ", ".join(f"{used.get(k, '0')} of {v} {k}" for k, v in hard.items())
            )


def check_storage(connection: Connection) -> Findings:
    """A class for claims that name none, and the claim that a TrainJob's nodes share."""
    claims = f"/api/v1/namespaces/{connection.namespace}/persistentvolumeclaims"
    classes = items(connection.api, "/apis/storage.k8s.io/v1/storageclasses")
    default = [c for c in classes if c["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true"]
    names = [c["metadata"]["name"] for c in classes]
    if default:
        alone = ", ReadWriteOnce alone" if default[0]["provisioner"] in ONE_MACHINE else ""
        yield ok("storage class", f"{default[0]['metadata']['name']} by {default[0]['provisioner']}{alone}")
    elif names:
        patch = f"annotate storageclass {names[0]} {DEFAULT_CLASS}=true"
        yield bad("storage class", f"none of {', '.join(names)} is the default", kubectl(connection, patch))
    else:
        yield bad(
            "storage class", "there is none; the cluster's administrator installs a provisioner of volumes"
        )
    claim = get(connection.api, f"{claims}/{CLAIM}")
    if claim is None:
        yield bad("workspace", f"no claim {CLAIM} in {connection.namespace}", provide(connection))
    else:
        yield _workspace(connection, claim, {c["metadata"]["name"]: c for c in classes})


def _workspace(connection: Connection, claim: Json, classes: dict[str, Json]) -> Finding:
    name, spec, phase = claim["metadata"]["name"], claim["spec"], claim["status"]["phase"]
    modes = ", ".join(spec["accessModes"])
    size = claim["status"].get("capacity", spec["resources"]["requests"])["storage"]
    kind = classes.get(spec.get("storageClassName", ""))
    describe = kubectl(connection, f"-n {connection.namespace} describe persistentvolumeclaim {name}")
    if phase == "Bound":
        on = (
            "bound" if "ReadWriteMany" in modes else "bound: every pod of a run is on the machine that has it"
        )
        return ok("workspace", f"{name}, {size} {modes}, {on}")
    if phase == "Lost":
        return bad("workspace", f"{name} has lost its volume", describe)
    if kind is None and spec.get("storageClassName"):
        return bad(
            "workspace",
            f"{name} asks for storage class {spec['storageClassName']}, which is not there",
            describe,
        )
    if kind and kind["provisioner"] in ONE_MACHINE and "ReadWriteMany" in modes:
        gives = f"{kind['metadata']['name']} by {kind['provisioner']} gives ReadWriteOnce alone"
        delete = kubectl(connection, f"-n {connection.namespace} delete persistentvolumeclaim {name}")
        mend = f"{delete} && {provide(connection, shared=False)}"
        return bad("workspace", f"{name} asks for {modes}, and storage class {gives}", mend)
    if kind and kind.get("volumeBindingMode") == "WaitForFirstConsumer":
        return ok("workspace", f"{name}, {size} {modes}, binds when the first pod uses it")
    return bad("workspace", f"{name} is {phase}: no volume fits {size} {modes}", describe)


def check_nodes(connection: Connection) -> Findings:
    """Nodes that take pods, the largest of them, GPUs."""
    nodes = [node for node in items(connection.api, "/api/v1/nodes") if _takes_pods(node)]
    if not nodes:
        yield bad("nodes", "none is ready to take pods", kubectl(connection, "get nodes"))
        return
    train = Cluster().train
    rooms = [node["status"]["allocatable"] for node in nodes]
    best = max(rooms, key=lambda room: (amount(room["cpu"]), amount(room["memory"])))
    memory = amount(best["memory"]) / 2**30
    shown = f"{len(nodes)} ready, the largest has {best['cpu']} CPUs and {memory:.0f} GiB"
    if amount(best["cpu"]) < amount(train.cpu) or amount(best["memory"]) < amount(train.memory):
        asks = f"a training pod asks for {train.cpu} and {train.memory}; --set cluster.train.cpu=… and memory"
        yield bad("nodes", f"{shown}; {asks}", kubectl(connection, "describe nodes"))
    else:
        yield ok("nodes", shown)
    devices = dict.fromkeys([*GPUS, *(name for room in rooms for name in room if "/" in name)])
    found = {name: sum(amount(room.get(name, "0")) for room in rooms) for name in devices}
    offered = [f"{count} {gpu}" for gpu, count in found.items() if count]
    if offered:
        yield ok("GPUs", ", ".join(offered))
    else:
        yield note("GPUs", f"no node offers {' or '.join(GPUS)}; keep cluster.train.gpus at 0")


def _takes_pods(node: Json) -> bool:
    conditions = {condition["type"]: condition["status"] for condition in node["status"]["conditions"]}
    return conditions.get("Ready") == "True" and not node["spec"].get("unschedulable")
