"""The bricks of a transformer: each one chosen by its field, and what it is."""

from functools import partial

import pytest
import torch
from torch import nn

from precisionflow.config.learning import Backpropagation, PredictiveCoding
from precisionflow.config.likelihoods import AdaptiveSoftmax, CrossEntropy
from precisionflow.config.networks import Transformer
from precisionflow.data.streams import Stream, Use
from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.sites import Sites
from precisionflow.models.likelihoods.objective import objective
from precisionflow.models.networks.adaptive import AdaptiveReadout
from precisionflow.models.networks.dropout import Draw, Dropout, dropping
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import TiedReadout, TokenReadout, transformer
from precisionflow.training.batches import Batch
from precisionflow.training.rules.learner import learner

VOCABULARY, CONTEXT = 7, 9


def network(**bricks: object) -> TokenNetwork:
    torch.manual_seed(0)
    config = Transformer(**({"blocks": 2, "heads": 2, "width": 8, "zero_projections": False} | bricks))
    readout = TiedReadout if config.tied_readout else partial(TokenReadout, classes=VOCABULARY)
    return transformer(config, vocabulary=VOCABULARY, context=CONTEXT, readout=readout)


def tokens() -> torch.Tensor:
    return torch.randint(VOCABULARY, (3, CONTEXT), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "value", "kind", "count"),
    [
        ("norm", "rms", nn.RMSNorm, 5),
        ("norm", "layer", nn.LayerNorm, 5),
        ("activation", "gelu", nn.GELU, 2),
        ("activation", "silu", nn.SiLU, 2),
    ],
)
def test_a_field_chooses_a_brick(name, value, kind, count):
    assert sum(isinstance(module, kind) for module in network(**{name: value}).modules()) == count


def test_squared_relu_is_the_square_of_what_is_above_zero():
    layer = network().layers[2].branch
    torch.testing.assert_close(layer[1](torch.tensor([-2.0, 0.0, 3.0])), torch.tensor([0.0, 0.0, 9.0]))


def test_a_memory_is_attention_over_learned_slots():
    """The posterior over slots of each head, its expectation of their values, summed over heads."""
    layer, x = network(feed_forward="memory").layers[2].branch, torch.randn(3, 5, 8)
    keys, values = layer[0], layer[2]
    queries = torch.cat([x, torch.ones(3, 5, 1)], dim=-1)[:, None].expand(3, 2, 5, 9)
    slots = torch.cat([keys.weight, keys.bias[:, None]], dim=-1).unflatten(0, (2, 16)).expand(3, 2, 16, 9)
    offered = values.weight.T.unflatten(0, (2, 16)).expand(3, 2, 16, 8)
    expected = Posterior(InnerProduct(), queries, slots).expectation(offered).sum(1) + values.bias
    torch.testing.assert_close(layer(x, Sites(torch.arange(5))), expected)


@pytest.mark.parametrize(("positions", "same"), [("rotary", False), ("learned", False), ("none", True)])
def test_positions_tell_earlier_tokens_apart(positions, same):
    """Without them a causal network of one block takes the tokens before the last one as a set."""
    model, given = network(positions=positions, blocks=1), tokens()
    shuffled = given.clone()
    shuffled[:, :-1] = given[:, :-1].flip(1)
    last, other = model(given)[:, -1], model(shuffled)[:, -1]
    assert torch.allclose(last, other, atol=1e-5) == same


def test_zero_projections_start_as_the_identity():
    model, given = network(zero_projections=True), tokens()
    where = model.where(given, None)
    first = state = model.layers[0](given, *where)
    for layer in model.layers[1:]:
        state = layer(state, *where)
    assert torch.equal(state, first)
    assert torch.equal(model(given), torch.zeros(3, CONTEXT, VOCABULARY))


@pytest.mark.parametrize("learning", [Backpropagation(), PredictiveCoding()])
def test_zero_projections_learn_from_the_first_steps(learning):
    """The readout at once, the projections next, what lies before them after that."""
    model, given = network(zero_projections=True), tokens()
    taught = learner(model, objective(CrossEntropy()), learning)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0)
    losses = []
    for _ in range(20):
        lesson = taught(Batch(given[:, :-1], given[:, 1:]))
        optimiser.zero_grad()
        lesson.surrogate.backward()
        optimiser.step()
        losses.append(float(lesson.loss))
    assert losses[-1] < losses[0] - 0.3
    for name, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_a_tied_readout_has_the_embeddings_weights():
    model, given = network(tied_readout=True), tokens()
    embedding = model.layers[0].tokens.weight
    assert model.readout[1].weight is embedding
    state, where = given, model.where(given, None)
    for layer in model.layers:
        state = layer(state, *where)
    expected = model.readout[0](state) @ embedding.T / 8**0.5
    torch.testing.assert_close(model(given), expected)
    assert sum(p is embedding for p in model.parameters()) == 1


def draw(step: int, rows: torch.Tensor) -> Draw:
    return Draw(torch.tensor(Stream(0, 0).number(Use.DROPOUT) + step), rows)


def test_dropout_of_tokens_is_a_function_of_row_and_place():
    """Half of a batch alone, and sequences cut short, drop what they drop in the whole."""
    model, given = network(dropout=0.5), tokens()
    model.train()
    with dropping(model, draw(0, torch.arange(3))):
        whole = model(given)
    with dropping(model, draw(0, torch.arange(1, 3))):
        part = model(given[1:, :5])
    torch.testing.assert_close(part, whole[1:, :5])
    with dropping(model, draw(1, torch.arange(3))):
        assert not torch.allclose(model(given), whole)


def test_a_share_of_all_channels_is_dropped_and_the_rest_scaled():
    model = network(dropout=0.25, width=64)
    dropout, x = model.layers[0].dropout, torch.ones(40, 20, 64)
    with dropping(model, draw(0, torch.arange(40))):
        found = dropout(x)
    assert found.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (found == 0).float().mean() == pytest.approx(0.25, abs=0.01)
    for alike in (found[0] == found[1], found[:, 0] == found[:, 1]):
        assert alike.float().mean() == pytest.approx(0.75**2 + 0.25**2, abs=0.05)


def test_each_cluster_reads_fewer_channels_than_the_one_before():
    config = AdaptiveSoftmax(cutoffs=(4, 8, 12), shrink=2)
    readout = AdaptiveReadout(nn.Identity(), nn.Embedding(20, 16), config=config)
    narrow = [tail[0].out_features for tail in readout.softmax.tails]
    assert narrow == [8, 4, 2]


@pytest.mark.parametrize("convolution", [None, 3])
def test_every_layer_draws_masks_of_its_own(convolution):
    made = network(dropout=0.5, token_dropout=0.5, convolution=convolution)
    layers = [module.layer for module in made.modules() if isinstance(module, Dropout)]
    assert len(layers) == 2 + 2 * (2 if convolution is None else 3)
    assert sorted(layers) == list(range(-1, len(layers) - 1))


def test_learned_positions_add_the_embedding_of_the_place():
    made, given = network(positions="learned"), tokens()
    embedding = made.layers[0]
    expected = embedding.tokens.weight[given] + embedding.positions.embedding.weight[:CONTEXT]
    torch.testing.assert_close(embedding(given, Sites.of(given, None)), expected)
    later = Sites(torch.tensor([3, 5]))
    moved = embedding(given[:, :2], later) - embedding.tokens.weight[given[:, :2]]
    torch.testing.assert_close(moved, embedding.positions.embedding.weight[[3, 5]].expand_as(moved))
