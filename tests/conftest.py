"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

from tests.command_line import Line
from tests.whole_run import Run, install_wheel, run_tiny

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Tiny tensors on shared cores: threads would wait for one another. Set before torch is imported."""


SHARED = ("installed", "rank_losses")
"""Fixtures that take half a minute: the tests that use one of them run in one process."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests of one file run in one process (--dist loadgroup), those of a shared fixture too."""
    used = [name for name in SHARED if name in getattr(item, "fixturenames", ())]
    item.add_marker(pytest.mark.xdist_group(used[0] if used else str(item.path)))


@pytest.fixture(scope="session")
def raw_data() -> Path:
    """The folder with raw data sets; tests that need it skip where PRECISIONFLOW_DATA names none."""
    folder = os.environ.get("PRECISIONFLOW_DATA")
    if not folder:
        pytest.skip(
            "PRECISIONFLOW_DATA names no folder with raw data sets (docs/data.md says where they come from)"
        )
    return Path(folder)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin of an environment that has the wheel of this checkout."""
    return install_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def tiny_run(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of two variants and two seeds; look, do not touch."""
    return run_tiny(installed, tmp_path_factory.mktemp("local"))


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Line:
    """The command line in this process, in an empty folder and without settings from outside."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("MLFLOW_", "PRECISIONFLOW_")):
            monkeypatch.delenv(name)
    return Line(monkeypatch, capsys)
