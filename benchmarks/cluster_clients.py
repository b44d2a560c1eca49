"""What the files that talk to a cluster cost, and what `kubernetes.dynamic` and `kubernetes.watch` would cost instead.

A server on the loopback, with the API groups of a cluster with Kubeflow, counts requests. Lines are those with code: no
blank ones, comments or docstrings. Modules are counted in new processes.
"""

import ast
import inspect
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError
from measured import Measured, arguments, present

from precisionflow.cluster.access import objects
from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.kinds import TRAINJOBS, Kind
from precisionflow.cluster.trainjob.api import TrainJobs
from precisionflow.cluster.trainjob.watch import PAUSE

CLUSTER = Path(objects.__file__).parents[1]
FILES = (
    "access/rest.py",
    "access/objects.py",
    "access/pod_logs.py",
    "access/port_forward.py",
    "trainjob/log_tail.py",
    "trainjob/api.py",
    "trainjob/watch.py",
    "katib/api.py",
    "katib/watch.py",
)
GROUPS = 30
"""API groups of the server; a cluster with Kubeflow has about as many."""


class Server(ThreadingHTTPServer):
    """Answers discovery and lists, and keeps the paths that were asked for."""

    def __init__(self) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path.partition("?")[0])
                text = json.dumps(answer(server.asked[-1])).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """The table is all that is printed."""

        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def requests(self, call: Callable[[], Any]) -> int:
        """Requests that a call makes."""
        before = len(self.asked)
        call()
        return len(self.asked) - before


def answer(path: str) -> Any:
    """Discovery of the groups, the resources of Trainer, empty lists."""
    names = [TRAINJOBS.group, *(f"g{number}.example" for number in range(GROUPS - 1))]
    match path.strip("/").split("/"):
        case ["version"]:
            return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            return {"kind": "APIGroupList", "groups": [group(name) for name in names]}
        case ["apis", _, _]:
            verbs = ["get", "list", "watch", "create", "patch", "delete"]
            kind = {"name": TRAINJOBS.plural, "kind": "TrainJob", "namespaced": True, "verbs": verbs}
            return {"kind": "APIResourceList", "resources": [kind | {"singularName": "trainjob"}]}
        case ["api", "v1"]:
            return {"kind": "APIResourceList", "resources": []}
        case _:
            return {"apiVersion": TRAINJOBS.api_version, "kind": "List", "metadata": {}, "items": []}


def group(name: str) -> dict[str, Any]:
    version = {"groupVersion": f"{name}/{TRAINJOBS.version}", "version": TRAINJOBS.version}
    return {"name": name, "versions": [version], "preferredVersion": version}


class Dynamic:
    """`listed`, `named`, `make`, `patch`, `amend` and `remove` of `objects`, by the dynamic client."""

    def __init__(self, api: client.ApiClient, namespace: str, cache: str) -> None:
        self.client, self.namespace = DynamicClient(api, cache_file=cache), namespace

    def listed(
        self, kind: Kind, *, labels: Mapping[str, str] | None = None, limit: int | None = None
    ) -> list[Any]:
        options = {"limit": limit} if limit else {}
        chosen = ",".join(f"{label}={value}" for label, value in (labels or {}).items())
        found = self._of(kind).get(namespace=self.namespace, label_selector=chosen, **options)
        return list(found.to_dict()["items"])

    def named(self, kind: Kind, name: str) -> Any:
        found = self._of(kind).get(namespace=self.namespace, field_selector=f"metadata.name={name}")
        return next(iter(found.to_dict()["items"]), None)

    def make(self, kind: Kind, content: dict[str, Any]) -> Any:
        return self._of(kind).create(body=content, namespace=self.namespace).to_dict()

    def patch(self, kind: Kind, name: str, change: dict[str, Any]) -> None:
        merge = "application/merge-patch+json"
        self._of(kind).patch(body=change, name=name, namespace=self.namespace, content_type=merge)

    def amend(self, kind: Kind, name: str, change: list[Any]) -> None:
        amend = "application/json-patch+json"
        self._of(kind).patch(body=change, name=name, namespace=self.namespace, content_type=amend)

    def remove(self, kind: Kind, name: str) -> None:
        try:
            self._of(kind).delete(
                name=name, namespace=self.namespace, body={"propagationPolicy": "Background"}
            )
        except NotFoundError:
            return

    def _of(self, kind: Kind) -> Any:
        return self.client.resources.get(api_version=kind.api_version, name=kind.plural)


def code_lines(source: str) -> int:
    """Lines with code."""
    tree = ast.parse(source)
    texts = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(source.splitlines(), 1)
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and n not in texts for n, line in lines
    )


def modules(*names: str) -> int:
    """Modules that are loaded once these are imported."""
    code = f"import sys, {', '.join(names)}; print(len(sys.modules))"
    return int(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    )


def main() -> None:
    """Print a table of lines, requests and modules."""
    file = arguments(__doc__).parse_args().json
    rows = [Measured(name, code_lines((CLUSTER / name).read_text()), "lines") for name in FILES]
    ours: list[Callable[..., object]] = [
        objects.listed,
        objects.named,
        objects.make,
        objects.patch,
        objects.amend,
        objects.remove,
        objects._place,
    ]
    rows.append(
        Measured("six calls of objects.py", sum(code_lines(inspect.getsource(f)) for f in ours), "lines")
    )
    rows.append(Measured("the same by kubernetes.dynamic", code_lines(inspect.getsource(Dynamic)), "lines"))
    server = Server()
    configuration = client.Configuration()
    configuration.host = f"http://127.0.0.1:{server.server_port}"
    api = client.ApiClient(configuration)
    connection = Connection(Access(namespace="here"))
    connection.__dict__["api"] = api
    rows.append(
        Measured(
            "find a TrainJob", server.requests(lambda: objects.named(connection, TRAINJOBS, "a")), "requests"
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        cold = server.requests(lambda: Dynamic(api, "here", f"{folder}/cache").named(TRAINJOBS, "a"))
        warm = server.requests(lambda: Dynamic(api, "here", f"{folder}/cache").named(TRAINJOBS, "a"))
    rows.append(Measured("the same by kubernetes.dynamic, first time", cold, "requests"))
    rows.append(Measured("the same by kubernetes.dynamic, with its cache", warm, "requests"))
    look = server.requests(lambda: TrainJobs(connection).state("a"))
    rows.append(Measured("one look at a TrainJob, its pods and warnings", look, "requests"))
    rows.append(Measured("looks a minute", 60 / PAUSE, "looks"))
    loaded = modules("kubernetes.client")
    rows.append(Measured("kubernetes.client", loaded, "modules"))
    for name in ("kubernetes.dynamic", "kubernetes.watch"):
        rows.append(Measured(f"{name} besides", modules("kubernetes.client", name) - loaded, "modules"))
    present(rows, file)


if __name__ == "__main__":
    main()
