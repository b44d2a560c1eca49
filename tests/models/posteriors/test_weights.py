"""Weights in a file: the network's and the posterior's, apart and together again."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from precisionflow.models.posteriors.weights import POSTERIOR, Weights


def weights() -> Weights:
    return Weights(
        {"layers.0.weight": torch.ones(2, 3), "readout.bias": torch.zeros(2)},
        {"factor": torch.eye(4, dtype=torch.float64), "prior": torch.tensor([1.0, 2.0])},
    )


def test_what_is_written_is_read(tmp_path):
    save_file(weights().tensors, tmp_path / "model.safetensors")
    found = Weights.of(load_file(tmp_path / "model.safetensors"))
    for mine, expected in ((found.network, weights().network), (found.posterior, weights().posterior)):
        assert mine.keys() == expected.keys()
        assert all(torch.equal(mine[name], expected[name]) for name in mine)
        assert all(mine[name].dtype == expected[name].dtype for name in mine)


def test_the_posteriors_names_are_marked_in_a_file_and_nowhere_else():
    assert sorted(weights().tensors) == [
        "layers.0.weight",
        "posterior.factor",
        "posterior.prior",
        "readout.bias",
    ]
    assert torch.equal(weights().believed("prior"), torch.tensor([1.0, 2.0]))
    assert not any(name.startswith(POSTERIOR) for name in Weights.of(weights().tensors).posterior)


def test_certain_weights_are_the_file_itself():
    alone = Weights(weights().network)
    assert alone.tensors == alone.network
    assert Weights.of(alone.tensors).posterior == {}


def test_what_the_file_does_not_hold_is_refused_by_its_name_there():
    with pytest.raises(RuntimeError, match=r"^posterior\.factor is missing$"):
        Weights(weights().network).believed("factor")


def test_the_callers_tensors_are_left_as_they_are():
    tensors = weights().tensors
    names = list(tensors)
    Weights.of(tensors)
    assert list(tensors) == names
