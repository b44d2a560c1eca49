"""Errors of attention heads, before they are mixed: precision per head against channels, autograd and closed forms."""

from functools import partial

import pytest
import torch
from torch import nn

from precisionflow.config import ConfigError, resolve
from precisionflow.config.attention import Attention, GaussianPerKey
from precisionflow.config.learning import LearnedPrecision, PredictiveCoding
from precisionflow.config.networks import Transformer
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.inference.predictive_coding.parameters import SHARE_OF_GRADIENT
from precisionflow.inference.predictive_coding.settle import settle
from precisionflow.inference.predictive_coding.stretches import Stretch, heads_of_layers, to_heads
from precisionflow.models.attention.attention import attention
from precisionflow.models.likelihoods.categorical import cross_entropy
from precisionflow.models.networks.layered import Residual, TokenNetwork, TokenWise
from precisionflow.models.networks.transformer import (
    NoPositions,
    TokenEmbedding,
    TokenReadout,
    transformer,
)
from precisionflow.training.batches import Batch
from precisionflow.training.rules.predictive_coding import predictive_coding

HEADS, WIDTH, CONTEXT, VOCABULARY = 2, 8, 5, 7
BOUNDS = {"initial": 20.0, "lowest": 1e-3, "highest": 1e4}


@pytest.fixture
def language():
    """A tiny transformer in double precision, its batch and its loss."""
    torch.manual_seed(0)
    config = Transformer(
        blocks=2,
        heads=HEADS,
        width=WIDTH,
        attention=Attention(potential=GaussianPerKey()),
        zero_projections=False,
    )
    readout = partial(TokenReadout, classes=VOCABULARY)
    model = transformer(config, vocabulary=VOCABULARY, context=CONTEXT, readout=readout).double()
    windows = torch.randint(0, VOCABULARY, (3, CONTEXT + 1))
    return model, (cross_entropy, windows[:, :-1], windows[:, 1:])


def coding(per="head", **settings) -> PredictiveCoding:
    return PredictiveCoding(precision=LearnedPrecision(per=per, **BOUNDS), **settings)


def assigned(model, config, *, heads=None):
    return laws(config, states=model.states, heads=heads).double()


def test_heads_are_those_of_the_attention_layers(language):
    model, _ = language
    assert heads_of_layers(model) == [0, HEADS, 0, HEADS, 0]
    rule = predictive_coding(coding(), states=model.states, heads=heads_of_layers(model))
    assert [rule.laws[layer].precision.offset.numel() for layer in range(5)] == [1, HEADS, 1, HEADS, 1]
    chosen = predictive_coding(coding(layers=(2, 3)), states=model.states, heads=heads_of_layers(model))
    assert [chosen.laws[layer].precision.offset.numel() for layer in range(2)] == [1, HEADS]


def test_without_errors_the_network_is_the_same(language):
    model, clamped = language
    passed = Clamped(model, *clamped, stretch=to_heads).passed()
    torch.testing.assert_close(passed.output, model(clamped[1]))
    torch.testing.assert_close(passed.loss, Clamped(model, *clamped).passed().loss)


def test_an_error_of_heads_moves_the_state_through_the_map_that_mixes_them(language):
    """x + mix(h + e) = state without an error + M e: the same network with an error M e behind the map."""
    model, clamped = language
    behind = Clamped(model, *clamped)
    errors = [0.1 * torch.randn_like(error) for error in behind.passed().errors]
    mixed = list(errors)
    for layer in (1, 3):
        mixed[layer] = errors[layer] @ model.layers[layer].branch.mix.weight.T
    found = Clamped(model, *clamped, stretch=to_heads).passed(errors)
    torch.testing.assert_close(found.output, behind.passed(mixed).output)
    torch.testing.assert_close(Clamped(model, *clamped, stretch=to_heads).output(errors), found.output)
    by_state = Clamped(model, *clamped, stretch=to_heads).at_states(
        [prediction + error for prediction, error in zip(found.predictions, errors, strict=True)]
    )
    torch.testing.assert_close(by_state.output, found.output)
    torch.testing.assert_close(by_state.errors, errors)


