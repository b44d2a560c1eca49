"""Store of KFP's artifacts: its address, service and login, by the launcher's ConfigMap and what the cluster has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.names import KFP_NAMESPACE, LAUNCHER, PIPELINE_ROOT, STORE_LOGIN, STORES
from precisionflow.cluster.access.rest import Json, forbidden, get

PORT = 9000
"""Port of KFP's own store, unless its service has another one for S3."""
REGION = "minio"
"""Region for which KFP's launcher signs requests to its own store."""


@dataclass(frozen=True)
class Login:
    """Secret in the namespace of runs, and its keys that hold the access key and the secret key."""

    secret: str = STORE_LOGIN
    access: str = "accesskey"
    password: str = "secretkey"


@dataclass(frozen=True)
class Service:
    """Service of a cluster that leads to a store."""

    name: str
    namespace: str
    port: int
    port_name: str | None
    """Name under which the service's endpoints list that port; none where it has only one, without a name."""

    @property
    def address(self) -> str:
        """Host and port inside the cluster."""
        return f"{self.name}.{self.namespace}:{self.port}"


@dataclass(frozen=True)
class ArtifactStore:
    """Store that holds a pipeline root, as KFP's launcher reaches it."""

    root: str
    """Address below which the artifacts lie: minio://bucket/prefix, s3://bucket/prefix."""
    endpoint: str | None = None
    """Host and port as the launcher's ConfigMap names them; none: KFP's own store, or that of Amazon for s3://."""
    tls: bool = False
    region: str | None = REGION
    login: Login | None = Login()
    """None: the login of the environment."""
    path_style: bool = True

    @property
    def kind(self) -> str:
        """Scheme of the root: minio, s3, gs."""
        return urlsplit(self.root).scheme

    @classmethod
    def of(cls, launcher: Mapping[str, str], *, root: str | None = None) -> Self:
        """The store of `root`, by the data of ConfigMap kfp-launcher; ClusterError where that cannot be read.

        Without `root`, of `defaultPipelineRoot`. The first override in `providers` whose bucket and prefix the root has
        wins over the default there; a root with a query, or of a kind without provider, leaves all to the environment,
        but for minio:// that is KFP's own store.
        """
        place = root or launcher.get("defaultPipelineRoot") or PIPELINE_ROOT
        parts = urlsplit(place)
        provider = _providers(launcher).get(parts.scheme) or {}
        if parts.scheme == "minio" and not provider and not parts.query:
            return cls(place)
        if not provider or parts.query:
            return cls(place, region=None, login=None, path_style=False)
        chosen = dict(provider.get("default") or {})
        for override in provider.get("overrides") or provider.get("Overrides") or ():
            prefix = parts.path.strip("/")
            if override.get("bucketName") == parts.netloc and f"{prefix}/".startswith(
                override.get("keyPrefix") or ""
            ):
                chosen |= {key: value for key, value in override.items() if value not in (None, "")}
                break
        endpoint = str(chosen.get("endpoint") or "")
        scheme, _, host = endpoint.rpartition("://")
        return cls(
            place,
            endpoint=host or None,
            tls=scheme == "https" or (scheme != "http" and not chosen.get("disableSSL", False)),
            region=chosen.get("region") or None,
            login=_login(chosen.get("credentials") or {}),
            path_style=bool(chosen.get("forcePathStyle", True)),
        )


def _providers(launcher: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(launcher.get("providers") or "")
    except yaml.YAMLError:
        found = ()
    if found is not None and not isinstance(found, Mapping):
        raise ClusterError(f"ConfigMap {LAUNCHER}: `providers` is no mapping in YAML; mend it")
    return found or {}


def _login(credentials: Mapping[str, Any]) -> Login | None:
    secret = credentials.get("secretRef") or {}
    if credentials.get("fromEnv") or not secret.get("secretName"):
        return None
    own = Login()
    return Login(
        str(secret["secretName"]),
        str(secret.get("accessKeyKey") or own.access),
        str(secret.get("secretKeyKey") or own.password),
    )


def launcher_settings(connection: Connection) -> dict[str, str]:
    """Data of ConfigMap kfp-launcher in the namespace of runs; empty where there is none."""
    path = f"/api/v1/namespaces/{connection.namespace}/configmaps/{LAUNCHER}"
    return dict((get(connection.api, path) or {}).get("data") or {})


def service_of(store: ArtifactStore, connection: Connection) -> Service | None:
    """The service that leads to a store; none for a store outside, or one that is not there.

    An endpoint `name.namespace` is that service. KFP's own store is `seaweedfs` since 2.16 and `minio-service` before,
    in the namespace of runs or in that of KFP; 2.15 has both, for the same store. ApiException where it is in none that
    the user may look at.
    """
    from kubernetes.client import ApiException

    if store.endpoint is None and store.kind != "minio":
        return None
    refusal: ApiException | None = None
    for name, namespace, port in _candidates(store, connection.namespace):
        try:
            found = get(connection.api, f"/api/v1/namespaces/{namespace}/services/{name}")
        except ApiException as error:
            if not forbidden(error):
                raise
            refusal = error
            continue
        if found is not None:
            chosen = _port(found["spec"].get("ports") or [], port)
            return Service(name, namespace, int(chosen.get("port", port)), chosen.get("name"))
    if refusal is not None:
        raise refusal
    return None


def _candidates(store: ArtifactStore, namespace: str) -> Iterator[tuple[str, str, int]]:
    if store.endpoint is None:
        for where in dict.fromkeys((namespace, KFP_NAMESPACE)):
            for name in STORES:
                yield name, where, PORT
        return
    parts = urlsplit(f"//{store.endpoint}")
    labels = (parts.hostname or "").split(".")
    if len(labels) == 1 or len(labels) == 2 or labels[2:3] == ["svc"]:
        port = parts.port or (443 if store.tls else 80)
        yield labels[0], labels[1] if len(labels) > 1 else namespace, port


def _port(ports: list[Json], wanted: int) -> Json:
    """The wanted port of a service, else the one whose name says S3, else the first."""
    by_number = [port for port in ports if port["port"] == wanted]
    by_name = [port for port in ports if "s3" in (port.get("name") or "").split("-")]
    return next(iter([*by_number, *by_name, *ports]), {})
