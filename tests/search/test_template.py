"""Templates of trials: commands, placeholders, settings."""

from typing import Any

import pytest

from precisionflow.search.template import Template


def template(*containers: dict[str, Any], **references: str) -> Template:
    return Template.model_validate(
        {
            "primaryContainerName": "trial",
            "trialParameters": [{"name": name, "reference": given} for name, given in references.items()],
            "trialSpec": {"spec": {"template": {"spec": {"containers": list(containers)}}}},
        }
    )


def test_a_command_is_the_words_and_the_arguments_of_a_container() -> None:
    found = template({"command": ["a", "b"], "args": ["c"]}, {"name": "silent"}, {"args": ["d", 1]})
    assert found.commands == [["a", "b", "c"], ["d", "1"]]


def test_placeholders_are_found_wherever_they_stand() -> None:
    found = template({"env": [{"name": "x", "value": "-${trialParameters.x}-${trialSpec.Name}"}]}, x="a")
    assert found.placeholders == {"x"}


def test_a_reference_to_the_trial_itself_gives_its_name() -> None:
    found = template({}, rate="lr", me="${trialSpec.Name}")
    word = "${trialParameters.rate}/${trialParameters.me}/${trialSpec.Name}"
    assert found.filled(word, {"lr": "0.5"}, name="study-3") == "0.5/study-3/study-3"


@pytest.mark.parametrize(
    ("command", "args"),
    [
        (["precisionflow", "trial", "x"], ["--set", "a.b=${trialParameters.rate}", "--set", "steps=3"]),
        (["precisionflow", "trial", "x", "--set"], ["a.b=${trialParameters.rate}"]),
        (["precisionflow", "trial", "x", "--set=a.b=${trialParameters.rate}"], []),
        (["sh", "-c", "{ precisionflow trial x --set a.b=${trialParameters.rate}; }"], []),
    ],
)
def test_settings_are_those_that_take_a_parameter(command: list[str], args: list[str]) -> None:
    found = template({"command": command, "args": args}, rate="lr")
    assert found.settings({"lr": "0.5"}, name="t") == ("a.b=0.5",)


def test_a_setting_is_one_word_whatever_stands_in_it() -> None:
    command = ["precisionflow", "trial", "it's", "--set", "model.hidden=[${trialParameters.rate}, 3]"]
    found = template({"command": command}, rate="lr")
    assert found.settings({"lr": "5"}, name="t") == ("model.hidden=[5, 3]",)
