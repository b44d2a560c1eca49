"""The transformer over the vectors of a row: against its own layers, vector by vector."""

import pytest
import torch
from torch import nn

from precisionflow.config.attention import Attention, Full
from precisionflow.config.networks import Transformer
from precisionflow.models.likelihoods.density import Heads
from precisionflow.models.networks.vectors import VectorNetwork, vector_transformer

PLACES, EACH, WIDTH = 5, 3, 8


def network(**bricks: object) -> VectorNetwork:
    torch.manual_seed(0)
    config = Transformer(**({"blocks": 2, "heads": 2, "width": WIDTH, "zero_projections": False} | bricks))
    made = vector_transformer(config, places=PLACES, features=PLACES * EACH, heads=Heads(1, 1))
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.4)
    return made.double().eval()


def rows() -> torch.Tensor:
    return torch.randn(4, PLACES * EACH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_a_row_is_its_vectors_one_after_the_other_and_the_last_one_is_read():
    made, given = network(), rows()
    vectors = given.view(4, PLACES, EACH)
    embedding, *branches = made.layers
    (at,) = made.where(given, None)
    assert at.positions.tolist() == list(at.span) == list(range(PLACES))
    state = vectors @ embedding.vectors.weight.T + embedding.vectors.bias
    for branch in branches:
        state = branch(state, at)
    expected = made.readout.heads(made.readout.norm(state[:, -1]))
    torch.testing.assert_close(made(given), expected)


def test_states_have_a_place_for_every_vector():
    made, given = network(), rows()
    (at,) = made.where(given, None)
    state, shapes = made.enter(given), []
    for layer in made.layers:
        state = layer(state, at)
        shapes.append(tuple(state.shape[1:]))
    assert list(made.states) == shapes == [(PLACES, WIDTH)] * 5


@pytest.mark.parametrize("positions", ["none", "learned", "rotary"])
def test_positions_tell_the_vectors_of_a_row_apart(positions):
    """Without positions and with the full prior the order of the vectors before the last does not matter."""
    made, given = network(positions=positions, attention=Attention(prior=Full())), rows()
    order = torch.tensor([2, 0, 3, 1, 4])
    turned = given.view(4, PLACES, EACH)[:, order].flatten(1)
    same = torch.allclose(made(turned), made(given))
    assert same == (positions == "none")
