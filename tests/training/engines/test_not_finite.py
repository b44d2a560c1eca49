"""The first layer whose output is not finite, and the checkpoint from before, in the one line that ends a training."""

from pathlib import Path

import pytest
import torch
import trained as tiny
from digits import DIGITS
from on_ranks import engine_of
from torch import nn

from precisionflow.config import resolve
from precisionflow.config.networks import Transformer
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import TiedReadout, transformer
from precisionflow.training import loop
from precisionflow.training.engines.not_finite import watching_outputs
from precisionflow.training.ranks import Ranks


def network() -> TokenNetwork:
    torch.manual_seed(0)
    config = Transformer(blocks=1, heads=2, width=8, zero_projections=False)
    return transformer(config, vocabulary=5, context=4, readout=TiedReadout)


def found_in(made: TokenNetwork) -> list[str]:
    with torch.no_grad(), watching_outputs(made) as found:
        made(torch.tensor([[0, 1, 2, 3]]))
    assert not any(module._forward_hooks for module in made.modules())
    return found


def test_the_layer_that_overflows_is_the_first() -> None:
    made = network()
    assert found_in(made) == []
    with torch.no_grad():
        made.layers[2].branch[2].weight.fill_(3e38)
    assert found_in(made) == ["layers.2 (feed_forward)", "readout (readout)"]


def test_weights_that_are_no_numbers_are_told() -> None:
    made = network()
    with torch.no_grad():
        made.layers[1].branch.mix.bias[0] = float("nan")
    first, *_ = found_in(made)
    assert first == "layers.1 (attention), whose weights are not finite"


def test_a_layer_of_a_model_of_images_is_told_as_another(text_tree, digits_data) -> None:
    engine = engine_of(resolve(text_tree | DIGITS), digits_data, Ranks())
    assert engine.not_finite(0) is None
    second = engine.network.get_submodule("network.layers.1")
    with torch.no_grad():
        next(second.parameters()).fill_(float("nan"))
    found = engine.not_finite(0)
    assert found is not None
    assert found.startswith("layers.1")
    assert found.endswith(", whose weights are not finite")


def test_the_line_names_layer_and_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights break after the second validation, of which a checkpoint is left."""
    validate = loop._validate

    def breaking(engine, standing, **others):
        if standing.step == 30:
            nn.init.constant_(engine.network.layers[1].norm.weight, float("inf"))
        return validate(engine, standing, **others)

    monkeypatch.setattr(loop, "_validate", breaking)
    changes = {"training.validate_every": 10, "training.checkpoint_every": 20}
    with pytest.raises(
        ValueError, match=r"^validation loss is nan at step 30 of seed 0, split 0; "
    ) as caught:
        tiny.language_model(tmp_path, **changes)
    said = str(caught.value)
    assert "first output that is not finite: layers.1 (attention), whose weights are not finite;" in said
    assert "last finite validation: step 20; a checkpoint of step 20 is in " in said
    assert Path(said.removesuffix(")").rpartition(" is in ")[2]).is_dir()
