"""What is taken from outside is named exactly: actions by commit, tools by hash, an image once and with its patch."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


def jobs(workflow: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(workflow.read_text())["jobs"])


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(workflow: Path) -> None:
    used = re.findall(r"uses: (.+)", workflow.read_text())
    steps = [step["uses"] for job in jobs(workflow).values() for step in job["steps"] if "uses" in step]
    assert len(used) == len(steps) > 0
    for line in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_one_action_has_one_commit() -> None:
    used = {line for workflow in WORKFLOWS for line in re.findall(r"uses: (.+)", workflow.read_text())}
    assert len({line.partition("@")[0] for line in used}) == len(used)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_may_write_only_where_it_says_so(workflow: Path) -> None:
    content = yaml.safe_load(workflow.read_text())
    assert content["permissions"] in ({}, {"contents": "read"})
    writing = [name for name, job in content["jobs"].items() if "write" in str(job.get("permissions", ""))]
    assert writing == (["lock"] if workflow.name == "lock.yaml" else [])


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_say_verbs_that_exist(workflow: Path) -> None:
    verbs = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = set(re.findall(r"make ([a-z]+)", workflow.read_text()))
    assert said <= verbs
    scripts = re.findall(r"bash (\S+)", workflow.read_text())
    assert all((ROOT / script).is_file() for script in scripts)


def test_every_tool_is_locked_with_hashes() -> None:
    lines = (ROOT / "supply" / "requirements.txt").read_text().splitlines()
    tools = [line for line in lines if line and not line.startswith(("#", " "))]
    assert {"cyclonedx-bom", "pip-audit"} <= {line.partition("==")[0] for line in tools}
    hashed = re.findall(r"^\S+==[^\\]+\\\n +--hash=sha256:[0-9a-f]{64}", "\n".join(lines), re.MULTILINE)
    assert len(hashed) == len(tools)


def test_an_image_has_one_tag_in_all_manifests() -> None:
    """A bot changes all places, or the one that counts stays behind."""
    tags: dict[str, set[str]] = {}
    written, overridden = set(), set()
    for path in sorted((ROOT / "manifests").rglob("*.yaml")):
        for name, tag in re.findall(r"image: (\S+):(\S+)", path.read_text()):
            tags.setdefault(name, set()).add(tag)
            written.add(name)
        if path.name == "kustomization.yaml":
            for image in yaml.safe_load(path.read_text()).get("images", ()):
                tags.setdefault(image["name"], set()).add(image["newTag"])
                overridden.add(image["name"])
    assert overridden <= written
    assert {name: found for name, found in tags.items() if len(found) != 1} == {}
    assert len(tags) > 3
