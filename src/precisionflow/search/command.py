"""A trial's command on this machine, from the template of a study."""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_PLACEHOLDER = re.compile(r"\$\{(trialParameters|trialSpec)\.([^}]+)\}")
_OURS = "precisionflow"


def trial_command(
    template: Mapping[str, Any], assignments: Mapping[str, str], *, name: str, out: Path
) -> list[str]:
    """The words of the template's first command with the parameters filled in; no shell reads them.

    `assignments` are the values by the study's parameter names, `name` is the trial's. What starts precisionflow, with
    or without torchrun before it, starts this Python's and keeps its results in `out`. ValueError where no container
    has a command.
    """
    found = next(commands(template["trialSpec"]), None)
    if not found:
        raise ValueError(
            "trialTemplate.trialSpec: no container has a command; add one, such as [precisionflow, trial]"
        )
    values = {
        p["name"]: assignments[p["reference"]]
        for p in template["trialParameters"]
        if p["reference"] in assignments
    }

    def filled(match: re.Match[str]) -> str:
        kind, key = match.groups()
        return name if kind == "trialSpec" else values[key]

    words = [_PLACEHOLDER.sub(filled, word) for word in found]
    if _OURS not in words:
        return words
    ours = words[words.index(_OURS) + 1 :]
    kept = [] if "--out" in ours else ["--out", str(out)]
    return [sys.executable, "-m", _OURS, *ours, *kept]


def commands(node: Any) -> Iterator[list[str]]:
    """`command` and `args` of every container inside a resource, in its order."""
    if isinstance(node, Mapping):
        words = [str(word) for key in ("command", "args") for word in node.get(key) or ()]
        if words:
            yield words
        for value in node.values():
            yield from commands(value)
    elif isinstance(node, list):
        for item in node:
            yield from commands(item)
