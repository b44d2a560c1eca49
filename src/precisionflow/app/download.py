"""`precisionflow data get`: a published data set from its public address, whole and checked before it appears."""

import contextlib
import hashlib
import http.client
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from precisionflow.app.published import PUBLISHED, Published
from precisionflow.cluster.access.login import is_safe
from precisionflow.config.base import nearest
from precisionflow.console import say
from precisionflow.records.marker import sha256_of

TIMEOUT = 30.0
"""Seconds without a byte after which a server is given up."""
BLOCK = 1 << 16


def get_data(name: str | None) -> None:
    """Bring a data set into the folder that PRECISIONFLOW_DATA names; without a name print what there is."""
    if name is None:
        for known, published in PUBLISHED.items():
            print(f"{known}: {len(published.addresses)} files; {published.licence}")
        return
    if name not in PUBLISHED:
        near = nearest(name, [*PUBLISHED])
        raise ValueError(f"{name}: is no published data set; there are {', '.join(PUBLISHED)}{near}")
    root = os.environ.get("PRECISIONFLOW_DATA")
    if not root:
        raise ValueError(
            "PRECISIONFLOW_DATA is not set; set it to the folder for raw data sets, such as "
            "export PRECISIONFLOW_DATA=$HOME/data"
        )
    download(PUBLISHED[name], Path(root), name=name)


def download(published: Published, root: Path, *, name: str) -> None:
    """Fetch all files beside their folder, then let it appear.

    Files that came whole before are not fetched again. ValueError where an address cannot be read, where the files are
    not the published ones, and where the folder holds others.
    """
    folder = root / published.folder
    say(f"{name}: {published.licence}")
    if folder.is_dir() and all((folder / file).is_file() for file in published.addresses):
        if is_published(folder, published):
            say(f"{folder}: is there already, checksum compared; read it with task.source {published.use}")
            return
        raise ValueError(f"{folder}: holds other files of these names; move it away and run again")
    begun = folder.with_name(f".{folder.name}.part")
    begun.mkdir(parents=True, exist_ok=True)
    for address in published.addresses.values():
        if not is_safe(address):
            raise ValueError(f"{address}: is not https; an open line could change the data")
    with _bar(name, len(published.addresses)) as fetched:
        for file, address in published.addresses.items():
            if not (begun / file).is_file():
                _fetch(address, begun / file, fetched)
            fetched(0, done=True)
    if not is_published(begun, published):
        shutil.rmtree(begun)
        raise ValueError(
            f"{name}: what came is not what was published (another checksum); run again, or fetch it by hand into "
            f"{folder}"
        )
    folder.mkdir(exist_ok=True)
    for file in published.addresses:
        (begun / file).replace(folder / file)
    begun.rmdir()
    say(f"{folder}: written, checksum compared; read it with task.source {published.use}")


def is_published(folder: Path, published: Published) -> bool:
    """Whether the files in a folder are those of a data set, byte for byte."""
    listed = sorted(file for file in published.addresses if file not in published.blobs)
    lines = "".join(f"{sha256_of(folder / file)}  {file}\n" for file in listed)
    return hashlib.sha256(lines.encode()).hexdigest() == published.listing and all(
        _blob(folder / file) == blob for file, blob in published.blobs.items()
    )


def _blob(file: Path) -> str:
    """Name of a file's bytes in git."""
    digest = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to an encrypted address only."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if not is_safe(newurl):
            raise urllib.error.HTTPError(req.full_url, code, f"sends on to {newurl}, no https", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(address: str, file: Path, fetched: Callable[..., None]) -> None:
    """One file, which appears when it came whole."""
    partial = file.with_name(f"{file.name}.partial")
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        with opener.open(address, timeout=TIMEOUT) as answer, partial.open("wb") as out:
            wanted = answer.headers.get("Content-Length")
            while block := answer.read(BLOCK):
                out.write(block)
                fetched(len(block))
        if wanted is not None and partial.stat().st_size != int(wanted):
            raise ConnectionError(f"{partial.stat().st_size} of {wanted} bytes came")
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = getattr(error, "reason", None) or error
        raise ValueError(
            f"{address}: cannot be fetched ({type(error).__name__}: {reason}); check the network and run again, what "
            "came whole is kept"
        ) from None
    partial.replace(file)


@contextlib.contextmanager
def _bar(name: str, files: int) -> Iterator[Callable[..., None]]:
    """A function (bytes that came, whether a file is done); a bar in a terminal, else a line at the end."""
    came, done = 0, 0

    def count(size: int, *, finished: bool) -> None:
        nonlocal came, done
        came, done = came + size, done + finished

    if not sys.stdout.isatty():
        yield lambda size, done=False: count(size, finished=done)
        say(f"{name}: {done} files, {came / 1e6:.1f} MB fetched")
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} files, {task.fields[came]}", markup=False),
    )
    with Progress(*columns) as bars:
        task = bars.add_task(name, total=files, came="")

        def update(size: int, done: bool = False) -> None:
            count(size, finished=done)
            bars.update(task, advance=int(done), came=f"{came / 1e6:.1f} MB")

        yield update
