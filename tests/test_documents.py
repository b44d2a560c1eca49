"""What the documents name exists: files, verbs of make, commands."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from precisionflow.cli import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document):
    text = document.read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in target]
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


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
