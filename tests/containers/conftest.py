"""A checkout whose images can be built, by a stand-in for the builder."""

import shutil
from pathlib import Path

import pytest

from tests.containers.builder import ROOT, TAKES_NOTES


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    for name in ("containers", "supply"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("components", "pipelines", "src/precisionflow"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("")
    (tmp_path / "bin").mkdir()
    for name in ("docker", "podman", "buildah"):
        (tmp_path / "bin" / name).write_text(TAKES_NOTES)
        (tmp_path / "bin" / name).chmod(0o755)
    return folder
