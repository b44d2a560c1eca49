"""The wheel, installed away from the checkout: the command line and a whole tiny run work from it."""

import tomllib
from pathlib import Path

from precisionflow.results.code import STAGES, code_digest
from tests.whole_run import Run, command

CHECKOUT = Path(__file__).parents[1]


def test_the_wheel_has_every_package() -> None:
    """The list is written by hand, since two packages lie outside src: a package left out fails on import."""
    listed = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    source = CHECKOUT / "src"
    inside = [".".join(file.parent.relative_to(source).parts) for file in source.rglob("__init__.py")]
    assert sorted(listed) == sorted([*inside, "precisionflow.components", "precisionflow.pipelines"])


def test_the_package_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = "import precisionflow.components.train, precisionflow.pipelines.ablation as p; print(p.__file__)"
    where = command(installed / "python", "-c", code, cwd=tmp_path).stdout.strip()
    assert str(installed.parent) in where


def test_the_code_of_every_stage_is_that_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    """Another place, another way of installing, compiled files: a laptop's keys are a pod's."""
    code = "from precisionflow.results.code import STAGES, code_digest; print(*map(code_digest, STAGES))"
    found = command(installed / "python", "-c", code, cwd=tmp_path).stdout.split()
    assert found == [code_digest(verb) for verb in STAGES]


def test_help_lists_the_five_verbs(installed: Path, tmp_path: Path) -> None:
    shown = command(installed / "precisionflow", "--help", cwd=tmp_path).stdout
    for verb in ("prepare", "train", "evaluate", "aggregate", "report"):
        assert f"  {verb} " in shown


def test_a_tiny_experiment_runs(tiny_run: Run) -> None:
    """tests/pipelines/test_local.py looks at what it leaves."""
    assert tiny_run.done.returncode == 0, tiny_run.done.stderr
    assert (tiny_run.folder / "report" / "report.html").stat().st_size > 10_000
    assert (tiny_run.folder / "mlflow.db").exists()
