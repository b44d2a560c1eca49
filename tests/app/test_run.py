"""A run on this machine: what is said before anything is trained, and which stages it says were run."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from precisionflow.pipelines import local
from precisionflow.pipelines.task_client import TaskServer

from precisionflow.ablation.aggregate import aggregate, read_aggregate
from precisionflow.ablation.design import Variant
from precisionflow.app import run
from precisionflow.app.run import run_experiments
from precisionflow.config import Experiment, load, overlay, parse, resolve
from precisionflow.report import terminal
from precisionflow.results.layout import Results, cell_folder, data_folder
from precisionflow.results.stage import once
from tests.command_line import TINY
from tests.synthetic import evaluations, language, regression

NO_SERVER = cast(TaskServer, None)
"""What stands for the pipeline has no tasks."""


class Begun(Exception):
    """The pipeline would run."""


def test_a_design_that_can_reach_no_verdict_is_told_before_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def begin(*_: object, **__: object) -> None:
        raise Begun

    monkeypatch.setattr(local, "run_locally", begin)
    with pytest.raises(Begun):
        run_experiments([language(), regression()], folder=tmp_path / "out", server=NO_SERVER)
    assert capsys.readouterr().out == ("run twins: 3 seeds, 4 contrasts: 8 needed for a verdict\n")


@pytest.mark.parametrize(
    ("effect", "seeds", "said"), [(-20.0, 8, []), (0.0, 16, ["8 seeds, 8 more are run"])]
)
def test_seeds_are_added_until_contrasts_are_decided(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    effect: float,
    seeds: int,
    said: list[str],
) -> None:
    def measure(variant: Variant, seed: int, split: int) -> dict[str, float]:  # noqa: ARG001
        learned = variant.name == "heteroscedastic"
        value = float(np.random.default_rng([seed, learned]).standard_normal()) + effect * learned
        return {"nll": value, "crps": value, "rmse": value}

    def cells_and_tables(experiments: Sequence[Experiment], *, folder: Path, **_: object) -> None:
        for one in experiments:
            found = evaluations(one, tmp_path / f"{len(one.seeds)} seeds", measure)
        aggregate(experiments, evaluations=found, out=Results(folder).aggregate)

    monkeypatch.setattr(local, "run_locally", cells_and_tables)
    monkeypatch.setattr(terminal, "print_remarks", lambda *_: None)
    seeded = ("seeds: [0, 1]\nsplits: [0, 1, 2, 3, 4, 5, 6]", f"seeds: {list(range(16))}")
    whole = regression(seeded, ("ablation:\n", "ablation:\n  looks: [8, 16]\n"))
    assert run_experiments([whole], folder=tmp_path / "out", server=NO_SERVER)
    out = Results(tmp_path / "out")
    assert {row["n"] for row in read_aggregate(out.aggregate).contrasts.to_pylist()} == {seeds}
    assert len(load(str(out.experiment("noise"))).seeds) == seeds
    lines = [line for line in capsys.readouterr().out.splitlines() if " open after " in line]
    assert len(lines) == len(said)
    assert all(words in line for words, line in zip(said, lines, strict=True))


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
        run_experiments([experiment], folder=folder, server=NO_SERVER)
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
