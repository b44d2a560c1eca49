"""The wheel, installed away from the checkout: the command line and a whole tiny run work from it."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

TINY = """
name: tiny
question: Does the wheel work?
task: {kind: regression, source: {kind: scikit_learn, name: linnerud}}
model: {kind: mlp, hidden: [4]}
objective: {kind: gaussian_nll}
training: {steps: 4, batch_size: 8, validate_every: 2}
seeds: [0, 1]
ablation:
  axes:
    noise:
      homoscedastic: {objective.kind: homoscedastic}
      heteroscedastic: {objective.kind: gaussian_nll}
"""


def command(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and not k.startswith("MLFLOW_")}
    done = subprocess.run(
        [str(w) for w in words], cwd=cwd, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin of a new environment that has the wheel, and the dependencies (not the checkout) of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    command("git", "clone", "--quiet", ROOT, source, cwd=folder)
    for changed in command(
        "git", "ls-files", "--modified", "--others", "--exclude-standard", cwd=ROOT
    ).stdout.split("\n"):
        if changed and (ROOT / changed).exists():
            (source / changed).parent.mkdir(parents=True, exist_ok=True)
            (source / changed).write_bytes((ROOT / changed).read_bytes())
    command(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        folder,
        source,
        cwd=folder,
    )
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    binaries = folder / "venv" / "bin"
    own = command(
        binaries / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    ).stdout
    Path(own.strip(), "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command(binaries / "python", "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=folder)
    return binaries


def test_the_package_comes_from_the_wheel(installed, tmp_path):
    code = "import precisionflow.components.train, precisionflow.pipelines.ablation as p; print(p.__file__)"
    where = command(installed / "python", "-c", code, cwd=tmp_path).stdout.strip()
    assert str(installed.parent) in where


def test_help_lists_the_five_verbs(installed, tmp_path):
    shown = command(installed / "precisionflow", "--help", cwd=tmp_path).stdout
    for verb in ("prepare", "train", "evaluate", "aggregate", "report"):
        assert f"  {verb} " in shown


def test_a_tiny_experiment_runs(installed, tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    shown = command(installed / "precisionflow", "run", "tiny.yaml", "--out", "results", cwd=tmp_path).stdout
    assert "heteroscedastic" in shown
    assert (tmp_path / "results" / "report" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "results" / "mlflow.db").exists()
