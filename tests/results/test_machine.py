"""Cores that a process may use, by its affinity and by the limit of its container; what a machine is called."""

import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from precisionflow.results import machine


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        (None, 8),
        ("max 100000", 8),
        ("150000 100000", 2),
        ("200000 100000", 2),
        ("20000 100000", 1),
        ("6400000 100000", 8),
        ("nothing", 8),
    ],
)
def test_cores_are_those_of_the_affinity_within_the_containers_limit(
    limit: str | None, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpu.max"
    if limit:
        file.write_text(f"{limit}\n")
    monkeypatch.setattr(machine, "QUOTA", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert machine.core_count() == cores


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "GRAPHICS", tmp_path / "gpus")
    monkeypatch.setattr(machine, "core_count", lambda: 2)
    monkeypatch.setattr(platform, "processor", lambda: "")
    return machine.described_machine.__wrapped__


def test_a_machine_is_told_by_its_processor_cores_and_gpus(
    tmp_path: Path, described: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    system = f"{platform.system()} {platform.machine()}"
    assert described() == f"{system}, 2 cores"
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: AMD EPYC: 7B13\nprocessor : 1\nmodel name: x\n"
    )
    for number, model in enumerate(("H100", "H100", None)):
        folder = tmp_path / "gpus" / f"0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t {model}\nIRQ: 1\n" if model else "")
    assert described() == f"{system}, AMD EPYC: 7B13, 2 cores, 2 H100, 1 NVIDIA GPU"
    monkeypatch.setattr(machine, "core_count", lambda: 1)
    assert "AMD EPYC: 7B13, 1 core, " in described()
