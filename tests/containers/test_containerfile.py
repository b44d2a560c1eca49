"""The images as they are written: pinned, without root, and built from the versions that the tests run with."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "containers"
CONTAINERFILE = (FOLDER / "Containerfile").read_text(encoding="utf-8")
LOCKS = {
    image: (FOLDER / f"requirements-{image}.txt").read_text(encoding="utf-8") for image in ("core", "train")
}


def instructions(text: str) -> list[tuple[str, str]]:
    """(INSTRUCTION, its words), continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def stages() -> dict[str, list[tuple[str, str]]]:
    """stage -> its instructions after those of the stage that it starts from."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for word, rest in instructions(CONTAINERFILE):
        if word == "FROM":
            parent, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()  # type: ignore[union-attr]
            found[name] = list(found.get(parent, []))
        elif name:
            found[name].append((word, rest))
    return found


def locked(text: str) -> dict[str, list[str]]:
    """name==version -> hashes."""
    blocks = re.findall(
        r"^([a-z0-9._-]+==[^\s;]+)[^\n]*\n((?:[ ]+--hash=\S+(?: \\)?\n?)*)", text, re.MULTILINE
    )
    return {name: re.findall(r"--hash=(sha256:[0-9a-f]{64})", hashes) for name, hashes in blocks}


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, FOLDER / "Containerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("image", ["core", "train"])
def test_an_image_runs_the_command_line_without_root(image: str) -> None:
    last = dict(stages()[image])
    user, group = last["USER"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert json.loads(last["ENTRYPOINT"]) == ["precisionflow"]
    assert "org.opencontainers.image.version=" in last["LABEL"]
    assert "org.opencontainers.image.revision=" in last["LABEL"]


def test_the_base_is_pinned_and_nothing_follows_a_moving_tag() -> None:
    arguments = dict(rest.partition("=")[::2] for word, rest in instructions(CONTAINERFILE) if word == "ARG")
    assert re.fullmatch(r"python:3\.\d+\.\d+-[a-z-]+@sha256:[0-9a-f]{64}", arguments["BASE"])
    names = {rest.split(" AS ")[1] for word, rest in instructions(CONTAINERFILE) if word == "FROM"}
    origins = {rest.split(" AS ")[0] for word, rest in instructions(CONTAINERFILE) if word == "FROM"}
    assert origins - names == {"${BASE}"}
    assert ":latest" not in CONTAINERFILE


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".containerignore").read_text(encoding="utf-8")
    assert (ROOT / ".dockerignore").read_text(encoding="utf-8") == ignored
    let_in = {line[1:] for line in ignored.splitlines() if line.startswith("!")}
    copied = [
        rest.split() for word, rest in instructions(CONTAINERFILE) if word == "COPY" and "--from=" not in rest
    ]
    sources = {word for words in copied for word in words[:-1] if not word.startswith(("--", "$"))}
    assert sources
    assert all((ROOT / source).exists() and source.split("/")[0] in let_in for source in sources)


@pytest.mark.parametrize("image", ["core", "train"])
def test_every_locked_package_has_hashes_and_the_version_of_the_constraints(image: str) -> None:
    lines = [line for line in LOCKS[image].splitlines() if line and not line.startswith(("#", " "))]
    requirements = locked(LOCKS[image])
    assert len(requirements) == len(lines)
    assert all(requirements.values())
    constraints = re.findall(
        r"^(([a-z0-9._-]+)==[^\s;]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE
    )
    tested = {requirement for requirement, _ in constraints}
    assert {requirement.split("==")[0] for requirement in requirements} - {
        name for _, name in constraints
    } <= {"setuptools"}
    assert {
        requirement for requirement in requirements if not requirement.startswith("setuptools==")
    } <= tested


def test_core_holds_no_torch_and_train_holds_core() -> None:
    core, train = locked(LOCKS["core"]), locked(LOCKS["train"])
    assert {name: hashes for name, hashes in train.items() if name in core} == core
    names = {requirement.split("==")[0] for requirement in core}
    assert {"kfp", "mlflow", "kubernetes", "boto3", "psycopg", "optuna", "setuptools"} <= names
    assert not {
        name for name in names if name in {"torch", "deepspeed", "triton"} or name.startswith("nvidia-")
    }
    assert {"torch", "deepspeed"} <= {requirement.split("==")[0] for requirement in train}


def test_sshd_needs_no_root_and_takes_keys_only() -> None:
    settings = dict(
        line.split(maxsplit=1)
        for line in (FOLDER / "sshd_config").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert int(settings["Port"]) > 1023
    assert (
        settings["PasswordAuthentication"]
        == settings["KbdInteractiveAuthentication"]
        == settings["UsePAM"]
        == "no"
    )
    assert settings["HostKey"].startswith("/home/mpiuser/.ssh/")
