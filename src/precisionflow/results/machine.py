"""What this machine has: cores, memory, GPUs."""

import functools
import math
import os
import platform
from collections import Counter
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of all cores together in each period, and the period, or "max" in place of the first (Linux)."""

PROCESSORS, GRAPHICS = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/gpus")
"""Where Linux tells the processor's name, and NVIDIA's driver a folder for each GPU."""


@functools.cache
def described_machine() -> str:
    """ "Linux x86_64, AMD EPYC, 2 cores, 1 NVIDIA H100": what the time of a computation depends on, as far as known."""
    graphics = Counter(
        _told(folder / "information", "Model") or "NVIDIA GPU" for folder in sorted(GRAPHICS.glob("*"))
    )
    cores = core_count()
    parts = [
        f"{platform.system()} {platform.machine()}",
        _told(PROCESSORS, "model name") or platform.processor(),
        f"{cores} core{'' if cores == 1 else 's'}",
        *(f"{count} {name}" for name, count in graphics.items()),
    ]
    return ", ".join(filter(None, parts))


def _told(file: Path, key: str) -> str:
    """What the first line "key: value" of a file says; empty where none does."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next(
        (value.strip() for name, _, value in (of.partition(":") for of in lines) if name.strip() == key), ""
    )


def core_count() -> int:
    """Cores that this process may use: of its affinity, and at most as many as a container's limit of time makes up."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(mine, _allowed())))


def _allowed() -> float:
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):
        return math.inf


def free_memory() -> int:
    """Bytes of memory that programs can still have; all there are, on systems that don't tell."""
    file = Path("/proc/meminfo")
    if file.exists():
        lines = dict(line.split(":") for line in file.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gpus() -> tuple[int, bool]:
    """GPUs of NVIDIA and whether there is one of AMD, by their device files."""
    return len(list(Path("/dev").glob("nvidia[0-9]*"))), Path("/dev/kfd").exists()
