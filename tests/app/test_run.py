"""A run on this machine: what is said before anything is trained, and which stages it says were run."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from precisionflow.pipelines import local

from precisionflow.app import run
from precisionflow.app.run import run_experiments
from precisionflow.config import Experiment, overlay, parse, resolve
from precisionflow.report import terminal
from precisionflow.results.layout import Results, cell_folder, data_folder
from precisionflow.results.stage import once
from tests.command_line import TINY
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
    assert capsys.readouterr().out == ("run twins: 3 seeds, 4 contrasts: 8 needed for a verdict\n")


class Pipeline:
    """Stands for the pipeline: every stage of resolved experiments, whose work is nothing."""

    code = "first"

    def __call__(self, experiments: Sequence[Experiment], *, folder: Path, **_: object) -> None:
        results = Results(folder)
        for one in experiments:
            self.stage(data_folder(results.data, one, 0), one.task.model_dump_json())
            self.stage(cell_folder(results.model(one), 0, 0), [one.model.model_dump_json(), self.code])
            self.stage(cell_folder(results.evaluation(one), 0, 0), one.hash)
        self.stage(results.aggregate, [one.hash for one in experiments])
        self.stage(results.report, [one.hash for one in experiments])

    def stage(self, out: Path, inputs: object) -> None:
        once(out, verb="train", inputs=inputs, work=lambda folder: (folder / "file").write_text("x"))


def test_the_stages_that_are_told_as_run_are_those_whose_keys_are_new(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pipeline, folder = Pipeline(), tmp_path / "results"
    monkeypatch.setattr(local, "run_locally", pipeline)
    monkeypatch.setattr(terminal, "print_tables", lambda *_: None)
    monkeypatch.setattr(terminal, "print_remarks", lambda *_: None)
    monkeypatch.setattr(run, "failed_cells", lambda *_: 0)

    def told(experiment: Experiment) -> tuple[str, ...]:
        run_experiments([experiment], folder=folder)
        found = re.search(r"(\d+) of (\d+) stages run", capsys.readouterr().out)
        assert found
        return found.groups()

    first = parse(TINY)
    assert told(first) == ("5", "5")
    assert told(first) == ("0", "5")
    pipeline.code = "second"
    assert told(first) == ("1", "5")
    longer = resolve(overlay(first.model_dump(mode="json"), {"training.batch_size": 16}))
    assert told(longer) == ("3", "5")
    other = resolve(overlay(first.model_dump(mode="json"), {"variant": "other"}))
    assert told(other) == ("4", "5"), "the cells of the first variant lie there and are no part of this run"
