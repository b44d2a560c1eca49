"""`make images`: what it tells the builder, what it writes, how it refuses; and what `strip` leaves."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from precisionflow.components.images import CORE, TRAIN, image_references, refuse_inexact

from tests.containers.builder import build

ROOT = Path(__file__).parents[2]


def test_both_images_are_built_and_named(checkout: Path) -> None:
    done = build(checkout, BUILDER="podman", PREFIX="registry.example/team/", TAG="7", BASE="mine:1")
    assert done.returncode == 0, done.stderr
    core, train = (checkout.parent / "notes").read_text().splitlines()
    assert core.startswith("0 build ")
    assert "--build-arg BASE=mine:1" in core
    assert "--timestamp 0" in core
    assert "--target core --tag registry.example/team/precisionflow-python-core:7 " in core
    assert "--target train --tag registry.example/team/precisionflow-python-train:7 " in train
    assert image_references(checkout / "build" / "images.json") == {
        "core": "registry.example/team/precisionflow-python-core:7",
        "train": "registry.example/team/precisionflow-python-train:7",
    }


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
def test_what_is_pushed_is_named_by_its_digest(builder: str, checkout: Path) -> None:
    digest = f"sha256:{'ab' * 32}"
    done = build(checkout, BUILDER=builder, PREFIX="registry.example/team", PUSH="1", DIGEST=digest)
    assert done.returncode == 0, done.stderr
    named = image_references(checkout / "build" / "images.json")
    assert named == {name: f"registry.example/team/precisionflow-python-{name}@{digest}" for name in named}
    refuse_inexact(named)
    done = build(checkout, BUILDER=builder, PREFIX="other", PUSH="1", DIGEST=digest, TARGETS="train")
    core, train = image_references(checkout / "build" / "images.json").values()
    assert re.fullmatch(r"other/precisionflow-python-core:0\.1\.0-[0-9a-f]{12}", core)
    assert train == f"other/precisionflow-python-train@{digest}"


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
@pytest.mark.parametrize(("prefix", "digest"), [("refused", f"sha256:{'ab' * 32}"), ("mute", "none")])
def test_what_is_not_pushed_is_not_named(builder: str, prefix: str, digest: str, checkout: Path) -> None:
    done = build(checkout, BUILDER=builder, PREFIX=prefix, PUSH="1", DIGEST=digest)
    assert done.returncode == 1
    assert not (checkout / "build").exists()


def test_a_name_that_does_not_say_its_content_is_refused() -> None:
    exact = {"core": f"r.example:5000/core@sha256:{'0' * 64}", "train": "train:0.1.0-0123456789ab"}
    refuse_inexact(exact)
    for other in ("train", "train:0.1.0", "r.example:5000/train", "train:latest", "train@sha256:12"):
        with pytest.raises(
            ValueError, match=r"^image train '.*': its name does not say what it holds.*PUSH=1"
        ):
            refuse_inexact(exact | {"train": other})


def tag(checkout: Path, **variables: str) -> str:
    done = build(checkout, BUILDER="buildah", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    references = image_references(checkout / "build" / "images.json")
    (found,) = {reference.rpartition(":")[2] for reference in references.values()}
    assert build(checkout, "tag", **variables).stdout == f"{found}\n", "told without a builder too"
    return found


def test_an_image_is_tagged_with_its_version_and_what_is_in_it(checkout: Path) -> None:
    first = tag(checkout)
    assert re.fullmatch(r"0\.1\.0-[0-9a-f]{12}", first)
    assert tag(Path(shutil.copytree(checkout, checkout.parent / "elsewhere"))) == first
    for left in ("src/precisionflow/__pycache__/x.pyc", "src/precisionflow.egg-info/PKG-INFO", "docs/a.md"):
        (checkout / left).parent.mkdir(parents=True, exist_ok=True)
        (checkout / left).write_text("x")
    assert tag(checkout) == first


def test_two_changed_trees_never_share_a_tag(checkout: Path) -> None:
    """KFP's cache and a node know an image by its name alone."""
    tags = [tag(checkout), tag(checkout, BASE="mine:1"), tag(checkout, INDEX="https://example.org/simple")]
    for file in (
        "src/precisionflow/__init__.py",
        "components/__init__.py",
        "containers/packages",
        "README.md",
    ):
        for text in ("one\n", "two\n"):
            (checkout / file).write_text(text)
            tags.append(tag(checkout))
    (checkout / "src" / "precisionflow" / "a b.py").write_text("two\n")
    tags.append(tag(checkout))
    (checkout / "src" / "precisionflow" / "a b.py").rename(checkout / "src" / "precisionflow" / "c.py")
    tags.append(tag(checkout))
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize(
    ("variables", "said"),
    [({"BUILDER": "kaniko"}, "BUILDER=kaniko"), ({"TAG": "latest", "BUILDER": "podman"}, "TAG=latest")],
)
def test_a_wrong_word_is_refused_before_anything_is_built(
    checkout: Path, variables: dict[str, str], said: str
) -> None:
    done = build(checkout, **variables)
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]
    assert not (checkout.parent / "notes").exists()
    assert not (checkout / "build").exists()


def test_without_a_builder_it_says_so(checkout: Path) -> None:
    if any(
        os.access(f"{folder}/{name}", os.X_OK)
        for folder in ("/usr/bin", "/bin")
        for name in ("docker", "podman", "buildah")
    ):
        pytest.skip("a builder is installed in the system's folders")
    shutil.rmtree(checkout.parent / "bin")
    done = build(checkout)
    assert (done.returncode, done.stderr) == (
        1,
        "make: no docker, podman or buildah here; install one of them\n",
    )


def stripped(folder: Path) -> dict[str, bytes]:
    """Files of a small environment after `strip`, by path."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next((folder / "lib").glob("python3*")) / "site-packages"
    for name in (
        "pip/__init__.py",
        "pandas/tests/test_it.py",
        "kept/tests/part.py",
        "torch/include/a.h",
        "kept/x.c",
    ):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("value = 1\n")
    done = subprocess.run(
        ["sh", ROOT / "containers" / "strip", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def test_strip_leaves_the_same_compiled_files_whenever_it_runs(tmp_path: Path) -> None:
    tag = sys.implementation.cache_tag
    first = stripped(tmp_path / "one" / "venv")
    assert set(first) == {"application.pth", "kept/tests/part.py", f"kept/tests/__pycache__/part.{tag}.pyc"}
    assert stripped(tmp_path / "two" / "venv") == first


def test_what_a_layer_below_has_compiled_is_left_as_it_is(tmp_path: Path) -> None:
    """Written again it would lie in the layer of `train` a second time."""
    stripped(tmp_path / "venv")
    (compiled,) = (tmp_path / "venv").rglob("part.*.pyc")
    before = compiled.stat()
    subprocess.run(["sh", ROOT / "containers" / "strip", tmp_path / "venv"], check=True)
    after = compiled.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_without_a_build_the_names_stand_for_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert image_references() == {"core": CORE, "train": TRAIN}
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "images.json").write_text('{"core": "a:1", "train": "b:1"}')
    assert image_references() == {"core": "a:1", "train": "b:1"}


@pytest.mark.parametrize("content", [None, "{", "[]", '{"core": "a:1"}', '{"core": "a:1", "train": ""}'])
def test_a_broken_file_of_references_is_one_line(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "images.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match="make images") as refused:
        image_references(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)
