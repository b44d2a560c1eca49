"""Login at KFP's API where it has an address of its own: the token that requests carry, asked for before each one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from kfp_server_api import Configuration
    from kubernetes.client import ApiClient

TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
"""Where a pod finds the token that Kubernetes makes for KFP's API, if its manifest asks for one."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_safe(address: str) -> bool:
    """Whether nobody between hears or changes what goes to an address: it is encrypted, or of this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


@dataclass(frozen=True)
class Login:
    """What KFP's client asks for a token before each request."""

    token: Callable[[], str]

    def refresh_api_key_hook(self, configuration: "Configuration") -> None:
        """Put the token of this moment into the client's settings."""
        configuration.api_key["authorization"] = self.token()

    def equip(self, configuration: "Configuration") -> None:
        """Have a client's requests carry the token."""
        configuration.api_key["authorization"] = ""
        configuration.api_key_prefix["authorization"] = "Bearer"
        configuration.refresh_api_key_hook = self.refresh_api_key_hook


def of_user(host: str, api: "ApiClient") -> Login | None:
    """The token of the kubeconfig's user, from a plugin too; none for one with a certificate.

    None as well for a `host` that is neither behind TLS nor on this machine: whoever listens would see the token.
    """
    settings = api.configuration

    def token() -> str:
        return str(settings.get_api_key_with_prefix("authorization") or "").removeprefix("Bearer ")

    return Login(token) if is_safe(host) and token() else None


def of_pod() -> Login | None:
    """The token that a pod has for KFP's API; none where its manifest asks for none."""
    return Login(lambda: TOKEN.read_text(encoding="utf-8").strip()) if TOKEN.exists() else None
