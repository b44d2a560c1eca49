"""Ensembles and dropout as mixtures."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.func import stack_module_state

from precisionflow.config.networks import MLP, Transformer
from precisionflow.models.likelihoods.categorical import Categorical, Voices
from precisionflow.models.likelihoods.gaussian import Gaussian
from precisionflow.models.networks.dropout import Draw, derived, dropping
from precisionflow.models.networks.dropout import Dropout as Units
from precisionflow.models.networks.mlp import mlp
from precisionflow.models.networks.transformer import TokenReadout, transformer
from precisionflow.models.posteriors.dropout import Dropout
from precisionflow.models.posteriors.ensemble import Ensemble

LIKELIHOOD = Gaussian()


def network(config: MLP, seed: int = 0, features: int = 4):
    torch.manual_seed(seed)
    model = mlp(config, features=features, heads=LIKELIHOOD.heads)
    nn.init.normal_(list(model.readout.precision_head.modules())[-1].weight, std=0.3)
    return model.eval()


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(9, 4, generator=torch.Generator().manual_seed(1))


def test_an_ensembles_density_is_the_mean_of_its_members(rows):
    models = [network(MLP(hidden=(6,)), seed) for seed in range(3)]
    weights, _ = stack_module_state(models)
    ensemble = Ensemble(models[0], LIKELIHOOD, {n: w.detach() for n, w in weights.items()}, members=3)
    target = torch.linspace(-2, 2, 9)
    with torch.no_grad():
        each = torch.stack([LIKELIHOOD.predictive(model(rows)).log_density(target) for model in models])
        torch.testing.assert_close(
            ensemble.predict(rows).log_density(target), each.logsumexp(0) - math.log(3)
        )
        chosen = torch.tensor([[2, 0], [1, 2], [0, 1]]).repeat(3, 1)
        some = ensemble.predict(rows).among(chosen, members=3).log_density(target)
    expected = each.gather(0, chosen.T).logsumexp(0) - math.log(2)
    torch.testing.assert_close(some, expected)


def tagger(seed: int, **changes):
    torch.manual_seed(seed)
    config = Transformer(
        width=8, heads=2, blocks=1, zero_projections=False, attention={"prior": {"kind": "full"}}, **changes
    )
    return transformer(config, vocabulary=7, context=4, readout=partial(TokenReadout, classes=3)).eval()


def test_an_ensemble_of_tokens_states_the_mean_of_its_members_probabilities():
    models = [tagger(seed) for seed in range(4)]
    stacked, _ = stack_module_state(models)
    weights = {name: of.detach() for name, of in stacked.items()}
    ensemble = Ensemble(models[0], Categorical(), weights, members=4)
    tokens = torch.tensor([[1, 5], [6, 0]])
    with torch.no_grad():
        for mask in (None, torch.tensor([[True, True], [True, False]])):
            expected = torch.stack([model(tokens, mask).double().softmax(-1) for model in models]).mean(0)
            found = Voices(ensemble.predict(tokens, mask).logits.double()).log_probabilities()
            torch.testing.assert_close(found.exp(), expected)
    fewer = {name: of[:3] for name, of in weights.items()}
    with pytest.raises(RuntimeError, match=r" has the shape \(3, .*\), wanted \(4, "):
        Ensemble(models[0], Categorical(), fewer, members=4)


KEY = torch.tensor(5)


def test_dropout_is_sampled_the_same_at_every_call_and_leaves_other_draws_alone(rows):
    model = network(MLP(hidden=(16,), dropout=0.5))
    sampled = Dropout(model, LIKELIHOOD, key=KEY, samples=8)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with torch.no_grad():
        first, second = sampled.predict(rows), sampled.predict(rows)
        once = LIKELIHOOD.predictive(model(rows))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first.location, second.location)
    assert first.location.shape == (9, 8)
    assert (first.location.std(dim=1) > 0).all()
    assert once.location.shape == (9, 1)
    assert not model.training


def test_a_sample_of_dropout_is_one_network_for_all_rows(rows):
    """A row's answer depends neither on its neighbours nor on its place among them."""
    model = network(MLP(hidden=(16, 16), dropout=0.5)).double()
    sampled, rows = Dropout(model, LIKELIHOOD, key=KEY, samples=8), rows.double()
    with torch.no_grad():
        together, turned = sampled.predict(rows), sampled.predict(rows.flip(0))
        alone = torch.cat([sampled.predict(row[None]).location for row in rows])
        with dropping(model, Draw(derived(KEY, 3), torch.zeros(1, dtype=torch.int64))):
            fourth = LIKELIHOOD.predictive(model(rows)).location
        other = Dropout(model, LIKELIHOOD, key=KEY + 1, samples=8).predict(rows)
    torch.testing.assert_close(together.location, alone)
    torch.testing.assert_close(together.location, turned.location.flip(0))
    torch.testing.assert_close(together.location[:, 3:4], fourth)
    assert not torch.isclose(other.location, together.location).any()


TOKENS = torch.tensor([[1, 5, 3, 2], [6, 4, 0, 0]])
MASK = torch.tensor([[True] * 4, [True, True, False, False]])


def sampled(model) -> Voices:
    with torch.no_grad():
        return Dropout(model.double(), Categorical(), key=KEY, samples=16).predict(TOKENS, MASK)


def test_a_transformer_without_dropout_has_no_mutual_information_and_with_it_some():
    torch.testing.assert_close(sampled(tagger(0)).epistemic(), torch.zeros(2, 4, dtype=torch.float64))
    voices = sampled(tagger(0, dropout=0.3))
    parts = voices.log_probabilities().exp(), voices.logits.softmax(-1)
    unclamped = torch.special.entr(parts[0]).sum(-1) - torch.special.entr(parts[1]).sum(-1).mean(-1)
    assert (unclamped > 1e-3).all()
    torch.testing.assert_close(voices.epistemic(), unclamped)


def test_a_sample_of_a_transformer_is_the_network_that_trains_with_its_draw_but_reads_every_token():
    """A text without some of its tokens would be another text, not another network."""
    voices = sampled(tagger(0, dropout=0.3, token_dropout=0.5))
    model = tagger(0, dropout=0.3).double()
    with torch.no_grad(), dropping(model, Draw(derived(KEY, 3), torch.zeros(1, dtype=torch.int64))):
        torch.testing.assert_close(voices.logits[:, :, 3], model(TOKENS, MASK))


def test_a_sample_says_the_same_of_a_text_beside_longer_ones():
    model = tagger(0, dropout=0.3).double()
    beside = sampled(model).logits[1, :2]
    with torch.no_grad():
        alone = Dropout(model, Categorical(), key=KEY, samples=16).predict(TOKENS[1:, :2]).logits[0]
    torch.testing.assert_close(beside, alone)


def test_dropout_of_a_transformer_is_in_its_embedding_and_both_branches():
    layers = [layer.dropout for layer in tagger(0, dropout=0.3).layers]
    assert [(type(of), of.rate, of.layer) for of in layers] == [(Units, 0.3, i) for i in range(3)]
