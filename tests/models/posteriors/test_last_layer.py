"""The Laplace approximation over the last map of a transformer against dense Hessians of autograd and Monte Carlo."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.func import functional_call

from precisionflow.config.networks import Transformer
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import (
    AuxiliaryReadout,
    PooledReadout,
    TokenReadout,
    transformer,
)
from precisionflow.models.posteriors import laplace, last_layer
from precisionflow.models.posteriors.last_layer import LastLayer, Taught

CLASSES, WIDTH = 3, 4
READOUTS = {
    "texts": (partial(PooledReadout, classes=CLASSES), "readout.classes"),
    "tokens": (partial(TokenReadout, classes=CLASSES), "readout.1"),
    "beside": (partial(AuxiliaryReadout, classes=CLASSES, auxiliary=[(2, 0.5)]), "readout.classes"),
}
TOKENS = torch.randint(1, 9, (12, 5), generator=torch.Generator().manual_seed(0))
MASK = torch.arange(5) < torch.tensor([5, 3, 1, 4] * 3)[:, None]


@pytest.fixture(params=READOUTS)
def network(request: pytest.FixtureRequest) -> tuple[TokenNetwork, str]:
    torch.manual_seed(0)
    readout, last = READOUTS[request.param]
    config = Transformer(
        width=WIDTH, heads=2, blocks=1, zero_projections=False, attention={"prior": {"kind": "full"}}
    )
    model = transformer(config, vocabulary=9, context=5, readout=readout).double().eval()
    for parameter in model.readout.parameters():
        nn.init.normal_(parameter, std=0.7)
    return model, last


def taught(model: TokenNetwork) -> Taught:
    """Every real token but the first of each text counts, or every text but the first."""
    target = torch.randint(
        CLASSES, model(TOKENS, MASK).shape[:-1], generator=torch.Generator().manual_seed(1)
    )
    counted = torch.arange(12) > 0 if target.ndim == 1 else MASK & (torch.arange(5) > 0)
    return Taught(TOKENS, MASK, target, counted)


def parts(batch: Taught) -> list[Taught]:
    cuts = [slice(0, 5), slice(5, 12)]
    return [Taught(*(of[cut] for of in batch)) for cut in cuts]


def dense(model: TokenNetwork, name: str, batch: Taught) -> torch.Tensor:
    """Hessian of the summed cross-entropy in the weights and biases of a linear map, one row of A after the other."""
    linear = model.get_submodule(name)
    flat = torch.cat([linear.weight, linear.bias[:, None]], dim=1).detach().flatten()

    def loss(a: torch.Tensor) -> torch.Tensor:
        a = a.view(CLASSES, -1)
        weights = {f"{name}.weight": a[:, :-1], f"{name}.bias": a[:, -1]}
        logits = functional_call(model, weights, (batch.inputs, batch.mask))
        return nn.functional.cross_entropy(
            logits[batch.counted], batch.target[batch.counted], reduction="sum"
        )

    return torch.autograd.functional.hessian(loss, flat)


def test_the_posterior_has_the_dense_hessian_and_the_prior_the_largest_evidence(network):
    model, name = network
    batch = taught(model)
    found = last_layer.fit(model, parts(batch))
    hessian, eye = (
        dense(model, name, batch),
        torch.eye(len(found.factor), dtype=torch.float64),
    )
    torch.testing.assert_close(found.factor @ found.factor.T, hessian + float(found.prior) * eye)
    linear = model.get_submodule(name)
    square = sum(float(of.detach().square().sum()) for of in linear.parameters())
    with torch.no_grad():
        logits = model(batch.inputs, batch.mask)[batch.counted]
    log_p = -nn.functional.cross_entropy(logits, batch.target[batch.counted], reduction="sum")

    def evidence(prior: float) -> float:
        fit = log_p + 0.5 * len(hessian) * torch.log(torch.tensor(prior)) - 0.5 * prior * square
        return float(fit - 0.5 * torch.logdet(hessian + prior * eye))

    prior = float(found.prior)
    assert found.log_marginal_likelihood == pytest.approx(evidence(prior), rel=1e-6)
    assert max(evidence(prior * 0.9), evidence(prior / 0.9)) < found.log_marginal_likelihood


def test_logits_have_the_covariance_of_dense_draws_of_the_weights(network, monkeypatch):
    model, name = network
    monkeypatch.setattr(laplace, "SAMPLES", 20_000)
    found = last_layer.fit(model, parts(taught(model)))
    linear = model.get_submodule(name)
    mode = torch.cat([linear.weight, linear.bias[:, None]], dim=1).detach()
    covariance = torch.linalg.inv(found.factor @ found.factor.T)
    drawn = torch.distributions.MultivariateNormal(mode.flatten(), covariance)
    torch.manual_seed(2)
    weights = drawn.sample((20_000,)).view(-1, *mode.shape)
    with torch.no_grad():
        voices = LastLayer(model, found).predict(TOKENS[:4], MASK[:4])
        vectors = last_layer.vectors_of(model, TOKENS[:4], MASK[:4])
        expected = torch.einsum("...w,scw->...sc", vectors, weights)
        torch.testing.assert_close(
            vectors @ mode.T, model(TOKENS[:4], MASK[:4]), msg="the vectors are not what the last map reads"
        )
    for moment in (lambda of: of.mean(-2), lambda of: of.softmax(-1).mean(-2)):
        torch.testing.assert_close(moment(voices.logits), moment(expected), rtol=0.05, atol=0.05)
    spread = expected.std(-2)
    torch.testing.assert_close(voices.logits.std(-2), spread, rtol=0.03, atol=0.0)
    assert (voices.epistemic() >= 0).all()
    assert voices.epistemic()[0].min() > 1e-3


def test_a_texts_draws_do_not_depend_on_longer_ones_beside_it(network):
    model, _ = network
    posterior = LastLayer(model, last_layer.fit(model, parts(taught(model))))
    with torch.no_grad():
        beside = posterior.predict(TOKENS[:2], MASK[:2]).logits[1]
        alone = posterior.predict(TOKENS[1:2, :3]).logits[0]
    torch.testing.assert_close(beside[:3] if alone.ndim == 3 else beside, alone)


def test_a_readout_with_too_many_weights_is_refused_and_so_is_a_factor_of_another_network(monkeypatch):
    torch.manual_seed(0)
    config = Transformer(width=WIDTH, heads=2, blocks=1, attention={"prior": {"kind": "full"}})
    model = transformer(config, vocabulary=9, context=5, readout=READOUTS["tokens"][0]).eval()
    weights = last_layer.Weights({}, {"factor": torch.eye(9), "prior": torch.ones(1)})
    with pytest.raises(RuntimeError, match=r"posterior\.factor has the shape \(9, 9\), wanted \(15, 15\)"):
        last_layer.last_layer(model, weights)
    monkeypatch.setattr(last_layer, "MOST_WEIGHTS", 14)
    with pytest.raises(
        ValueError, match=r"the readout has 15 weights, .*, 14 the most; use a smaller model\.width"
    ):
        last_layer.fit(model, [])
