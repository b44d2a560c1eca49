"""The first layer whose output is not finite, and the checkpoint from before, in the one line that ends a training."""

from pathlib import Path
from typing import Any

import pytest
import torch
import trained as tiny
from digits import DIGITS
from on_ranks import cold, engine_of
from torch import nn

from precisionflow.config import resolve
from precisionflow.config.networks import Transformer
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import TiedReadout, transformer
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card
from precisionflow.training import divergence, loop
from precisionflow.training import train as verb
from precisionflow.training.divergence import DivergedError
from precisionflow.training.engines.not_finite import watching_outputs
from precisionflow.training.engines.torch_engine import Torch
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
    assert engine.not_finite(0, step=None) is None
    second = engine.network.get_submodule("network.layers.1")
    with torch.no_grad():
        next(second.parameters()).fill_(float("nan"))
    found = engine.not_finite(0, step=None)
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
    assert "(after step 30 weights are not finite: layers.1 (attention);" in said
    assert "last finite validation: step 20; a checkpoint of step 20 is in " in said
    assert Path(said.removesuffix(")").rpartition(" is in ")[2]).is_dir()


def test_a_first_loss_is_none_by_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention overflows before anything is learned; by the first validation all weights are broken."""
    population = verb.population
    monkeypatch.setattr(verb, "population", lambda experiment, *others: population(cold(experiment), *others))
    with pytest.raises(DivergedError) as caught:
        tiny.language_model(tmp_path)
    assert str(caught.value) == (
        "training loss is not finite at step 1 of seed 0, split 0; no step was taken before it: change settings of the "
        "model or what it learns from (first output that is not finite: layers.1 (attention); last finite validation: "
        "none; no checkpoint)"
    )


@pytest.mark.parametrize(("most", "found"), [(100, "first output that is"), (4, "after step 28 weights are")])
def test_the_layer_is_that_of_the_step_whose_loss_is_not_finite(
    most: int, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The feed-forward layer overflows in step 26; the next look, after step 28, finds no weight finite."""
    learn = Torch.learn

    def growing(engine: Torch, parts: Any, share: float, carried: Any) -> Any:
        lessons = learn(engine, parts, share, carried)
        if share == 25 / 39:
            nn.init.constant_(engine.network.layers[2].branch[2].weight, 3e38)  # type: ignore[arg-type]
        return lessons

    monkeypatch.setattr(Torch, "learn", growing)
    monkeypatch.setattr(divergence, "MOST_AGAIN", most)
    changes = {"training.validate_every": 20, "training.checkpoint_every": 4, "training.warmup_steps": 39}
    with pytest.raises(DivergedError, match=r"^training loss is not finite at step 26 of") as caught:
        tiny.language_model(tmp_path, **changes)
    layer = "layers.2 (feed_forward)" if most == 100 else "layers.0 (embedding)"
    assert f"({found} not finite: {layer}; last finite validation: step 20; a checkpoint" in str(caught.value)


def test_a_running_mean_is_not_what_learned(tmp_path: Path) -> None:
    """Looked at by a batch the weights are those that learn, by the validation their mean; neither is left changed."""
    cell, _, data = tiny.language_model(tmp_path, **{"training.average": 0.9})
    engine = engine_of(read_card(cell / "model.json", ModelCard).experiment, data, Ranks())
    before = engine.whole_weights()
    next(iter(engine.mean.mean.values())).fill_(float("nan"))
    assert engine.not_finite(0, step=0) is None
    assert engine.not_finite(0, step=None) is not None
    assert all(torch.equal(of, before[name]) for name, of in engine.whole_weights().items())
