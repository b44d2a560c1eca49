"""Kustomizations as they would be applied; without kubectl on the path their resources as they stand in the files."""

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"
Resource = dict[str, Any]


def _files(folder: Path) -> Iterator[Path]:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for name in kustomization["resources"]:
        if name.endswith(".yaml"):
            yield folder / name
        else:
            yield from _files((folder / name).resolve())


def _plain(folder: str) -> list[Resource]:
    files = dict.fromkeys(_files(MANIFESTS / folder))
    return [part for path in files for part in yaml.safe_load_all(path.read_text())]


@functools.cache
def rendered(folder: str) -> list[Resource]:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return _plain(folder)
    command = [kubectl, "kustomize", str(MANIFESTS / folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_profile(namespace: str, folder: Path) -> Path:
    """A folder inside `folder` with the kustomization that docs/cluster.md shows for the profile `team`."""
    documented = (MANIFESTS.parent / "docs" / "cluster.md").read_text()
    (shown,) = re.findall(r"```yaml\n# kustomization.yaml\n(.*?)```", documented, re.DOTALL)
    place = folder / f"profile-{namespace}"
    place.mkdir(parents=True)
    base = os.path.relpath(MANIFESTS / "runs", place.resolve())
    written = re.sub(r"\bteam\b", namespace, shown).replace("[manifests/runs]", f"[{base}]")
    (place / "kustomization.yaml").write_text(written)
    return place


def one(resources: list[Resource], kind: str, name: str) -> Resource:
    (found,) = (r for r in resources if (r["kind"], r["metadata"]["name"]) == (kind, name))
    return found
