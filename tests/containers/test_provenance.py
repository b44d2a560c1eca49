"""What a pushed image is said to be built from, and what cosign is told about it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.containers.builder import build

DIGEST = "ab" * 32
PUSHED = {"PREFIX": "registry.example/team", "PUSH": "1", "DIGEST": f"sha256:{DIGEST}"}


def provenance(checkout: Path, image: str, **variables: str) -> dict[str, Any]:
    """The statement that `make images` leaves."""
    done = build(checkout, **PUSHED | {"BUILDER": "podman"} | variables)
    assert done.returncode == 0, done.stderr
    return dict(json.loads((checkout / "build" / "provenance" / f"{image}.json").read_text()))


def materials(statement: dict[str, Any]) -> dict[str, Any]:
    dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    return {each["name"]: each for each in dependencies}


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
def test_a_statement_names_the_image_by_digest_and_what_made_it(builder: str, checkout: Path) -> None:
    statement = provenance(checkout, "train", BUILDER=builder, BUILDER_ID="https://ci.example/1")
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    name = "registry.example/team/precisionflow-python-train"
    assert statement["subject"] == [{"name": name, "digest": {"sha256": DIGEST}}]
    details = statement["predicate"]["runDetails"]
    assert details["builder"] == {"id": "https://ci.example/1", "version": {"builder": f"{builder} 5.0"}}
    assert details["metadata"]["startedOn"] <= details["metadata"]["finishedOn"]


def test_materials_are_the_base_the_locks_and_the_files_that_the_builder_saw(checkout: Path) -> None:
    found = materials(provenance(checkout, "train"))
    base = next(
        line.removeprefix("ARG BASE=")
        for line in (checkout / "containers" / "Containerfile").read_text().splitlines()
        if line.startswith("ARG BASE=")
    )
    name, _, digest = base.partition("@sha256:")
    assert found["base"]["digest"] == {"sha256": digest}
    assert found["base"]["uri"] == f"pkg:docker/{name.replace(':', '@')}"
    for image in ("core", "train"):
        lock = f"containers/requirements-{image}.txt"
        digest = hashlib.sha256((checkout / lock).read_bytes()).hexdigest()
        assert found[lock]["digest"] == {"sha256": digest}
    core = materials(provenance(checkout, "core"))
    assert "containers/requirements-train.txt" not in core
    assert core["context"] == found["context"]
    (checkout / "src" / "precisionflow" / "__init__.py").write_text("value = 2\n")
    assert materials(provenance(checkout, "core"))["context"] != found["context"]


def test_a_commit_is_named_where_it_is_what_was_built(checkout: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (checkout / ".gitignore").write_text("/build/\n")
    git("add", "--all")
    git("commit", "--quiet", "--message=one")
    found = materials(provenance(checkout, "core"))
    assert found["checkout"]["digest"] == {"gitCommit": git("rev-parse", "HEAD")}
    (checkout / "README.md").write_text("changed\n")
    assert "checkout" not in materials(provenance(checkout, "core"))


def test_arguments_are_told_without_a_password(checkout: Path) -> None:
    (checkout / "other.txt").write_text("torch==2\n")
    statement = provenance(
        checkout,
        "train",
        BASE="registry.example:5000/base/python:3.11",
        REQUIREMENTS="other.txt",
        INDEX="https://user:secret@packages.example/simple",
    )
    assert statement["predicate"]["buildDefinition"]["externalParameters"] == {
        "target": "train",
        "BASE": "registry.example:5000/base/python:3.11",
        "REQUIREMENTS": "other.txt",
        "INDEX": "https://packages.example/simple",
    }
    found = materials(statement)
    assert found["base"] == {
        "name": "base",
        "uri": "pkg:docker/base/python@3.11?repository_url=registry.example%3A5000",
    }
    assert found["other.txt"]["digest"] == {"sha256": hashlib.sha256(b"torch==2\n").hexdigest()}


def test_an_image_that_is_not_pushed_has_no_provenance(checkout: Path) -> None:
    """Nor has it that of the image that was pushed before."""
    provenance(checkout, "core")
    done = build(checkout, BUILDER="podman")
    assert done.returncode == 0, done.stderr
    assert list((checkout / "build" / "provenance").iterdir()) == []


# cosign

COSIGN = """#!/bin/sh
echo "$*" >>"$NOTES"
case "$*" in *--predicate=-*) cat >>"$NOTES.$(($(wc -l <"$NOTES")))" ;; esac
"""
"""Stands for cosign, which would reach for a registry: notes what it is told and what it is sent."""


def sign(checkout: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    programs, notes = checkout.parent / "bin", checkout.parent / "signed"
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "NOTES": str(notes)} | variables
    command = [sys.executable, checkout / "supply" / "sign.py"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def pushed(checkout: Path) -> Path:
    """A checkout with pushed images and their bills, beside a cosign."""
    provenance(checkout, "core")
    (checkout / "build" / "sbom").mkdir()
    for image in ("core", "train"):
        (checkout / "build" / "sbom" / f"{image}.json").write_text(f'{{"bill of": "{image}"}}')
    (checkout.parent / "bin" / "cosign").write_text(COSIGN)
    (checkout.parent / "bin" / "cosign").chmod(0o755)
    return checkout


def test_cosign_signs_each_image_and_attests_both_statements(pushed: Path) -> None:
    done = sign(pushed, KEY="my key", OPTIONS="--tlog-upload=false")
    assert done.returncode == 0, done.stderr
    told = (pushed.parent / "signed").read_text().splitlines()
    given = "--yes --key my key --tlog-upload=false"
    names = json.loads((pushed / "build" / "images.json").read_text())
    assert told == [
        line
        for image in ("core", "train")
        for line in (
            f"sign {given} {names[image]}",
            f"attest {given} --type=slsaprovenance1 --predicate=- {names[image]}",
            f"attest {given} --type=cyclonedx --predicate=- {names[image]}",
        )
    ]
    statement = json.loads((pushed / "build" / "provenance" / "train.json").read_text())
    assert json.loads((pushed.parent / "signed.5").read_text()) == statement["predicate"]
    assert json.loads((pushed.parent / "signed.6").read_text()) == {"bill of": "train"}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("build/images.json", "there is no build/images.json; say make images"),
        ("build/provenance/core.json", "there is no build/provenance/core.json; say make images PUSH=1"),
        ("build/sbom/core.json", "there is no build/sbom/core.json; say make sbom"),
    ],
)
def test_what_is_missing_is_one_line(broken: str, said: str, pushed: Path) -> None:
    (pushed / broken).unlink()
    done = sign(pushed)
    assert (done.returncode, done.stderr) == (1, f"make: {said}\n")
    assert not (pushed.parent / "signed").exists()


def test_a_tag_and_the_provenance_of_another_image_are_refused(pushed: Path) -> None:
    build(pushed, **PUSHED | {"BUILDER": "podman", "DIGEST": f"sha256:{'cd' * 32}"})
    (pushed / "build" / "provenance" / "core.json").write_text(
        (pushed / "build" / "provenance" / "train.json").read_text().replace("cd", "ef")
    )
    done = sign(pushed)
    assert done.stderr == "make: build/provenance/core.json is of another image; say make images PUSH=1\n"
    build(pushed, BUILDER="podman")
    done = sign(pushed)
    assert done.returncode == 1
    assert done.stderr.endswith("is not pushed, and a signature goes by digest; say make images PUSH=1\n")
    assert not (pushed.parent / "signed").exists()


def test_without_cosign_it_says_so(pushed: Path) -> None:
    (pushed.parent / "bin" / "cosign").unlink()
    if any(os.access(f"{folder}/cosign", os.X_OK) for folder in ("/usr/bin", "/bin")):
        pytest.skip("cosign is installed in the system's folders")
    done = sign(pushed)
    assert done.returncode == 1
    assert done.stderr.startswith("make: no cosign here")
