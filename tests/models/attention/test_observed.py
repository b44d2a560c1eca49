"""What attention does in a forward pass, as an onlooker sees it: posteriors and stated precisions, in order."""

from functools import partial

import pytest
import torch
from torch import nn

from precisionflow.config import attention as config
from precisionflow.config.networks import Transformer
from precisionflow.models.attention.observed import looked_into, observed
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import TokenReadout, transformer

VOCABULARY, TOKENS, WIDTH, HEADS = 7, 6, 8, 2


def network(potential: config.Potential) -> TokenNetwork:
    torch.manual_seed(0)
    described = Transformer(
        blocks=2,
        heads=HEADS,
        width=WIDTH,
        attention=config.Attention(potential=potential),
        zero_projections=False,
    )
    readout = partial(TokenReadout, classes=VOCABULARY)
    made = transformer(described, vocabulary=VOCABULARY, context=TOKENS, readout=readout)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.4)
    return made.double().eval()


def text() -> torch.Tensor:
    return torch.randint(VOCABULARY, (3, TOKENS), generator=torch.Generator().manual_seed(1))


def test_posteriors_come_in_the_order_of_the_blocks_and_make_what_the_network_states():
    made, given = network(config.DotProduct()), text()
    with torch.no_grad(), observed(made) as posteriors:
        found = made(given)
    assert len(posteriors) == 2
    (at,) = made.where(given, None)
    state = made.layers[0](given, at)
    for block, posterior in enumerate(posteriors):
        attends, feeds = made.layers[1 + 2 * block : 3 + 2 * block]
        weights, x = posterior.probabilities(), attends.norm(state)
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        mixed = (weights @ attends.branch.value(x, at)).transpose(1, 2).flatten(-2)
        state = feeds(state + attends.branch.mix(mixed), at)
    torch.testing.assert_close(made.readout(state, at), found)


def test_nothing_is_seen_after_the_look_and_every_pass_within_it_is():
    made, given = network(config.DotProduct()), text()
    with torch.no_grad():
        with observed(made) as posteriors:
            made(given)
            made(given[:1])
        made(given)
    assert [posterior.queries.shape[0] for posterior in posteriors] == [3, 3, 1, 1]


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
    with torch.no_grad(), looked_into(made) as looks:
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
