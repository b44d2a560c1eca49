"""Commands that mend a cluster: kubectl for the one that is examined, installation, rights."""

import shlex
from collections.abc import Callable
from functools import partial

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.rest import get

ACCOUNTS = ("pipeline-runner", "default-editor")
"""Service accounts of runs, KFP's own and that of a profile."""
_TRAINER = "https://github.com/kubeflow/trainer.git/manifests/overlays"
_PIPELINES = "github.com/kubeflow/pipelines/manifests/kustomize"
INSTALL_PIPELINES = (
    f'apply -k "{_PIPELINES}/cluster-scoped-resources?ref=2.17.0"',
    "wait --for condition=established --timeout=60s crd/applications.app.k8s.io",
    f'apply -k "{_PIPELINES}/env/platform-agnostic?ref=2.17.0"',
)
"""Words for kubectl, one after the other, that install KFP: its kinds, then it, its object store and its account."""
INSTALL_TRAINER = f'apply --server-side -k "{_TRAINER}/manager?ref=v2.3.0"'
"""Words for kubectl that install Kubeflow Trainer and JobSet."""
INSTALL_RUNTIMES = f'apply --server-side -k "{_TRAINER}/runtimes?ref=v2.3.0"'
"""Words for kubectl that install the Trainer's runtimes."""
INSTALL_KATIB = (
    'apply -k "github.com/kubeflow/katib.git/manifests/v1beta1/installs/katib-standalone?ref=v0.19.0"'
)
"""Words for kubectl that install Katib."""


def kubectl(connection: Connection, words: str) -> str:
    """kubectl with these words, for the cluster that is examined."""
    context = connection.access.context
    return f"kubectl --context {shlex.quote(context)} {words}" if context else f"kubectl {words}"


def once(words: str) -> Callable[[Connection], str]:
    """kubectl with these words, for the cluster that is given then."""
    return partial(kubectl, words=words)


def install_pipelines(connection: Connection) -> str:
    """Command that installs KFP."""
    return " && ".join(kubectl(connection, words) for words in INSTALL_PIPELINES)


def account(connection: Connection) -> str | None:
    """The service account that runs get in this namespace."""
    path = f"/api/v1/namespaces/{connection.namespace}/serviceaccounts"
    return next((name for name in ACCOUNTS if get(connection.api, f"{path}/{name}")), None)


def provide(connection: Connection, *, shared: bool = True) -> str:
    """Command that gives the namespace of runs its rights, its workspace and MLflow's address.

    Where the workspace is not `shared`, its volume is one machine's.
    """
    where, words = connection.namespace, []
    if where != "kubeflow":
        words += [f"s/namespace: kubeflow/namespace: {where}/", f"s/name: precisionflow-runs/&-{where}/"]
        if (name := account(connection) or ACCOUNTS[0]) != ACCOUNTS[0]:
            words.append(f"s/name: {ACCOUNTS[0]}/name: {name}/")
    if not shared:
        words.append("s/ReadWriteMany/ReadWriteOnce/")
    if not words:
        return kubectl(connection, "apply -k manifests/runs")
    changed = f"sed {shlex.quote('; '.join(words))}"
    return f"kubectl kustomize manifests/runs | {changed} | {kubectl(connection, 'apply -f -')}"