def test_a_precision_of_each_head_is_one_of_each_channel_with_tied_values(language):
    """Energies, settled errors and the gradients of all weights; those of a head's channels add up to its own."""
    model, clamped = language
    chain = Clamped(model, *clamped, stretch=to_heads)
    config = coding(iterations=4, step_size=0.2)
    by_head = assigned(model, config, heads=heads_of_layers(model))
    by_channel = assigned(model, coding(per="channel"))
    for layer in range(len(model.layers)):
        offset = by_head[layer].precision.offset
        nn.init.uniform_(offset, -8, 8)
        tied = offset.detach().repeat_interleave(WIDTH // offset.numel())
        by_channel[layer].precision.offset.data.copy_(tied)
    taught = []
    for one in (by_head, by_channel):
        settled = settle(chain, chain.passed(), one, config=config, steps=4)
        surrogate, energy, _ = chain.local(settled.layers, one)
        weights = torch.autograd.grad(surrogate, list(model.parameters()), retain_graph=True)
        offsets = torch.autograd.grad(surrogate, [of.precision.offset for of in one.layers])
        taught.append((settled.errors, energy, weights, offsets))
    (errors, energy, weights, of_heads), (*same, of_channels) = taught
    torch.testing.assert_close([errors, energy, weights], same)
    for head, channel in zip(of_heads, of_channels, strict=True):
        torch.testing.assert_close(head, channel.view(len(head), -1).sum(dim=1))
    precisions = by_head[1].precision(errors[1])
    assert precisions.unique().numel() == HEADS
    assert (precisions[: WIDTH // HEADS] == precisions[0]).all()


@pytest.mark.parametrize("layers", [None, (1,), (3,), (1, 2), (1, 3), (0, 3), (0, 1, 4)])
def test_at_the_settled_point_the_local_gradient_is_the_energys(layers, language):
    """Of every weight: the maps that mix heads learn from the error above, as does what passes heads by."""
    model, clamped = language
    places = range(5) if layers is None else layers
    chain = Clamped(model, *clamped, stretch=to_heads, places=places)
    config = coding(iterations=150, step_size=0.5, layers=layers)
    heads = heads_of_layers(model)
    one = laws(
        config, states=[model.states[place] for place in places], heads=[heads[place] for place in places]
    ).double()
    settled = settle(chain, chain.passed(), one, config=config, steps=150)
    energies = torch.stack(settled.energies)
    assert (energies.diff() <= 1e-9).all()
    weights = list(model.parameters())
    local = torch.autograd.grad(chain.local(settled.layers, one).surrogate, weights)
    whole = torch.autograd.grad(chain.energy(chain.passed(settled.errors), one), weights)
    torch.testing.assert_close(local, whole, rtol=1e-5, atol=1e-7)
    gradients = {id(weight): gradient for weight, gradient in zip(weights, local, strict=True)}
    assert gradients[id(model.layers[1].branch.mix.weight)].abs().max() > 1e-3


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_where_heads_are_observed_the_learned_precision_is_that_of_each_ones_noise(scale):
    """One token, so that heads are linear; y = x + M (V x + noise), observed a hundred times as precisely."""
    torch.manual_seed(0)
    deviations = scale * torch.tensor([1.0, 2.0], dtype=torch.float64).repeat_interleave(2)
    mix = nn.Linear(4, 4)
    nn.init.orthogonal_(mix.weight)
    layer = Residual(nn.Identity(), attention(Attention(), width=4, heads=HEADS, mix=mix))
    embedding = TokenEmbedding(50, 4, positions=NoPositions(), dropout=nn.Identity())
    model = TokenNetwork([embedding, layer], TokenWise(nn.Identity()), states=[(1, 4)] * 2).double()
    inputs = torch.randint(0, 50, (3000, 1))
    noise = deviations * torch.randn(3000, 1, 4, dtype=torch.float64)
    target = model(inputs).detach() + noise @ mix.weight.detach().T

    def loss(output, target):
        return (50 * (((output - target) @ mix.weight.detach()) / deviations).square()).sum(-1)

    precision = LearnedPrecision(per="head", initial=0.5 / scale**2, lowest=1e-6, highest=1e6)
    config = PredictiveCoding(iterations=12, step_size=0.009, precision=precision, layers=(1,))
    rule = predictive_coding(config, states=model.states, heads=heads_of_layers(model)).double()
    optimiser = torch.optim.SGD(rule.parameters(), lr=4.0 / SHARE_OF_GRADIENT)
    for _ in range(25):
        optimiser.zero_grad()
        rule(model, loss, Batch(inputs, target)).surrogate.backward()
        optimiser.step()
    found = rule.laws[0].precision(target).detach()
    torch.testing.assert_close(found, deviations**-2, rtol=0.05, atol=0)


def test_other_precisions_leave_the_error_behind_the_map(language):
    model, (_, inputs, target) = language
    batch = Batch(inputs, target)
    lessons = {}
    for per in ("layer", "head"):
        rule = predictive_coding(coding(per=per), states=model.states, heads=heads_of_layers(model)).double()
        lessons[per] = rule(model, cross_entropy, batch)
        seen = rule.monitored(model, cross_entropy, batch, step=1)
        assert [row.layer for row in seen.layers] == [0, 1, 2, 3, 4, 5]
    assert lessons["layer"].energy != pytest.approx(float(lessons["head"].energy))
    assert Clamped(model, cross_entropy, inputs, target).stretch is Stretch


def test_what_has_no_heads_is_refused_in_one_line():
    learning = {"kind": "predictive_coding", "precision": {"kind": "learned", "per": "head"}}
    rows = {"name": "t", "task": {"kind": "regression"}, "model": {"kind": "mlp"}, "learning": learning}
    with pytest.raises(ConfigError, match=r"^learning.precision.per: model.kind 'mlp' has rows, .* no heads"):
        resolve(rows | {"objective": {"kind": "gaussian_nll"}})
    text = {"name": "t", "task": {"kind": "next_token"}, "model": {"kind": "transformer"}}
    with pytest.raises(ConfigError, match=r"learning.pathway: top_down cuts a state, and with a prec"):
        resolve(
            text | {"objective": {"kind": "cross_entropy"}, "learning": learning | {"pathway": "top_down"}}
        )


def test_a_record_tells_the_precision_of_each_head(language):
    """In the file's row of its layer and by name in the history; of layers without heads of their own none."""
    model, (losses, inputs, target) = language
    rule = predictive_coding(
        coding(iterations=2, step_size=0.1), states=model.states, heads=heads_of_layers(model)
    ).double()
    offsets = torch.tensor([[-1.0, 0.5], [0.25, 2.0]], dtype=torch.float64)
    with torch.no_grad():
        for layer, offset in zip((1, 3), offsets, strict=True):
            rule.laws[layer].precision.offset.copy_(offset)
    record = rule.monitored(model, losses, Batch(inputs, target), step=7)
    stated = [
        rule.laws[layer].precision.bounded(of).tolist() for layer, of in zip((1, 3), offsets, strict=True)
    ]
    assert [list(row.head_precision) for row in record.layers] == [[], stated[0], [], stated[1], [], []]
    told = {name: value for _, name, value in record.entries(7) if "head" in name}
    assert told == {
        f"precision_layer_{layer}_head_{head}": stated[layer // 2][head]
        for layer in (1, 3)
        for head in (0, 1)
    }
    assert len({*stated[0], *stated[1]}) == 4


@pytest.mark.parametrize("per", ["layer", "channel", "position"])
def test_where_heads_have_no_precision_of_their_own_none_is_told(language, per):
    model, (losses, inputs, target) = language
    rule = predictive_coding(coding(per), states=model.states, heads=heads_of_layers(model)).double()
    record = rule.monitored(model, losses, Batch(inputs, target), step=7)
    assert not any(row.head_precision for row in record.layers)
