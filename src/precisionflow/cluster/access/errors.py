"""Errors of the cluster: one line with the cause and the remedy, exit code 3."""

import contextlib
import json
from collections.abc import Iterator


class ClusterError(Exception):
    """A cluster that does not answer, refuses or lacks something; the message is one line for the user."""


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the clients' exceptions into a ClusterError that begins with `what`, the thing that was being done."""
    import kfp_server_api
    from kubernetes.client import ApiException
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (ApiException, kfp_server_api.ApiException) as error:
        raise ClusterError(f"{what}: {_refusal(error)}") from None
    except ConfigException as error:
        raise ClusterError(
            f"{what}: {error}; name a file in KUBECONFIG or a context with --context"
        ) from None
    except (HTTPError, OSError) as error:
        raise ClusterError(
            f"{what}: no answer ({_innermost(error)}); `precisionflow doctor` says what is wrong"
        ) from None


def _innermost(error: Exception) -> str:
    """Message of the innermost exception, which is the network's."""
    while isinstance(inner := getattr(error, "reason", None) or error.__context__, Exception):
        error = inner
    return " ".join(str(error).split())[:200]


def _refusal(error: Exception) -> str:
    """Cause and remedy of an answer that is no success."""
    status = getattr(error, "status", None)
    cause = _message(error)
    match status:
        case 400 | 422:
            return f"refused ({cause}); mend what it names"
        case 401:
            return f"not logged in ({cause}); log in again or renew the token in the kubeconfig"
        case 403 if "exceeded quota" in cause:
            return f"{cause}; wait for others to finish, ask for less in cluster.*, or have the quota raised"
        case 403 if "admission webhook" in cause:
            return f"refused ({cause}); mend what it names"
        case 403:
            return f"forbidden ({cause}); ask for that right, manifests/ has the roles"
        case 404:
            return f"not there ({cause}); `precisionflow doctor` says what is to be installed"
        case 409:
            return f"the name is taken ({cause}); choose another"
        case _:
            return f"{cause or getattr(error, 'reason', None) or status}; `precisionflow doctor` says what is wrong"


def _message(error: Exception) -> str:
    """Message of the server, from Kubernetes' Status or KFP's error, cut to a line."""
    body = getattr(error, "body", None) or ""
    try:
        content = json.loads(body)
    except ValueError:
        content = {}
    text = content.get("message") or content.get("error_message") or "" if isinstance(content, dict) else ""
    return " ".join((text or str(getattr(error, "reason", "") or "")).split())[:300]
