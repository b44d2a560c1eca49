"""Trials: the command of one on this machine, and its record when it has ended."""

import sys
from math import isnan
from pathlib import Path

import pytest

from precisionflow.search.read import read_study
from precisionflow.search.trial import trial_command, trial_record
from tests.search.shipped import FOLDER
from tests.search.studies import parse_study, study


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_trials_command_has_no_placeholder_left(file: Path, tmp_path: Path) -> None:
    spec = read_study(file).spec
    values = {parameter.name: parameter.ends[0] for parameter in spec.parameters}
    words = trial_command(spec.template, values, name="t", out=tmp_path)
    assert words[:4] == [sys.executable, "-P", "-m", "precisionflow"]
    assert not any("$" in word for word in words)
    assert words[-2:] == ["--out", str(tmp_path)]
    assert all(any(word.endswith(f"={v}") or f"={v}" in word for word in words) for v in values.values())


def test_a_template_without_a_command_is_refused(tmp_path: Path) -> None:
    tree = study(tmp_path).content
    tree["spec"]["trialTemplate"]["trialSpec"]["spec"] = {}
    with pytest.raises(ValueError, match="no container has a command; add one"):
        trial_command(parse_study(tree).spec.template, {"x": "1"}, name="t", out=tmp_path)


@pytest.mark.parametrize(("state", "counts"), [("succeeded", True), ("stopped", True), ("failed", False)])
def test_the_objective_of_a_failed_trial_does_not_count(tmp_path: Path, state: str, counts: bool) -> None:
    found = trial_record(
        study(tmp_path),
        name="parabola-3",
        number=3,
        end=0,
        state=state,  # type: ignore[arg-type]
        assignments={"x": "1.5"},
        metrics={"loss": 0.5, "step": 4.0},
        seconds=1.0,
        cause="exit code 1",
    )
    assert found.parameters == {"x": 1.5}
    assert found.value == 0.5 if counts else isnan(found.value)
    assert found.cause == ("" if counts else "exit code 1")
    assert found.metrics == {"loss": 0.5, "step": 4.0}
