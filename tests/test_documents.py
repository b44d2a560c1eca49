"""What the documents name exists: files, verbs of make, commands."""

import functools
import re
from pathlib import Path

import pytest
from typer.main import get_command

from precisionflow.cli import app

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "precisionflow"
ROOTS = (ROOT, PACKAGE)
FOLDERS = {path.name for root in ROOTS for path in root.iterdir() if path.is_dir()} - {"build", "runs"}
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document):
    text = document.read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in target]
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_modules_exist(document):
    """`folder/file.py`, `folder/` and `precisionflow.module.name`, from the checkout's root or the package's."""
    quoted = re.findall(r"`([^`\n]+)`", document.read_text(encoding="utf-8"))
    paths = [word for word in quoted if re.fullmatch(r"[\w./-]+/[\w-]+\.(py|toml)|[\w-]+/[\w/-]*/", word)]
    ours = [path for path in paths if path.split("/")[0] in FOLDERS]
    missing = [path for path in ours if not any((root / path).exists() for root in ROOTS)]
    names = [word.split(".") for word in quoted if re.fullmatch(r"precisionflow(\.[a-z_]+)+", word)]
    inside = [name[1:] for name in names if (PACKAGE / name[1]).is_dir()]
    missing += [".".join(name) for name in inside if not _is_module(name) and not _file(name[:-1]).is_file()]
    assert not missing


def _file(name: list[str]) -> Path:
    return PACKAGE.joinpath(*name).with_suffix(".py")


def _is_module(name: list[str]) -> bool:
    return PACKAGE.joinpath(*name).is_dir() or _file(name).is_file()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(document):
    text = document.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text))
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"^precisionflow ([a-z]+)", code, re.MULTILINE)) <= commands
    verbs = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z]+)", code, re.MULTILINE)) <= verbs


def test_every_document_is_linked_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[^)]+\.md)\)", (ROOT / "README.md").read_text()))
    assert {f"docs/{path.name}" for path in DOCUMENTS[2:]} <= linked


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tests_that_are_named_exist(document):
    """`test_file.py`, and `test_with_more_words` of a function; shorter ones are names of fields."""
    named = set(re.findall(r"`(test_\w+\.py|test(?:_[a-z0-9]+){3,})`", document.read_text(encoding="utf-8")))
    assert named <= _tests()


@functools.cache
def _tests() -> set[str]:
    files = list((ROOT / "tests").rglob("test_*.py"))
    functions = [
        re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE) for file in files
    ]
    return {file.name for file in files} | {name for names in functions for name in names}
