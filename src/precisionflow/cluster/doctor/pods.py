"""Answers from inside pods: whether images start, what the workspace holds, whether MLflow takes the credentials."""

import re
from collections.abc import Mapping

from precisionflow import __version__
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.names import MLFLOW, MLFLOW_SECRETS, MLFLOW_VARIABLES
from precisionflow.cluster.access.rest import get
from precisionflow.cluster.access.short_pod import USER, Work, answer
from precisionflow.cluster.doctor.commands import kubectl, provide
from precisionflow.cluster.doctor.finding import Findings, bad, note, ok
from precisionflow.cluster.doctor.rights import account
from precisionflow.cluster.workspace.local import sized
from precisionflow.cluster.workspace.volume import Workspace
from precisionflow.config.cluster import CLAIM

SERVER = "apply -k manifests/overlays/dev"
"""Words for kubectl that install an MLflow server."""
ROOM = 10**9
"""Bytes of free room below which a note is due."""
ASK_MLFLOW = """
import base64, os, time, urllib.error, urllib.request
address = os.environ["MLFLOW_TRACKING_URI"].rstrip("/")
request = urllib.request.Request(address + "/api/2.0/mlflow/experiments/search?max_results=1")
user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
if user:
    request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
for pause in (2, 6, 0):  # a pod's first seconds may be without names
    try:
        said = str(urllib.request.urlopen(request, timeout=20).status)
        break
    except urllib.error.HTTPError as refusal:
        said = f"{refusal.code} " + " ".join(refusal.read().decode(errors="replace").split())[:150]
        break
    except OSError as error:
        said = f"no answer: {getattr(error, 'reason', error)}"
        time.sleep(pause)
print(said)
"""
"""Program of the probe, a fixed text: everything else comes by the environment and is never printed."""


def check_images(connection: Connection, images: Mapping[str, str]) -> Findings:
    """Each image starts here and has this version of the package inside."""
    runner = account(connection)
    for name, image in images.items():
        command = ["precisionflow", "--version"]
        with answer(connection, f"doctor-image-{name}", Work(image, command, account=runner)) as found:
            what = f"image {name}"
            if found.code is None:
                yield bad(what, f"{image} does not start: {found.said}", "make images")
            elif found.code or found.said != f"precisionflow {__version__}":
                yield bad(
                    what, f"{image} answers {found.said!r} instead of version {__version__}", "make images"
                )
            else:
                yield ok(what, f"{image}, {found.said}")


def check_mlflow(connection: Connection, image: str | None) -> Findings:
    """Runs know an MLflow server, and it takes their credentials; asked from a pod with their variables."""
    folder = f"/api/v1/namespaces/{connection.namespace}"
    settings = get(connection.api, f"{folder}/configmaps/{MLFLOW}")
    address = ((settings or {}).get("data") or {}).get(MLFLOW_VARIABLES[0])
    if not address:
        found = f"{MLFLOW_VARIABLES[0]} is missing from it" if settings else "it is not there"
        yield bad("MLflow", f"config map {MLFLOW} in {connection.namespace}: {found}", provide(connection))
        return
    shown = re.sub(r"://\S*@", "://", address)
    if shown != address:
        yield bad(
            "MLflow",
            f"config map {MLFLOW} has a password in its address {shown}; it belongs into secret {MLFLOW}",
            kubectl(connection, f"-n {connection.namespace} edit configmap {MLFLOW}"),
        )
        return
    if image is None:
        yield note("MLflow", f"{shown}; not asked, no image to ask it from", "make images")
        return
    command = ["python", "-c", ASK_MLFLOW]
    work = Work(image, command, account=account(connection), environment=MLFLOW)
    with answer(connection, "doctor-mlflow", work) as answered:
        yield from _verdict(connection, shown, answered.code, answered.said)


def check_workspace(connection: Connection, image: str | None) -> Findings:
    """The claim that data and the nodes of a TrainJob use can be mounted and written; what it holds, and its room."""
    what = "data in the workspace"
    path = f"/api/v1/namespaces/{connection.namespace}/persistentvolumeclaims/{CLAIM}"
    if image is None or get(connection.api, path) is None:
        return
    held = Workspace(connection, CLAIM, image).look()
    whole = sum(stored.size for stored in held.files.values())
    found = f"{len(held.files)} files, {sized(whole)}; {sized(held.free)} of {sized(held.total)} free"
    describe = kubectl(connection, f"-n {connection.namespace} describe persistentvolumeclaim {CLAIM}")
    if not held.writable:
        yield bad(what, f"{found}; the images' user {USER} may not write there", describe)
    elif held.free < ROOM:
        yield note(what, f"{found}: little room for data, checkpoints and weights", describe)
    else:
        yield ok(what, found)


def _verdict(connection: Connection, address: str, code: int | None, said: str) -> Findings:
    if code == 0 and said == "200":
        yield ok("MLflow", f"{address} answers from inside")
    elif code == 0 and said.startswith(("401", "403")) and "host" not in said.lower():
        names = " ".join(f'--from-literal={name}="${name}"' for name in MLFLOW_SECRETS)
        secret = f"create secret generic {MLFLOW} {names} --dry-run=client -o yaml"
        mend = f"{kubectl(connection, f'-n {connection.namespace} {secret}')} | {kubectl(connection, 'apply -f -')}"
        yield bad("MLflow", f"{address} does not take the credentials of secret {MLFLOW} ({said})", mend)
    elif code == 0 and said.startswith("403"):
        yield bad(
            "MLflow",
            f"{address}: its host is not among the server's --allowed-hosts ({said})",
            kubectl(connection, SERVER),
        )
    else:
        yield bad("MLflow", f"{address} from inside: {said}", kubectl(connection, SERVER))
