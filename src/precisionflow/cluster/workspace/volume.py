"""The workspace from outside: what it holds, files sent into it, removed, collected, by a pod that mounts it."""

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precisionflow.cluster.access.claims import refuse_absent_claim
from precisionflow.cluster.access.connection import Connection, inside
from precisionflow.cluster.access.errors import ClusterError, explained
from precisionflow.cluster.access.names import DATA, WORKSPACE
from precisionflow.cluster.access.short_pod import CONTAINER, Work, answer, never_ran, short_pod
from precisionflow.cluster.workspace.inside import CHUNK, FULL, READY, collect
from precisionflow.records.raw import file_sha256

SECONDS = 6 * 3600
"""Time after which the pod that receives files ends by itself."""
_MODULE = ("python", "-P", "-m", "precisionflow.cluster.workspace.inside")
"""`-P`: nothing is imported from the folder where it starts."""
PROGRAM = (*_MODULE, DATA)
WAITING = ("python", "-P", "-c", f"import time; time.sleep({SECONDS})")


@dataclass(frozen=True)
class Stored:
    """A file of the data folder."""

    size: int
    """In bytes."""
    sha256: str | None = None
    """None where it was not asked for."""


@dataclass(frozen=True)
class Leftover:
    """Something that nobody has touched for a while."""

    name: str
    size: int
    """In bytes."""
    age: int
    """In seconds."""


@dataclass(frozen=True)
class Held:
    """What the data folder holds."""

    files: Mapping[str, Stored]
    """Name below the folder -> file."""
    free: int
    """Bytes that are free on the volume."""
    total: int
    writable: bool
    """Whether the images' user may write there."""


