"""Requests to the Kubernetes API by path, for any kind: JSON in and out, None where there is nothing."""

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Json = dict[str, Any]
SECONDS = (5, 20)
"""Longest wait for a connection, and for one answer."""
_HEADERS = {"Accept": "application/json, */*", "Content-Type": "application/json"}


def get(api: "ApiClient", path: str, **query: str) -> Json | None:
    """The object at `path`; None where there is none. ApiException where the server refuses otherwise."""
    from kubernetes.client import ApiException

    try:
        return dict(_call(api, "GET", path, query=query))
    except ApiException as error:
        if error.status == 404:
            return None
        raise


def items(api: "ApiClient", path: str, **query: str) -> list[Json]:
    """The objects of a list; empty where the cluster doesn't know their kind."""
    return list((get(api, path, **query) or {}).get("items") or [])


def text(api: "ApiClient", path: str, **query: str) -> str:
    """An answer as it is, such as a log: the client would turn JSON into Python's notation."""
    return str(_call(api, "GET", path, query=query, decoded=False).data.decode(errors="replace"))


def post(api: "ApiClient", path: str, body: Json, **headers: str) -> Json:
    """Make `body` at `path`; the server's answer."""
    return dict(_call(api, "POST", path, body=body, headers=headers))


def patch(api: "ApiClient", path: str, change: list[Json]) -> None:
    """Apply a JSON patch to the object at `path`."""
    _call(api, "PATCH", path, body=change, headers={"Content-Type": "application/json-patch+json"})


def forbidden(error: Exception) -> bool:
    """Whether a refusal says that the user lacks the right."""
    return getattr(error, "status", None) == 403


def is_absent(api: "ApiClient", path: str) -> bool:
    """Whether nothing is at a path; False where the user may not look."""
    from kubernetes.client import ApiException

    try:
        return get(api, path) is None
    except ApiException as error:
        if forbidden(error):
            return False
        raise


def delete(api: "ApiClient", path: str) -> None:
    """Remove what is at `path`, at once; nothing where there is nothing."""
    from kubernetes.client import ApiException

    try:
        _call(api, "DELETE", path, body={"gracePeriodSeconds": 0})
    except ApiException as error:
        if error.status != 404:
            raise


def _call(
    api: "ApiClient",
    method: str,
    path: str,
    *,
    query: dict[str, str] | None = None,
    body: Json | list[Json] | None = None,
    headers: dict[str, str] | None = None,
    decoded: bool = True,
) -> Any:
    from urllib3.exceptions import InsecureRequestWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureRequestWarning)  # the user's choice, in the kubeconfig
        return api.call_api(
            path,
            method,
            query_params=list((query or {}).items()),
            header_params=_HEADERS | (headers or {}),
            body=body,
            response_type="object",
            _preload_content=decoded,
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _request_timeout=SECONDS,
        )
