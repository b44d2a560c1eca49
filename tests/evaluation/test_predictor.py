"""The predictor of a trained cell: one type for each task, and what cannot be loaded."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from trained import Trained, copy_without_marker

from precisionflow.evaluation.predictor import load_predictor
from precisionflow.evaluation.tasks.next_token import TokenPredictor
from precisionflow.evaluation.tasks.regression import TablePredictor
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import cell_folder


def test_each_task_has_its_own_predictor(table, text):
    assert type(table.predictor()) is TablePredictor
    assert type(text.predictor()) is TokenPredictor
    with pytest.raises(
        ValueError, match=r"^text: its card has no standardisation; give the card of a table of num"
    ):
        text.predictor().data_card.feature_names  # noqa: B018
    with pytest.raises(ValueError, match=r"^diabetes: its card has no vocabulary; give the card of a text$"):
        table.predictor().data_card.tokens  # noqa: B018


@pytest.fixture
def model(table: Trained, tmp_path: Path) -> Path:
    """A copy of a model without its marker, that a test may damage."""
    return copy_without_marker(cell_folder(table.model, 0, 0), tmp_path / "model")


def test_a_flipped_bit_in_the_weights_or_the_card_is_refused(table, tmp_path):
    model = Path(shutil.copytree(cell_folder(table.model, 0, 0), tmp_path / "model"))
    load_predictor(model, card_of(table))
    for file in (model / "model.safetensors", model / "model.json"):
        data = file.read_bytes()
        file.write_bytes(data[:-40] + bytes([data[-40] ^ 1]) + data[-39:])
        assert refused(model, card_of(table)) == (
            f"{file}: does not hold what train wrote, its sha256 is another; delete {model} and run train again"
        )
        file.write_bytes(data)


def card_of(trained: Trained, split: int = 0) -> DatasetCard:
    return read_card(trained.data_of(split) / "dataset.json", DatasetCard)


def refused(model: Path, card: DatasetCard) -> str:
    with pytest.raises(ValueError, match=r"train again|run its stage again|run the stage") as caught:
        load_predictor(model, card)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_weights_that_are_not_finite_are_refused_by_name(model, table):
    weights = model / "model.safetensors"
    tensors = load_file(weights)
    name = sorted(tensors)[0]
    tensors[name].view(-1)[0] = torch.nan
    save_file(tensors, weights)
    assert refused(model, card_of(table)).startswith(f"{weights}: {name} holds values that are not finite; ")


def test_weights_that_are_damaged_absent_or_foreign_are_refused(model, table, one_noise):
    weights = model / "model.safetensors"
    shutil.copyfile(cell_folder(one_noise.model, 0, 0) / weights.name, weights)
    message = refused(model, card_of(table))
    assert message.startswith(f"{weights}: holds no weights of this network (")
    assert "readout.precision_head.weight" in message
    os.truncate(weights, 100)
    assert refused(model, card_of(table)).startswith(f"{weights}: holds no weights of this network (")
    weights.unlink()
    assert refused(model, card_of(table)).startswith(f"{weights}: holds no weights of this network (")
    (model / "model.json").write_text("{")
    assert refused(model, card_of(table)).startswith(f"{model / 'model.json'}: ")
    (model / "model.json").unlink()
    assert refused(model, card_of(table)).startswith(f"{model / 'model.json'}: does not exist")


def test_the_card_of_other_data_is_refused(model, table, text):
    """Another split has another standardisation: its predictions would be in wrong units. So would those of a file
    that was changed since."""
    edited = card_of(table).model_copy(update={"source_sha256": "another file's"})
    for card in (card_of(table, 1), card_of(text), edited):
        message = refused(model, card)
        assert message.startswith(f"{model}: was not trained on {card.dataset} split {card.split} as ")
