"""A PostgreSQL of this machine, run as that of `overlays/dev`: its first start, its arguments, its access, its certificate."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tests.manifests.rendered import MANIFESTS, one, rendered

DEV = MANIFESTS / "overlays" / "dev"
NOBODY = 65534
"""PostgreSQL does not run as root, and tests may."""
Environment = dict[str, str]


def programs() -> Path | None:
    """Folder of PostgreSQL's programs; none where it is not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


@contextlib.contextmanager
def postgres() -> Iterator[Environment]:
    """Variables of libpq for a database `mlflow` of a server that runs as long as the block; its folder is PGDATA's."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    variables = {
        "PATH": f"{programs()}:{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(folder),
        "PGHOST": "postgres",
        "PGHOSTADDR": "127.0.0.1",
        "PGPORT": str(free_port()),
        "PGUSER": "mlflow",
        "PGPASSWORD": secrets.token_urlsafe(8),
        "PGDATABASE": "mlflow",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": str(folder / "ca.crt"),
    }
    write_files(folder, owner=NOBODY if user else os.geteuid())

    data = str(folder / "data")
    first = {
        "PATH": variables["PATH"],
        "PGDATA": data,
        "TMPDIR": str(folder),
        "POSTGRES_USER": variables["PGUSER"],
        "POSTGRES_PASSWORD": variables["PGPASSWORD"],
        "POSTGRES_DB": variables["PGDATABASE"],
    }
    for _ in range(2):  # the second finds what the first made
        subprocess.run(["sh", DEV / "first_start.sh"], check=True, env=first, **user)  # type: ignore[call-overload]
    command = ["postgres", "-D", data, "-p", variables["PGPORT"], "-c", f"unix_socket_directories={folder}"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, *arguments(folder)], env=variables, stdout=log, stderr=log, **user  # type: ignore[call-overload]
        )
    try:
        wait_until_ready(server, folder)
        yield variables
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def arguments(folder: Path) -> list[str]:
    """What the container's program is told, with the test's folder for those that are mounted."""
    (container,) = one(rendered("overlays/dev"), "StatefulSet", "postgres")["spec"]["template"]["spec"]["containers"]
    program, *words = container["command"]
    assert program == "postgres"
    return [word.replace("=/tls/", f"={folder}/").replace("=/access/", f"={folder}/") for word in words]


def write_files(folder: Path, *, owner: int) -> None:
    """The certificate that `setup` makes and who may connect: as a Secret and a ConfigMap hold them."""
    contents = script(DEV / "make_certificate.py").certificate()
    contents["pg_hba.conf"] = (DEV / "pg_hba.conf").read_text()
    for name, content in contents.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o600 if name == "tls.key" else 0o644)
        os.chown(folder / name, owner, -1)
    os.chown(folder, owner, -1)
    folder.chmod(0o755)


def script(path: Path) -> ModuleType:
    """A script of a ConfigMap as a module; it finds those beside it."""
    sys.path.insert(0, str(path.parent))
    try:
        specification = importlib.util.spec_from_file_location(path.stem, path)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
        sys.modules.pop("make_secrets", None)
    return module


def wait_until_ready(server: subprocess.Popen[bytes], folder: Path) -> None:
    for _ in range(300):
        if (folder / "data" / "postmaster.pid").exists():
            state = (folder / "data" / "postmaster.pid").read_text().splitlines()
            if len(state) > 7 and state[7].strip() == "ready":
                return
        assert server.poll() is None, (folder / "log").read_text()
        time.sleep(0.1)
    raise AssertionError((folder / "log").read_text())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
