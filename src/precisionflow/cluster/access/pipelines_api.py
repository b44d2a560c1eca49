"""KFP's API: where it answers, what it says of itself, with which login."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from precisionflow.cluster.access.login import Login

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

SECONDS = 15
"""Longest wait for a sign of life."""


@dataclass(frozen=True)
class PipelinesApi:
    """KFP's API, which has answered."""

    health: Mapping[str, Any]
    """What it says of itself."""
    namespace: str | None = None
    """Where it lives; none where only its address is known."""
    address: str | None = None
    """None: through the Kubernetes API server."""
    login: Login | None = None

    @property
    def tells_users_apart(self) -> bool:
        """Whether runs have a namespace for each user."""
        return bool(self.health.get("multi_user"))


def at_address(host: str, *, login: Login | None, namespace: str | None = None) -> PipelinesApi:
    """KFP at an address of its own; raises what its client does where it does not answer."""
    import kfp_server_api

    settings = kfp_server_api.Configuration(host=host.rstrip("/"))
    settings.retries = False
    if login:
        login.equip(settings)
    service = kfp_server_api.HealthzServiceApi(kfp_server_api.ApiClient(settings))
    health = service.healthz_service_get_healthz(_request_timeout=SECONDS)
    return PipelinesApi({"multi_user": bool(health.multi_user)}, namespace, host.rstrip("/"), login)


def inside_cluster(namespaces: Iterable[str], *, login: Login | None) -> PipelinesApi:
    """KFP in the first of these namespaces where its service has a name; raises of the last one why it has none."""
    from urllib3.exceptions import HTTPError

    *first, last = namespaces
    for namespace in first:
        try:
            return at_address(_service(namespace), login=login, namespace=namespace)
        except HTTPError:
            continue
    return at_address(_service(last), login=login, namespace=last)


def through_api_server(namespace: str, *, api: "ApiClient") -> PipelinesApi:
    """KFP behind the Kubernetes API server, which keeps a user's token to itself; ApiException 404 where it is not."""
    path = f"/api/v1/namespaces/{namespace}/services/ml-pipeline:http/proxy/apis/v2beta1/healthz"
    health, _, _ = api.call_api(
        path, "GET", response_type="object", auth_settings=["BearerToken"], _request_timeout=SECONDS
    )
    return PipelinesApi(health, namespace)


def _service(namespace: str) -> str:
    return f"http://ml-pipeline.{namespace}.svc.cluster.local:8888"
