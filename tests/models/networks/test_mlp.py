"""Fully connected networks against the same ones written down by hand."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from precisionflow.config.networks import MLP
from precisionflow.models.likelihoods.faithful import Faithful
from precisionflow.models.likelihoods.gaussian import Gaussian
from precisionflow.models.likelihoods.homoscedastic import Homoscedastic
from precisionflow.models.networks.mlp import mlp
from precisionflow.models.networks.readout import precision_head_names

ROWS = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))


def network(config: MLP, likelihood=Gaussian()):  # noqa: B008 - a likelihood has no state
    torch.manual_seed(0)
    model = mlp(config, features=4, heads=likelihood.heads)
    nn.init.normal_(list(model.readout.precision_head.modules())[-1].weight, std=0.3)
    return model.eval()


class SeparateHeads(nn.Module):
    """Layers of 256 and 128 with layer norm and dropout; each head has a hidden layer of 64."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *[nn.Linear(features, 256), nn.LayerNorm(256), nn.ReLU(), nn.Dropout(0.1)],
            *[nn.Linear(256, 128), nn.LayerNorm(128), nn.ReLU(), nn.Dropout(0.1)],
        )
        self.mu, self.log_precision = (
            nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1)) for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.trunk(x)
        return torch.cat([self.mu(features), self.log_precision(features)], dim=1)


class SharedTrunk(nn.Module):
    """Two rectified layers and two linear heads."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(features, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.mu, self.log_precision = nn.Linear(32, 1), nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.trunk(x)
        return torch.cat([self.mu(features), self.log_precision(features)], dim=1)


@pytest.mark.parametrize(
    ("by_hand", "config"),
    [
        (
            SeparateHeads,
            MLP(hidden=(256, 128), activation="relu", layer_norm=True, dropout=0.1, separate_heads=True),
        ),
        (SharedTrunk, MLP(hidden=(32, 32), activation="relu")),
    ],
)
def test_the_networks_of_the_texts_are_settings_of_one(by_hand, config):
    model, hand = network(config), by_hand(4).eval()
    for mine, theirs in zip(model.parameters(), hand.parameters(), strict=True):
        theirs.data.copy_(mine.data)
    torch.testing.assert_close(model(ROWS), hand(ROWS))


@pytest.mark.parametrize(("activation", "module"), [("silu", nn.SiLU), ("relu", nn.ReLU), ("tanh", nn.Tanh)])
@pytest.mark.parametrize("layers", [1, 3])
def test_a_plain_network_is_linear_maps_and_activations(activation, module, layers):
    widths = (7, 3, 5)[:layers]
    model = network(MLP(hidden=widths, activation=activation))
    hand = nn.Sequential()
    for narrow, wide in pairwise((4, *widths)):
        hand.extend([nn.Linear(narrow, wide), module()])
    hand.append(nn.Linear(widths[-1], 2))
    theirs = list(hand.parameters())
    mine = [weights for layer in model.layers for weights in layer.parameters()]
    for given, taken in zip(mine, theirs[:-2], strict=True):
        taken.data.copy_(given.data)
    for taken, name in zip(theirs[-2:], ("weight", "bias"), strict=True):
        heads = (model.readout.location_head, model.readout.precision_head)
        taken.data.copy_(torch.cat([getattr(head, name).data for head in heads]))
    torch.testing.assert_close(model(ROWS), hand(ROWS))


def test_it_starts_with_a_precision_of_1_whatever_the_features():
    for config in (MLP(hidden=(6,)), MLP(hidden=(6,), separate_heads=True)):
        raw = mlp(config, features=4, heads=Gaussian().heads)(ROWS)
        assert raw.shape == (9, 2)
        assert not raw[:, 1].any()
        assert raw[:, 0].std() > 0


def test_one_precision_for_all_rows_is_a_weight_of_its_own():
    model = mlp(MLP(hidden=(6,)), features=4, heads=Homoscedastic().heads)
    assert not model(ROWS)[:, 1].any()
    nn.init.constant_(model.readout.precision_head.log_precision, 0.7)
    torch.testing.assert_close(model(ROWS)[:, 1], torch.full((9,), 0.7))
    assert precision_head_names(model) == {"readout.precision_head.log_precision"}


@pytest.mark.parametrize(("likelihood", "learns"), [(Gaussian(), True), (Faithful(), False)])
def test_the_precision_head_teaches_the_layers_below_where_it_may(likelihood, learns):
    model = network(MLP(hidden=(6,)), likelihood=likelihood)
    model(ROWS)[:, 1].sum().backward()
    below = model.layers[0][0].weight.grad
    assert (below is not None and below.abs().sum() > 0) == learns


def test_normal_scores_stand_beside_the_features():
    model = network(MLP(hidden=(6,), inputs="normal_scores"))
    model.inputs.fit(ROWS.numpy())
    assert model.layers[0][0].in_features == 8
    torch.testing.assert_close(model(ROWS), model.readout(model.layers[0](model.inputs(ROWS))))


def test_half_of_an_odd_width_is_rounded_down_and_of_1_is_1():
    for width, half in ((7, 3), (2, 1), (1, 1)):
        model = network(MLP(hidden=(width,), separate_heads=True))
        assert model.readout.location_head[0].out_features == half


def test_logits_of_classes_are_read_from_the_last_hidden_layer():
    model = mlp(MLP(hidden=(5, 7, 3)), features=4, heads=6)
    assert model(ROWS).shape == (9, 6)
    assert model.readout.in_features == 3
