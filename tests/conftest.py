"""Fixtures that every test may use."""

import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.command_line import Line
from tests.whole_run import Run, install_wheel, run_tiny

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Tiny tensors on shared cores: threads would wait for one another. Set before torch is imported."""


OF_THE_WHEEL = ("tests/test_wheel.py", "tests/security/test_runs.py", "tests/pipelines/test_local.py")
"""Files whose tests look at one run of the installed wheel, which takes a minute: they run in one process."""


SLOW = (
    *OF_THE_WHEEL,
    "tests/training/test_kill.py",
    "tests/training/engines/test_engines.py",
    "tests/pipelines/test_search_then_train.py",
    "tests/tracking/test_store.py",
    "tests/training/test_nodes.py",
)
"""Files that take longest begin first, so that no process is left with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        file = item.nodeid.split("::", maxsplit=1)[0]
        return SLOW.index(file) if file in SLOW else len(SLOW)

    items.sort(key=place)


class FilesTogether(LoadScopeScheduling):
    """Tests of one file run in one process, and those of files that share a slow fixture."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", maxsplit=1)[0]
        return OF_THE_WHEEL[0] if file in OF_THE_WHEEL else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Groups by marks (--dist loadgroup) are lost between pytest 9.2 and pytest-xdist 3.8."""
    return FilesTogether(config, log)


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
    return install_wheel(tmp_path_factory.mktemp("a wheel"))


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