@dataclass(frozen=True)
class Workspace:
    """A claim in the namespace of runs, and the image of the pods that mount it."""

    connection: Connection
    claim: str
    image: str
    pull_secrets: Sequence[str] = ()
    """Secrets with which the image is pulled."""

    @property
    def title(self) -> str:
        return f"workspace {self.claim}"

    def refuse_absent(self) -> None:
        """ClusterError where the claim is not there."""
        refuse_absent_claim(self.claim, self.connection)

    def look(self, *, digests: bool = False) -> Held:
        """What the data folder holds, by a pod that mounts it; with the sha256 of its files where `digests`."""
        content = self._asked(*PROGRAM, "look", *(["digests"] if digests else []))
        files = {name: Stored(**stored) for name, stored in content.pop("files").items()}
        return Held(files, **content)

    def remove(self, names: Sequence[str]) -> None:
        """Remove files and folders of the data folder; ValueError where one is not there, and then none is removed."""
        outcome = self._asked(*PROGRAM, "remove", *names)
        if error := outcome.get("error"):
            raise ClusterError(f"{self.title}: not removed: {error}")
        if absent := outcome["absent"]:
            raise ValueError(
                f"{absent[0]}: is not in the {self.title}; `precisionflow data list` shows what is"
            )

    def collect(self, *, seconds: float, busy: Collection[str], dry: bool) -> list[Leftover]:
        """Remove what nobody has touched for `seconds`, but for the `busy` trainings; where `dry` only tell it."""
        if inside() and Path(WORKSPACE).is_dir():
            outcome = collect(Path(WORKSPACE), seconds=seconds, busy=busy, dry=dry)
        else:
            words = [str(seconds), "dry" if dry else "removed", *sorted(busy)]
            outcome = self._asked(*_MODULE, WORKSPACE, "collect", *words)
        if error := outcome.get("error"):
            raise ClusterError(f"{self.title}: not collected: {error}")
        return [Leftover(**one) for one in outcome["found"]]

    def _asked(self, *command: str) -> dict[str, Any]:
        """Outcome of a command in a pod that mounts the claim."""
        work = Work(self.image, command, claim=self.claim, pull_secrets=self.pull_secrets)
        with explained(f"looking into the {self.title}"), answer(self.connection, "data", work) as found:
            if found.code != 0:
                raise ClusterError(f"{self.title}: its pod failed ({found.said}); {self._advice(found.said)}")
            return _outcome(found.said, what=self.title)

    @contextlib.contextmanager
    def opened(self) -> Iterator[str]:
        """Name of a pod that mounts it and takes files; ClusterError where it doesn't start."""
        work = Work(self.image, WAITING, claim=self.claim, pull_secrets=self.pull_secrets, seconds=SECONDS)
        with explained(f"opening the {self.title}"), short_pod(self.connection, "data", work) as pod:
            if cause := never_ran(self.connection, pod):
                raise ClusterError(f"{self.title}: its pod does not start ({cause}); {self._advice(cause)}")
            yield pod

    def send(
        self,
        file: Path,
        name: str,
        *,
        pod: str,
        overwrite: bool,
        sent: Callable[[int], None] = lambda _: None,
    ) -> bool:
        """Copy a file to `name` in the data folder; whether it was written, False where it was there already.

        Size and sha256 are compared once it lies there; `sent` is called with numbers of bytes on the way. ValueError
        where another file of that name is there.
        """
        size, sha256 = file.stat().st_size, file_sha256(file)
        words = ["receive", name, str(size), sha256, *(["overwrite"] if overwrite else [])]
        outcome = self._sent(file, [*PROGRAM, *words], pod=pod, sent=sent)
        error = outcome.get("error", "")
        if error.startswith(FULL):
            raise ClusterError(
                f"{self.title}: no room for {name} ({error.removeprefix(FULL).lstrip(': ')}); remove files, or have "
                "the claim enlarged"
            )
        if error:
            raise ClusterError(f"{self.title}: {name} was not taken: {error}")
        if outcome["state"] == "other":
            raise ValueError(
                f"{name}: the {self.title} holds another file of that name; replace it with --overwrite, or give "
                "another name with --as"
            )
        if outcome["state"] == "written" and (outcome["size"], outcome["sha256"]) != (size, sha256):
            raise ClusterError(f"{self.title}: {name} arrived with other bytes; put it again")
        return bool(outcome["state"] == "written")

    def _sent(
        self, file: Path, command: list[str], *, pod: str, sent: Callable[[int], None]
    ) -> dict[str, Any]:
        """Run a command in the pod, give it the file's bytes once it is ready; its outcome.

        ClusterError where the line breaks; the program drops what has arrived then.
        """
        from kubernetes.client import ApiClient, CoreV1Api
        from kubernetes.stream import stream
        from websocket import WebSocketException

        own = ApiClient(self.connection.api.configuration)  # the stream module alters its client
        with explained(f"sending {file} to the {self.title}"):
            remote = stream(
                CoreV1Api(own).connect_get_namespaced_pod_exec,
                pod,
                self.connection.namespace,
                command=command,
                container=CONTAINER,
                stdin=True,
                stdout=True,
                stderr=True,
                tty=False,
                _preload_content=False,
            )
            try:
                if _ready(remote):
                    _pour(file, remote, sent)
                remote.run_forever()
                said, cause = remote.read_all(), "its pod says nothing more"
            except (WebSocketException, OSError) as error:
                said, cause = "", str(error)
            finally:
                remote.close()
        if not said.strip():
            raise ClusterError(
                f"{file}: cut off on its way to the {self.title} ({cause}); put it again, nothing of it is kept there"
            )
        return _outcome(said, what=f"sending {file} to the {self.title}")

    def _advice(self, cause: str) -> str:
        if "Unschedulable" in cause or "volume" in cause.lower():
            return f"`kubectl -n {self.connection.namespace} describe persistentvolumeclaim {self.claim}` says more"
        if "Image" in cause:
            return "push the image where the nodes reach it, and give its full name in build/images.json"
        return "`precisionflow doctor` says what is wrong"


def _ready(remote: Any) -> bool:
    """Wait for the program's first line; whether it wants the bytes.

    The client waits at its socket for each frame. One that came in the same TLS record as the frame before is past the
    socket already, and is read when the answer to a ping comes.
    """
    while remote.is_open() and "\n" not in remote.peek_stdout():
        remote.sock.ping()
        remote.update(timeout=1)
    return bool(remote.peek_stdout().startswith(READY))


def _pour(file: Path, remote: Any, sent: Callable[[int], None]) -> None:
    """Send the bytes, as long as the program takes them."""
    with file.open("rb") as content:
        while remote.is_open() and (chunk := content.read(CHUNK // 4)):
            remote.write_stdin(chunk)
            remote.update(timeout=0)
            sent(len(chunk))


def _outcome(said: str, *, what: str) -> dict[str, Any]:
    """The program's last line as JSON; ClusterError where it is none, for instance from an image of another version."""
    last = (said.strip().splitlines() or [""])[-1]
    try:
        content = json.loads(last)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ClusterError(
            f"{what}: the pod said {last[:200]!r}; `precisionflow doctor` says whether its image is of this version"
        )
    return content
