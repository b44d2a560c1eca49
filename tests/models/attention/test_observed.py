"""What attention does in a forward pass, as an onlooker sees it: posteriors and stated precisions, in order."""

from functools import partial

import pytest
import torch
from torch import nn

from precisionflow.config import attention as config
from precisionflow.config.networks import Transformer
from precisionflow.models.attention.heads import beside
from precisionflow.models.attention.observed import observed
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import TokenReadout, transformer

VOCABULARY, TOKENS, WIDTH, HEADS = 7, 6, 8, 2


def network(potential: config.Potential, value: config.Value | None = None) -> TokenNetwork:
    torch.manual_seed(0)
    described = Transformer(
        blocks=2,
        heads=HEADS,
        width=WIDTH,
        attention=config.Attention(potential=potential, value=value or config.Neighbour()),
        zero_projections=False,
    )
    readout = partial(TokenReadout, classes=VOCABULARY)
    made = transformer(described, vocabulary=VOCABULARY, context=TOKENS, readout=readout)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.4)
    return made.double().eval()


def text() -> torch.Tensor:
    return torch.randint(VOCABULARY, (3, TOKENS), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("value", [config.Neighbour(), config.Multihop(hops=1)], ids=lambda of: of.kind)
def test_looks_come_in_the_order_of_the_blocks_and_make_what_the_network_states(value):
    made, given = network(config.DotProduct(), value), text()
    with torch.no_grad(), observed(made) as looks:
        found = made(given)
    assert len(looks) == 2
    (at,) = made.where(given, None)
    state = made.layers[0](given, at)
    for block, look in enumerate(looks):
        attends, feeds = made.layers[1 + 2 * block : 3 + 2 * block]
        weights, x = look.shares(), attends.norm(state)
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        mixed = (weights @ attends.branch.value(x, at)).transpose(1, 2).flatten(-2)
        state = feeds(state + attends.branch.mix(mixed), at)
    torch.testing.assert_close(made.readout(state, at), found)


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_of_retrieval_the_last_step_is_seen(iterations):
    """Its weights of the keys are what each head gives; after one step they are others."""
    made, given = network(config.DotProduct(), config.Hopfield(iterations=iterations)), text()
    attends, before = made.layers[1].branch, []
    attends.mix.register_forward_pre_hook(lambda _, given: before.append(given[0]))
    with torch.no_grad(), observed(made) as looks:
        made(given)
    (at,), look = made.where(given, None), looks[0]
    retrieved = attends.value.rotation(look.posterior.probabilities() @ look.posterior.keys, at.mirrored())
    torch.testing.assert_close(beside(retrieved), before[0])
    torch.testing.assert_close(look.shares(), look.posterior.probabilities())


def test_the_shares_of_several_hops_are_those_of_all_powers():
    made, given = network(config.DotProduct(), config.Multihop(hops=3)), text()
    with torch.no_grad(), observed(made) as looks:
        made(given)
    for look in looks:
        p = look.posterior.probabilities()
        torch.testing.assert_close(look.shares(), (p + p @ p + p @ p @ p) / 3)


def test_nothing_is_seen_after_the_look_and_every_pass_within_it_is():
    made, given = network(config.DotProduct()), text()
    with torch.no_grad():
        with observed(made) as looks:
            made(given)
            made(given[:1])
        made(given)
    assert [look.posterior.queries.shape[0] for look in looks] == [3, 3, 1, 1]


@pytest.mark.parametrize(
    ("potential", "stating"),
    [
        (config.GaussianPerKey(), "precision"),
        (config.GaussianPerQuery(), "precision"),
        (config.GaussianSeparable(), "precision_of_key"),
        (config.DotProduct(), None),
        (config.GaussianIsotropic(), None),
    ],
    ids=lambda of: getattr(of, "kind", of),
)
def test_the_precision_is_the_mean_over_channels_of_what_tokens_state(potential, stating):
    made, given = network(potential), text()
    with torch.no_grad(), observed(made) as looks:
        made(given)
    assert len(looks) == 2
    (at,) = made.where(given, None)
    attends = made.layers[1]
    x = attends.norm(made.layers[0](given, at))
    if stating is None:
        assert looks[0].log_precision is None
        return
    stated = getattr(attends.branch.potential, stating)(x)
    assert stated.shape == (3, HEADS, TOKENS, WIDTH // HEADS)
    torch.testing.assert_close(looks[0].log_precision, stated.mean(-1))
