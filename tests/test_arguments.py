"""Text of KFP's arguments: nothing in it is replaced on its way to a task, and it is read as what was written."""

import json

import pytest

from precisionflow.arguments import as_argument, experiment_argument
from precisionflow.config import load, parse, shipped


@pytest.mark.parametrize("text", ["{{workflow.name}}", "{{{$.x}}}", "$(SECRET) $$", "\U0001f600 é"])
def test_nothing_is_left_that_a_platform_replaces(text: str) -> None:
    argument = as_argument({text: [text]})
    assert json.loads(argument) == {text: [text]}
    assert "{{" not in argument
    assert "$" not in argument
    assert argument.isascii()


@pytest.mark.parametrize("name", sorted(shipped()))
def test_an_argument_is_the_experiment(name: str) -> None:
    assert parse(experiment_argument(load(name))) == load(name)


def test_equal_work_has_equal_arguments() -> None:
    plain, larger = (load("toy", settings) for settings in ([], ["cluster.train.cpu=7"]))
    assert experiment_argument(plain) != experiment_argument(larger)
    assert experiment_argument(plain, without=("cluster",)) == experiment_argument(
        larger, without=("cluster",)
    )
