"""One whole tiny run for all tests that look at what a run leaves: as a user starts it, from the installed wheel."""

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.command_line import AXES, TINY
from tests.hostile import SECRETS, WHOLE, write_modules

ROOT = Path(__file__).parents[1]


class Run(NamedTuple):
    experiment: Path
    folder: Path
    done: subprocess.CompletedProcess[str]


def command(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and not k.startswith("MLFLOW_")}
    done = subprocess.run(
        [str(w) for w in words], cwd=cwd, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def install_wheel(folder: Path) -> Path:
    """bin of a new environment that has the wheel, and the dependencies (not the checkout) of this one."""
    source = folder / "source"
    command("git", "clone", "--quiet", ROOT, source, cwd=folder)
    edited = command("git", "diff", "--name-only", "HEAD", cwd=ROOT).stdout
    new = command("git", "ls-files", "--others", "--exclude-standard", cwd=ROOT).stdout
    for changed in (edited + new).splitlines():
        if (ROOT / changed).exists():
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
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    Path(own.strip(), "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    command(binaries / "python", "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=folder)
    return binaries


def run_tiny(binaries: Path, root: Path) -> Run:
    """`precisionflow run` with secrets around it, a question that nothing may act upon, and scripts in its folder that
    nothing may import."""
    experiment, folder = root / "tiny.yaml", root / "seed=1" / "my python3 results"
    write_modules(root)
    question = yaml.safe_dump(WHOLE, default_style='"', width=10**6).strip()
    experiment.write_text(TINY.replace("Does it run?", question) + "seeds: [0, 1]\n" + AXES)
    plain = {name: v for name, v in os.environ.items() if not name.startswith(("MLFLOW_", "PRECISIONFLOW_"))}
    done = subprocess.run(
        [binaries / "precisionflow", "run", experiment, "--out", folder],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env=plain | SECRETS,
    )
    return Run(experiment, folder, done)
