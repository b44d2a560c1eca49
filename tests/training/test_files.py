"""Tensors in files."""

import pytest
import torch
from safetensors.torch import save_file

from precisionflow.training.files import load_weights


@pytest.mark.parametrize("note", ["", "x" * 8, "x" * 24, "x" * 40])
def test_weights_lie_alike_in_memory_wherever_they_lie_in_the_file(note, tmp_path):
    """A header of another length moves the numbers in the file; a product rounds by where its factors lie."""
    weights = {"a": torch.randn(3, 5), "b": torch.randn(7, dtype=torch.float64)}
    save_file(weights, tmp_path / "model.safetensors", metadata={"note": note})
    loaded = load_weights(tmp_path / "model.safetensors")
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())
    assert [tensor.data_ptr() % 64 for tensor in loaded.values()] == [0, 0]
