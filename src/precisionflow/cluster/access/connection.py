"""Connection to a cluster: by a kubeconfig's context from outside, by the pod's service account from inside."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.login import of_pod, of_user
from precisionflow.cluster.access.names import KFP_NAMESPACE
from precisionflow.cluster.access.pipelines_api import (
    PipelinesApi,
    at_address,
    inside_cluster,
    through_api_server,
)

if TYPE_CHECKING:
    import kfp
    from kfp_server_api import Configuration
    from kubernetes.client import ApiClient, CoreV1Api, CustomObjectsApi

_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Access:
    """Cluster that the user names; everything may be left out."""

    context: str | None = None
    """Context of the kubeconfig; none: its current one."""
    namespace: str | None = None
    """Namespace of runs; none: the pod's own, else the kubeconfig's unless that is default, else kubeflow."""
    host: str | None = None
    """Address of KFP's API; none: through the Kubernetes API server, or the service's name inside a cluster."""

    def __post_init__(self) -> None:
        if self.host and not self.host.startswith(("http://", "https://")):
            raise ValueError(f"--host {self.host!r}: should begin with http:// or https://")


class Connection:
    """Clients for one cluster; ClusterError with one line where it does not answer."""

    def __init__(self, access: Access = Access()) -> None:
        self.access = access

    @cached_property
    def api(self) -> "ApiClient":
        """The Kubernetes client."""
        from kubernetes import client, config

        with explained("reading the kubeconfig"):
            if inside():
                config.load_incluster_config()
                return client.ApiClient()
            return config.new_client_from_config(context=self.access.context)

    @cached_property
    def core(self) -> "CoreV1Api":
        """Client for pods, events, secrets and the like."""
        from kubernetes import client

        return client.CoreV1Api(self.api)

    @cached_property
    def custom(self) -> "CustomObjectsApi":
        """Client for objects of kinds that CRDs bring."""
        from kubernetes import client

        return client.CustomObjectsApi(self.api)

    @cached_property
    def namespace(self) -> str:
        """Namespace in which runs, TrainJobs and Katib experiments are made."""
        if self.access.namespace:
            return self.access.namespace
        if inside():
            return _NAMESPACE.read_text().strip()
        from kubernetes import config

        with explained("reading the kubeconfig"):
            contexts, active = config.list_kube_config_contexts()
        chosen = next((c for c in contexts if c["name"] == self.access.context), active)
        named = str(chosen["context"].get("namespace") or "default")
        return "kubeflow" if named == "default" else named

    @cached_property
    def pipelines(self) -> "kfp.Client":
        """KFP's client, once KFP has answered: the client itself would try for half a minute."""
        import kfp

        found = self.pipelines_api
        with explained("reaching Kubeflow Pipelines"), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # its greeting
            if found.address:
                return kfp.Client(host=found.address, credentials=found.login)
            client = kfp.Client(namespace=found.namespace, kube_context=self.access.context)
            _keep_host(client.runs.api_client.configuration)
            return client

    @property
    def kfp_namespace(self) -> str | None:
        """Namespace that KFP wants to be told; none where all users share one."""
        return self.namespace if self.pipelines_api.tells_users_apart else None

    @cached_property
    def pipelines_api(self) -> PipelinesApi:
        """KFP's API: at `--host`, else in the namespace of runs; a pod in a user's namespace finds it in its own.

        ClusterError where it does not answer, and where it tells users apart but is not told who asks.
        """
        with explained("reaching Kubeflow Pipelines"):
            if self.access.host:
                return at_address(self.access.host, login=of_user(self.access.host, self.api))
            if inside():
                return inside_cluster(dict.fromkeys((self.namespace, KFP_NAMESPACE)), login=of_pod())
            found = through_api_server(self.namespace, api=self.api)
        if found.tells_users_apart:
            raise ClusterError(
                f"Kubeflow Pipelines: that in {found.namespace} tells its users apart, and the API server does not "
                "tell it who you are; give its own address with --host"
            )
        return found

    def renew(self) -> None:
        """Forget the clients: what is asked next reads the kubeconfig anew, with the token that it has then."""
        for name in ("api", "core", "custom", "pipelines", "pipelines_api"):
            self.__dict__.pop(name, None)


def _keep_host(configuration: "Configuration") -> None:
    """Have a token that is renewed leave the address alone.

    With a token in the kubeconfig, Kubernetes' client (30.1) renews it before each request and sets the API server's
    address anew, without the path of its proxy to KFP that KFP's client has added, and its own hook with it.
    """
    renew, host = configuration.refresh_api_key_hook, configuration.host
    if renew is None:
        return

    def renewed(configuration: "Configuration") -> None:
        renew(configuration)
        configuration.host, configuration.refresh_api_key_hook = host, renewed

    configuration.refresh_api_key_hook = renewed


def inside() -> bool:
    """Whether this process is a pod's."""
    return _NAMESPACE.exists()
