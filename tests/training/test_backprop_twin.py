"""Weights that predictive coding trained are those of a network of backprop: it loads them and predicts the same."""

import pytest
import torch
from on_ranks import AMORTISED, BOTTOM_UP, BY_HEAD, INCREMENTAL, LEARNED_LAW, PREDICTIVE_CODING

from precisionflow.config import resolve
from precisionflow.evaluation.network import TrainedNetwork
from precisionflow.models.posteriors.weights import Weights
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import PreparedSplit, TrainedCell, cell_folder, data_folder
from precisionflow.training.batches import part_batches
from precisionflow.training.files import load_weights
from precisionflow.training.train import train


@pytest.mark.parametrize(
    "learning",
    [PREDICTIVE_CODING, LEARNED_LAW, INCREMENTAL, BOTTOM_UP, AMORTISED, BY_HEAD],
    ids=["errors", "learned law", "incremental", "bottom up", "amortised", "by head"],
)
def test_the_backprop_twin_loads_what_predictive_coding_trained(learning, text_tree, text_data, tmp_path):
    short = text_tree["training"] | {"steps": 2, "validate_every": 2}
    coded = resolve(text_tree | {"training": short, "learning": learning})
    twin = resolve(text_tree | {"training": short, "learning": {"kind": "backprop"}})
    for experiment in (coded, twin):
        train(experiment, data=text_data, out=tmp_path / experiment.learning.kind)
    prepared = PreparedSplit(data_folder(text_data, coded, 0))
    card, batch = read_card(prepared.card, DatasetCard), part_batches(coded, prepared.part("test"))[0]

    def predicted(experiment, learned: str):
        cell = TrainedCell(cell_folder(tmp_path / learned, 0, 0))
        network = TrainedNetwork.network(experiment, card, Weights.of(load_weights(cell.weights)))
        with torch.no_grad():
            return network.eval()(batch.inputs, batch.mask)

    mine = predicted(coded, "predictive_coding")
    assert torch.equal(predicted(twin, "predictive_coding"), mine)
    assert not torch.equal(predicted(twin, "backprop"), mine), "what was learned is not what backprop learns"
