"""A run on this machine: what is said before anything is trained."""

from pathlib import Path

import pytest
from precisionflow.pipelines import local

from precisionflow.app.run import run_experiments
from tests.synthetic import language, regression


class Begun(Exception):
    """The pipeline would run."""


def test_a_design_that_can_reach_no_verdict_is_told_before_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def begin(*_: object, **__: object) -> None:
        raise Begun

    monkeypatch.setattr(local, "run_locally", begin)
    with pytest.raises(Begun):
        run_experiments([language(), regression()], folder=tmp_path / "out")
    assert capsys.readouterr().out == (
        "precisionflow: run twins: 3 seeds, 4 contrasts: 8 needed for a verdict\n"
    )
