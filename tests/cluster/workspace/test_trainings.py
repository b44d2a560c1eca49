"""Trainings in the workspace: a lost pod costs no more than its last steps, and no cell is trained twice."""

import threading
from pathlib import Path
from typing import Any

import pytest

from precisionflow.cluster.workspace.trainings import CELLS, TRAININGS, Training
from precisionflow.config import Experiment, overlay, resolve
from precisionflow.data.prepare import prepare
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card
from precisionflow.results import identity
from precisionflow.results.failures import failure_of
from precisionflow.results.layout import TrainedCell, cell_folder
from precisionflow.results.locks import turn
from precisionflow.training.train import train
from tests.trained import TABLE

SMALL = {"seeds": [0], "splits": [0], "training.steps": 40, "training.checkpoint_every": 10}


class Pods:
    """Pods that train one after the other on one workspace."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        self.outs = 0

    def made(self, **changes: Any) -> Experiment:
        return resolve(overlay(TABLE, SMALL | {"training.validate_every": 5} | changes))

    def train(
        self, experiment: Experiment, *, lost_at: int | None = None
    ) -> tuple[Path, list[int], set[int]]:
        """Output of a pod, the steps from which cells went on, and the seeds that were trained."""
        self.outs += 1
        out, data = self.folder / f"out-{self.outs}", self.folder / "data"
        prepare([experiment], out=data)
        resumed: list[int] = []
        seeds: set[int] = set()

        def report(seed: int, _split: int, step: int, _measured: dict[str, float]) -> None:
            seeds.add(seed)
            if lost_at is not None and step >= lost_at:
                raise KeyboardInterrupt

        with Training(experiment, data, self.workspace).in_this_pod(out) as place:
            train(
                experiment,
                data=data,
                out=place,
                report=report,
                resumed=resumed.append,
                failed=lambda *_: None,
            )
        return out, resumed, seeds

    def below(self, name: str) -> list[str]:
        return sorted(path.name for path in (self.workspace / name).glob("*"))


@pytest.fixture
def pods(tmp_path: Path) -> Pods:
    return Pods(tmp_path)


def weights(out: Path, seed: int = 0) -> bytes:
    return TrainedCell(cell_folder(out, seed, 0)).weights.read_bytes()


def test_a_lost_pod_goes_on_from_its_checkpoint_with_the_same_weights(pods: Pods, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    whole, _, _ = Pods(tmp_path / "alone").train(pods.made())
    with pytest.raises(KeyboardInterrupt):
        pods.train(pods.made(), lost_at=24)
    assert len(pods.below(TRAININGS)) == 1
    out, resumed, _ = pods.train(pods.made())
    assert resumed == [20]
    assert weights(out) == weights(whole)
    assert pods.below(TRAININGS) == []
    assert len(pods.below(CELLS)) == 1


def test_the_same_work_is_found_whoever_asks(pods: Pods) -> None:
    first, _, trained = pods.train(pods.made())
    assert trained == {0}
    again, _, trained = pods.train(pods.made(name="other", variant="mine"))
    assert trained == set()
    assert weights(again) == weights(first)
    card = read_card(TrainedCell(cell_folder(again, 0, 0)).card, ModelCard)
    assert (card.experiment.name, card.experiment.variant) == ("other", "mine")
    _, _, trained = pods.train(pods.made(seeds=[0, 1]))
    assert trained == {1}
    assert len(pods.below(CELLS)) == 2


def test_other_work_is_not_taken_for_it(pods: Pods, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = "\n".join(f"{i % 7},{i}" for i in range(40))
    (tmp_path / "rows.csv").write_text(f"a,y\n{rows}\n")
    source = {"kind": "table_file", "path": str(tmp_path / "rows.csv"), "target": "y"}
    of_file = pods.made(**{"task.source": source})
    for experiment, expected in ((of_file, {0}), (of_file, set()), (pods.made(), {0})):
        assert pods.train(experiment)[2] == expected
    (tmp_path / "rows.csv").write_text(f"a,y\n{rows}0\n")
    assert pods.train(of_file)[2] == {0}, "one changed row"
    assert pods.train(pods.made())[2] == set()
    monkeypatch.setattr(identity, "code_digest", lambda verb: "other" if verb == "train" else "same")
    assert pods.train(pods.made())[2] == {0}, "one changed line of code"


def test_a_kept_cell_that_lost_its_bytes_is_trained_again(pods: Pods) -> None:
    first, _, _ = pods.train(pods.made())
    (file,) = (pods.workspace / CELLS).glob("*/model.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    again, _, trained = pods.train(pods.made())
    assert trained == {0}
    assert weights(again) == weights(first)


def test_a_failed_cell_is_handed_over_and_not_kept(pods: Pods) -> None:
    out, _, _ = pods.train(pods.made(**{"training.learning_rate": 1e30}))
    assert failure_of(cell_folder(out, 0, 0))
    assert pods.below(CELLS) == pods.below(TRAININGS) == []


def test_without_a_workspace_the_output_is_the_place(pods: Pods, capsys: pytest.CaptureFixture[str]) -> None:
    pods.workspace.rmdir()
    out, _, trained = pods.train(pods.made())
    assert trained == {0}
    assert weights(out)
    assert capsys.readouterr().out == ""
    assert not pods.workspace.exists()


def test_a_workspace_that_keeps_nothing_is_told(
    pods: Pods, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (pods.workspace / CELLS).write_text("in the way")
    out, _, _ = pods.train(pods.made())
    assert weights(out)
    assert "table diabetes default: not kept in the workspace (" in capsys.readouterr().out
    monkeypatch.setattr("os.access", lambda *_: False)
    out, _, _ = pods.train(pods.made())
    assert weights(out)
    assert f"{pods.workspace} can not be written, no checkpoint is kept" in capsys.readouterr().out


def test_two_pods_with_one_training_take_turns(pods: Pods, capsys: pytest.CaptureFixture[str]) -> None:
    experiment, data = pods.made(), pods.folder / "data"
    prepare([experiment], out=data)
    place = Training(experiment, data, pods.workspace).place
    place.mkdir(parents=True)
    with turn(place):
        second = threading.Thread(target=pods.train, args=(experiment,))
        second.start()
        second.join(0.3)
        assert second.is_alive()
        assert "waits for another run that trains the same" in capsys.readouterr().out
    second.join()
    assert len(pods.below(CELLS)) == 1
