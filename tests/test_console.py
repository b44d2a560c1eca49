"""What a user sees of a training in a log, and commands that can be pasted."""

import shlex
from types import SimpleNamespace

import pytest

from precisionflow import console

MEASURED = {"train_loss": 3.2e-9, "validation_loss": 0.5}


def experiment(**rest: object) -> SimpleNamespace:
    training = SimpleNamespace(known_steps=30)
    return SimpleNamespace(name="e", dataset="d", variant="v", model=None, training=training, **rest)


def lines_of(calls: list[tuple[int, int, int]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    with console.training_progress(experiment()) as report:
        for seed, split, step in calls:
            report(seed, split, step, MEASURED)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("together", [True, False])
def test_a_split_is_one_line_with_the_step_that_it_reached(
    together: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Split 1 stops early."""
    calls = [(0, split, step) for step in (10, 20, 30) for split in (0, 1, 2) if split != 1 or step < 30]
    if not together:
        calls.sort(key=lambda call: call[1])
    assert lines_of(calls, capsys) == [
        f"precisionflow: train e d v seed 0 split {split}: step {step}/30, "
        "train loss 3.2e-09, validation loss 0.5"
        for split, step in ((0, 30), (1, 20), (2, 30))
    ]


def test_a_long_training_is_not_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console.CellLines, "PAUSE", 0.0)
    said = lines_of([(0, 0, 10), (0, 0, 20), (0, 0, 30)], capsys)
    assert [line.partition("step ")[2].partition("/")[0] for line in said] == ["10", "20", "30"]


@pytest.mark.parametrize("name", ["plain", "two words", "it's", 'a "b"', "é;$(x)", "a  b"])
def test_a_command_can_be_pasted(name: str) -> None:
    assert shlex.split(console.command("status", name)) == ["precisionflow", "status", name]


def test_an_error_is_one_line_that_keeps_its_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        console.fail("a  b:\n   wrong")
    assert capsys.readouterr().err == "precisionflow: error: a  b: wrong\n"
