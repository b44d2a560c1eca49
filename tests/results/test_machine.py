"""Cores that a process may use, by its affinity and by the limit of its container."""

import os
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
