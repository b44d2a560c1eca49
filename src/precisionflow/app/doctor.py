"""Examination of a cluster, or of this machine: everything that a run needs, one line for each thing."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.app.doctor_device import (
    check_arithmetic,
    check_device,
    is_built_for,
    torch_version,
)
from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.doctor.finding import Finding, Findings, bad, note, ok
from precisionflow.results.machine import core_count, free_memory, gpus

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from rich.console import Console

GIB = 2**30
_STYLES = {"ok": "green", "bad": "bold red", "note": "yellow"}


def examine_cluster(*, access: Access, images: Path | None) -> bool:
    """Print a line for everything that a run on a cluster needs; whether nothing is wrong."""
    from precisionflow.cluster.doctor.examine import examine
    from precisionflow.components.images import image_references

    try:
        references, missing = image_references(images), None
    except ValueError as error:
        references, missing = {}, str(error)
    findings = examine(Connection(access), images=references)
    return _told(chain(findings, [bad("images", missing, "make images")]) if missing else findings)


def examine_machine(results: Path) -> bool:
    """Print a line for everything that a run on this machine needs, and what arithmetic of the models of a results
    folder was measured; whether nothing is wrong."""
    checks = (check_packages, check_room, check_devices, check_device, check_settings)
    return _told(chain((finding for check in checks for finding in check()), check_arithmetic(results)))


def check_packages() -> Findings:
    """Python and packages, in the versions that this package's metadata asks for."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield ok("Python", f"{python} at {sys.executable}")
    purposes = {"": "packages", "train": "training", "cluster": "clusters", "search": "searching"}
    for extra, purpose in purposes.items():
        wanted = requirements(extra)
        wrong = [problem for problem in map(problem, wanted) if problem]
        mend = f"{sys.executable} -m pip install 'precisionflow{f'[{extra}]' if extra else ''}'"
        if not wrong:
            yield ok(purpose, _versions(wanted))
        elif extra in ("", "train"):
            yield bad(purpose, ", ".join(wrong), mend)
        else:
            yield note(purpose, ", ".join(wrong), mend)
    if find_spec("pip") is None:
        yield bad(
            "pip", "is not in this Python; kfp's local runner asks for it", f"{sys.executable} -m ensurepip"
        )


def requirements(extra: str) -> "list[Requirement]":
    """Requirements of the package itself, or those that one of its extras adds."""
    from packaging.requirements import Requirement

    parsed = [Requirement(line) for line in metadata.requires("precisionflow") or []]
    own = [r for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]
    if not extra:
        return own
    return [r for r in parsed if r not in own and r.marker and r.marker.evaluate({"extra": extra})]


def problem(requirement: "Requirement") -> str | None:
    """Difference between a requirement and the installed package; none where it is met."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return f"{requirement.name} is {version}, not {requirement.specifier}"


def _versions(requirements: "Iterable[Requirement]") -> str:
    return ", ".join(f"{each.name} {metadata.version(each.name)}" for each in requirements)


def check_room() -> Findings:
    """Processor, memory, disk, and the memory that ranks share."""
    cores = core_count()
    yield ok("CPU", f"{cores} core{'s' if cores > 1 else ''}")
    memory = free_memory()
    if memory < 1.5 * GIB:
        yield bad("memory", f"{memory / GIB:.1f} GiB free, a run needs 1.5; end other programs")
    else:
        yield ok("memory", f"{memory / GIB:.1f} GiB free")
    disk, here = shutil.disk_usage(Path.cwd()).free, Path.cwd()
    if disk < GIB:
        yield bad("disk", f"{disk / GIB:.1f} GiB free at {here}, a run needs 1; choose another with --out")
    else:
        yield ok("disk", f"{disk / GIB:.0f} GiB free at {here}")
    shared = Path("/dev/shm")
    if shared.is_dir():
        size = shutil.disk_usage(shared).total
        if size < GIB / 4:
            small = f"/dev/shm has {size / 2**20:.0f} MiB, little for several ranks; of a container, --shm-size=1g"
            yield note("shared memory", small)
        else:
            yield ok("shared memory", f"/dev/shm has {size / GIB:.1f} GiB")


def check_devices() -> Findings:
    """GPUs by their device files, and whether torch is built for them; torch itself is not imported."""
    nvidia, amd = gpus()
    if not nvidia and not amd:
        yield note("GPUs", "none is visible; training runs on the CPU")
    elif not is_built_for(amd):
        yield bad(
            "GPUs",
            f"torch {torch_version()} is not built for the GPU of this machine",
            f"{sys.executable} -m pip install --force-reinstall torch --index-url "
            f"https://download.pytorch.org/whl/{'rocm7.0' if amd else 'cu130'}",
        )
    else:
        yield ok("GPUs", f"{nvidia} of NVIDIA" if nvidia else "AMD")


def check_settings() -> Findings:
    """Environment variables that change what a run does."""
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads is None:
        yield ok("OMP_NUM_THREADS", "not set, `precisionflow run` shares the cores among its tasks")
    elif threads.isdecimal() and 1 <= int(threads) <= core_count():
        yield ok("OMP_NUM_THREADS", f"{threads} of {core_count()} cores for each process")
    else:
        given = f"{threads!r} is no number of threads from 1 to {core_count()}"
        yield bad("OMP_NUM_THREADS", given, "unset OMP_NUM_THREADS")
    folder = os.environ.get("PRECISIONFLOW_DATA")
    if not folder:
        yield note(
            "PRECISIONFLOW_DATA", "not set; experiments on raw data sets need it, docs/data.md says which"
        )
    elif not Path(folder).is_dir():
        yield bad("PRECISIONFLOW_DATA", f"{folder} is no folder", f"mkdir -p {shlex.quote(folder)}")
    else:
        found = sorted(path.name for path in Path(folder).iterdir())
        yield ok("PRECISIONFLOW_DATA", f"{folder} with {', '.join(found[:5]) or 'nothing'}")
    yield _tracking()


def _tracking() -> Finding:
    """Finding about the MLflow server that is set; its password is never printed."""
    from precisionflow.serving.connection import without_password
    from precisionflow.tracking.store import silence

    address = os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        return ok("MLflow", "MLFLOW_TRACKING_URI is not set, runs are kept in the results folder")
    reason = silence(address)
    shown = without_password(address)
    if reason:
        return bad("MLflow", f"{shown} does not answer ({reason})", "unset MLFLOW_TRACKING_URI")
    return ok("MLflow", f"{shown} answers")


def _told(findings: Findings) -> bool:
    """Print each finding as it comes, then their numbers; whether none is bad."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    states: list[str] = []
    for finding in findings:
        _print(finding, console)
        states.append(finding.state)
    count = {state: states.count(state) for state in _STYLES}
    advice = "; mend from the top, one thing often causes the next" if count["bad"] > 1 else ""
    console.print(f"{count['ok']} ok, {count['bad']} bad, {count['note']} to note{advice}")
    return not count["bad"]


def _print(finding: Finding, console: "Console") -> None:
    from rich.text import Text

    line = Text(str(finding))
    line.stylize(_STYLES[finding.state], 0, len(finding.state))
    console.print(line)
