"""The command line as tests use it: in this process, and with what one line of error is."""

import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from precisionflow import cli

TINY = """
name: tiny
question: Does it run?
task: {kind: regression, source: {kind: scikit_learn, name: linnerud}}
model: {kind: mlp, hidden: [3]}
objective: {kind: gaussian_nll}
training: {steps: 2, batch_size: 8, validate_every: 1}
"""
"""An experiment that takes no time."""
AXES = "ablation: {axes: {noise: {one: {objective.kind: homoscedastic}, other: {objective.kind: gaussian_nll}}}}\n"


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Line:
    """`line(words)` runs the command line in this process; `line.fails(words)` returns its one line of error."""

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self.patch = patch
        self.captured = captured

    def __call__(self, *words: str | Path) -> Done:
        self.patch.setattr(sys, "argv", ["precisionflow", *map(str, words)])
        self.captured.readouterr()
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return Done(int(caught.value.code or 0), *self.captured.readouterr())

    def fails(self, *words: str | Path) -> str:
        code, out, err = self(*words)
        assert code == 2, err
        assert out == ""
        assert err.startswith("precisionflow: error: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1, err
        return err.removeprefix("precisionflow: error: ").rstrip("\n")
