"""Interrupted and started again: the same bits; checkpoints of other work or damaged ones: never used."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import checkpoints, finish, interrupt, result

from precisionflow.config import Experiment, overlay, resolve
from precisionflow.data.prepare import prepare
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import cell_folder, checkpoint_folder
from precisionflow.results.locks import exclusive
from precisionflow.training.divergence import DivergedError
from precisionflow.training.engines.torch_engine import Torch
from precisionflow.training.train import train

STEPS, CHECKPOINT_EVERY = 12, 5
TEXT = {"training.validate_every": 1}
DIABETES: dict[str, Any] = {
    "name": "diabetes",
    "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "diabetes"}},
    "model": {"kind": "mlp", "hidden": [16], "dropout": 0.1},
    "objective": {"kind": "gaussian_nll"},
    "training": {"steps": 80, "batch_size": 64, "learning_rate": 0.1, "patience": 3, "validate_every": 2},
    "engine": {"kind": "torch", "device": "cpu"},
}
Case = tuple[Experiment, Path]


@pytest.fixture(scope="module")
def diabetes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diabetes")
    prepare([resolve(DIABETES)], out=folder)
    return folder


@pytest.fixture
def text(text_tree: dict[str, Any], text_data: Path) -> Callable[..., Case]:
    return lambda **changes: (resolve(overlay(text_tree, TEXT | changes)), text_data)


def cell(out: Path) -> Path:
    return cell_folder(out, 0, 0)


def assert_clean(out: Path) -> None:
    """Nothing but the finished cell is left."""
    assert [path.name for path in out.iterdir()] == ["seed-0-split-0"]


@pytest.mark.parametrize(
    ("changes", "every"),
    [
        ({}, 1),
        ({"training.patience": 2, "training.learning_rate": 0.3}, 1),
        ({"learning": {"kind": "predictive_coding", "iterations": 3, "tolerance": 1e-3}}, 4),
        ({"engine.dtype": "bfloat16", "training.schedule": "cosine", "training.warmup_steps": 6}, 4),
    ],
    ids=["plain", "patience", "predictive-coding", "bfloat16-schedule"],
)
def test_a_text_run_interrupted_at_any_step_gives_the_same_bits(changes, every, text, tmp_path):
    case = text(**changes)
    reported = finish(*case, tmp_path / "whole")
    whole = result(tmp_path / "whole")
    assert reported == list(range(1, reported[-1] + 1))
    for step in reported[::-every]:
        out = tmp_path / str(step)
        interrupt(*case, out, step=step)
        kept = (step - 1) // CHECKPOINT_EVERY * CHECKPOINT_EVERY
        assert checkpoints(out) == ([kept] if kept else [])
        assert not cell(out).exists()
        assert finish(*case, out) == list(range(kept + 1, reported[-1] + 1))
        assert result(out) == whole
        assert_clean(out)


ENSEMBLE = {"model.posterior": {"kind": "ensemble", "members": 6}}


@pytest.mark.parametrize("settings", [{}, ENSEMBLE], ids=["point", "ensemble"])
def test_early_stopping_interrupted_again_and_again_gives_the_same_bits(settings, diabetes, tmp_path):
    """Members stop at steps of their own, and a checkpoint holds those that have left too."""
    experiment = resolve(overlay(DIABETES, settings | {"training.checkpoint_every": 3}))
    reported = finish(experiment, diabetes, tmp_path / "whole")
    card = read_card(cell(tmp_path / "whole") / "model.json", ModelCard)
    assert card.steps == reported[-1] < 80
    for step in reported:
        interrupt(experiment, diabetes, tmp_path / "out", step=step)
    finish(experiment, diabetes, tmp_path / "out")
    assert result(tmp_path / "out") == result(tmp_path / "whole")
    again = read_card(cell(tmp_path / "out") / "model.json", ModelCard)
    assert (again.validation_loss, again.steps) == (card.validation_loss, card.steps)
    assert_clean(tmp_path / "out")


def test_a_checkpoint_inside_a_validation_interval_keeps_the_mean_of_its_steps(text, tmp_path):
    """Checkpoints at 5 and 10, validations at 4, 8, 12: the mean loss of steps 9 to 12 spans both runs."""
    case = text(**{"training.validate_every": 4})
    finish(*case, tmp_path / "whole")
    interrupt(*case, tmp_path / "out", step=12)
    assert checkpoints(tmp_path / "out") == [5, 10]
    assert finish(*case, tmp_path / "out") == [12]
    assert result(tmp_path / "out") == result(tmp_path / "whole")


def test_a_finished_cell_is_not_trained_again(text, tmp_path):
    case = text()
    finish(*case, tmp_path / "out")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in cell(tmp_path / "out").iterdir()}
    assert finish(*case, tmp_path / "out") == []
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before}


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"training.learning_rate": 0.02}, 1),
        ({"model.width": 8}, 1),
        ({"training.checkpoint_every": 2}, 11),
        ({"engine.device": "auto", "variant": "another", "evaluation.bins": 3}, 11),
    ],
)
def test_only_a_checkpoint_of_the_same_work_is_used(changes, first, text, tmp_path):
    interrupt(*text(), tmp_path / "out", step=11)
    assert checkpoints(tmp_path / "out") == [10]
    assert finish(*text(**changes), tmp_path / "out")[0] == first
    finish(*text(**changes), tmp_path / "whole")
    assert result(tmp_path / "out") == result(tmp_path / "whole")
    assert_clean(tmp_path / "out")


def test_a_half_written_checkpoint_is_passed_over(text, tmp_path):
    interrupt(*text(), tmp_path / "out", step=8)
    folder = checkpoint_folder(cell(tmp_path / "out"))
    shutil.copytree(folder / "step-5", folder / "step-10.partial")
    (folder / "step-10.partial" / "progress.json").unlink()
    assert finish(*text(), tmp_path / "out")[0] == 6
    assert_clean(tmp_path / "out")


DAMAGE: list[tuple[str, Callable[[Path], None]]] = [
    ("engine/state.pt", lambda path: os.truncate(path, path.stat().st_size // 2)),
    ("engine/state.pt", lambda path: path.write_bytes(b"")),
    ("engine/state.pt", lambda path: path.write_text("no weights")),
    ("engine/state.pt", Path.unlink),
    ("engine/best.safetensors", lambda path: os.truncate(path, path.stat().st_size // 2)),
    ("history.parquet", lambda path: os.truncate(path, path.stat().st_size // 2)),
    ("history.parquet", Path.unlink),
    ("progress.json", lambda path: os.truncate(path, 10)),
    ("progress.json", Path.unlink),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGE)
def test_a_damaged_checkpoint_is_refused_in_one_line_and_can_be_deleted(name, damage, text, tmp_path):
    case = text(**{"training.patience": 20})
    out = tmp_path / "out"
    interrupt(*case, out, step=8)
    (checkpoint,) = checkpoint_folder(cell(out)).glob("step-*")
    damage(checkpoint / name)
    with pytest.raises(ValueError, match="cannot be read") as caught:
        finish(*case, out)
    message = str(caught.value)
    assert message.startswith(f"{checkpoint / name}: ")
    assert f"delete the checkpoint {checkpoint} and run again" in message
    assert "\n" not in message
    shutil.rmtree(checkpoint)
    assert finish(*case, out)[0] == 1
    assert_clean(out)


def test_a_run_that_another_process_holds_is_refused(text, tmp_path):
    with (
        exclusive(checkpoint_folder(cell(tmp_path / "out"))),
        pytest.raises(ValueError, match="another run is writing here"),
    ):
        finish(*text(), tmp_path / "out")
    assert finish(*text(), tmp_path / "out")[0] == 1


def test_a_training_that_diverged_goes_on_from_before_its_last_finite_validation(text, tmp_path, monkeypatch):
    """Its weights break in step 38; no validation has followed the checkpoint of step 35."""
    learn, gone_on_from, said = Torch.learn, [], []

    def breaking(engine, parts, share, carried):
        lessons = learn(engine, parts, share, carried)
        if share == 38 / 59:
            torch.nn.init.constant_(engine.network.layers[1].norm.weight, float("inf"))
        return lessons

    monkeypatch.setattr(Torch, "learn", breaking)
    experiment, data = text(
        **{
            "training.steps": 60,
            "training.warmup_steps": 59,
            "training.validate_every": 20,
            "training.checkpoint_every": 5,
        }
    )
    for _ in range(2):
        with pytest.raises(DivergedError) as caught:
            train(experiment, data=data, out=tmp_path, resumed=gone_on_from.append)
        said.append(str(caught.value))
        assert checkpoints(tmp_path) == [20]
    assert gone_on_from == [20]
    assert said[0] == said[1]
    place = checkpoint_folder(cell(tmp_path)) / "step-20"
    assert said[0].endswith(f"last finite validation: step 20; a checkpoint of step 20 is in {place})")
