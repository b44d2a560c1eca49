"""Template of a study's trials: the resource that Katib makes for each, its placeholders and its commands."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from precisionflow.config.base import Config, Flag

Assignments = dict[str, str]
"""Parameter of the study -> value of a trial, as the text that Katib puts into the trial's command."""
PLACEHOLDER = re.compile(r"\$\{(trialParameters|trialSpec)\.([^}]+)\}")
OF_TRIAL = "${trialSpec."
"""Beginning of a reference to the trial's own resource; what it gives here is the trial's name."""


class TrialParameter(Config):
    """A placeholder of the template, and the parameter of the study that fills it."""

    name: str
    description: str = ""
    reference: str


class Template(Config):
    """Katib's TrialTemplate."""

    retain: Flag = False
    primary_labels: dict[str, str] = Field({}, alias="primaryPodLabels")
    primary_container: str = Field(alias="primaryContainerName")
    success: str = Field("", alias="successCondition")
    failure: str = Field("", alias="failureCondition")
    parameters: tuple[TrialParameter, ...] = Field(alias="trialParameters")
    resource: dict[str, Any] = Field(alias="trialSpec")

    @property
    def commands(self) -> list[list[str]]:
        """Command and arguments of every container that has some, in the resource's order."""
        return list(_commands(self.resource))

    @property
    def placeholders(self) -> set[str]:
        """Names of the trial parameters that stand anywhere in the resource."""
        found = (match for text in _texts(self.resource) for match in PLACEHOLDER.findall(text))
        return {name for kind, name in found if kind == "trialParameters"}

    def filled(self, word: str, assignments: Mapping[str, str], *, name: str) -> str:
        """A word of a command with its placeholders replaced; `name` is the trial's."""
        values = {
            parameter.name: name
            if parameter.reference.startswith(OF_TRIAL)
            else assignments[parameter.reference]
            for parameter in self.parameters
        }

        def value(match: re.Match[str]) -> str:
            kind, key = match.groups()
            return name if kind == "trialSpec" else values[key]

        return PLACEHOLDER.sub(value, word)

    def settings(self, assignments: Mapping[str, str], *, name: str) -> tuple[str, ...]:
        """Settings of a trial's experiment that take a parameter, such as training.learning_rate=0.01.

        A setting without a placeholder is the trials' own and left out.
        """
        searched = dict.fromkeys(
            setting
            for words in self.commands
            for setting in settings_of(words)
            if any(kind == "trialParameters" for kind, _ in PLACEHOLDER.findall(setting))
        )
        return tuple(self.filled(setting, assignments, name=name) for setting in searched)


def _commands(node: Any) -> Iterator[list[str]]:
    match node:
        case Mapping():
            words = [str(word) for key in ("command", "args") for word in node.get(key) or ()]
            if words:
                yield words
            for value in node.values():
                yield from _commands(value)
        case list():
            for item in node:
                yield from _commands(item)
        case _:
            return


def settings_of(words: Sequence[str]) -> Iterator[str]:
    """Values of `--set` in a command, and in a word of it that is the text of a shell."""
    for index, word in enumerate(words):
        if word == "--set" and index + 1 < len(words):
            yield words[index + 1].rstrip(";")
        elif word.startswith("--set="):
            yield word.removeprefix("--set=").rstrip(";")
        elif " --set" in word:
            yield from settings_of(_of_a_shell(word))


def _of_a_shell(text: str) -> list[str]:
    """Words of a shell's text; none of a text with an open quotation, such as a sentence with an apostrophe."""
    try:
        return shlex.split(text, comments=False)
    except ValueError:
        return []


def _texts(node: Any) -> Iterator[str]:
    match node:
        case str():
            yield node
        case Mapping():
            for value in node.values():
                yield from _texts(value)
        case list():
            for value in node:
                yield from _texts(value)
        case _:
            return
